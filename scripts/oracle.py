#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The acceptance tests of the learner in full (docs/learning.md): trains it on systems whose optimum
is known exactly and says which bounds were met. `make oracle` runs it.

Relies on: a built tactus-sim. Takes about ten minutes on two cores; --seeds makes it shorter.
Does not: tune anything; every run has the defaults of learner_config.
"""
import argparse
import concurrent.futures
import json
import os
import subprocess
import sys

EXAMPLES = """examples:
  scripts/oracle.py
  scripts/oracle.py --seeds 3 --only O1
  scripts/oracle.py --json build/oracle.json

exit codes: 0 all met, 1 something was not, 2 wrong use"""


def simulate(program, command, *args):
    done = subprocess.run([program, command, *args, "--json"], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"oracle.py: {command} {' '.join(args)}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def median(values):
    values = sorted(values)
    n = len(values)
    return values[n // 2] if n % 2 else (values[n // 2 - 1] + values[n // 2]) / 2


O1 = ["--speeds", "1,0.25", "--load", "0.5"]
LAG = ["--publish-every", str(4096 * 32)]


class Check:
    """One line of the table: what is run, and when it is met. most: of ten seeds, how many must."""

    def __init__(self, name, bound, args, met, most=9, show="stochastic_over_pct"):
        self.name, self.bound, self.args, self.met, self.most, self.show = name, bound, args, met, most, show

    def result(self, program, options):
        j = simulate(program, "learn", *self.args, "--seeds", str(options.seeds), "--decisions", str(options.decisions))
        both = list(zip(j["argmax_over_pct"], j["stochastic_over_pct"]))
        good = sum(self.met(a, s) for a, s in both)
        return {"name": self.name, "bound": self.bound, "good": good, "seeds": len(both),
                "met": good * 10 >= self.most * len(both),
                "argmax_over_pct": j["argmax_over_pct"], "stochastic_over_pct": j["stochastic_over_pct"]}


CHECKS = [
    Check("O1 optimum", "argmax = optimum, drawn <= +1.5 %", O1, lambda a, s: a < 0.01 and s <= 1.5),
    Check("O2 (2,2,.25)", "drawn <= +4 %", ["--speeds", "1,1,0.25,0.25", "--load", "0.5"], lambda a, s: s <= 4, most=8),
    Check("O3 (.25, .7)", "drawn better than SED, +9.4 %",
          ["--model", "immediate", "--speeds", "1,0.25", "--load", "0.7"], lambda a, s: s < 9.4),
    Check("O1 lag 4096", "as O1 optimum", O1 + LAG, lambda a, s: a < 0.01 and s <= 1.5),
    Check("O1 lag, no ratio", "must fail: worse than +1.5 %", O1 + LAG + ["--set", "use_ratio=0"],
          lambda a, s: a > 0.01 or s > 1.5),
    Check("O1 16 learners", "as O1 optimum", O1 + ["--set", "emulate_lag_updates=15"], lambda a, s: a < 0.01 and s <= 1.5),
    Check("O3 seed's reward", "must end >= +20 %",
          ["--model", "immediate", "--speeds", "1,0.25", "--load", "0.5", "--reward", "seed"], lambda a, s: s >= 20),
]
RULES = ["affinity_first", "strict_affinity", "cross_if_2", "class_blind"]


def affinity(program, options):
    """O4: in every cell within 2 % of its best rule, and on the mean better than every rule."""
    seeds = max(1, options.seeds // 3)
    out, ours, rules = [], [], {r: [] for r in RULES}
    for off in (0.8, 0.5, 0.25):
        for load in (0.3, 0.5, 0.7, 0.85):
            cell = ["--model", "affinity", "--off", str(off), "--load", str(load)]
            exact = simulate(program, "solve", *cell)
            j = simulate(program, "learn", *cell, "--seeds", str(seeds), "--decisions", str(options.decisions // 2))
            over = {r: exact[r + "_over_pct"] for r in RULES}
            best = min(x for x in over.values() if x is not None)
            drawn = j["stochastic_over_pct"]
            # (learned / rule - 1) <= 2 %, both as % over the optimum
            good = sum((100 + x) / (100 + best) <= 1.02 for x in drawn)
            ours.append(median(drawn))
            for r in RULES:
                rules[r].append(float("inf") if over[r] is None else over[r])
            out.append({"name": f"O4 off {off} load {load}", "bound": f"<= best rule (+{best:.1f} %) + 2 %", "good": good,
                        "seeds": seeds, "met": 2 * good > seeds, "argmax_over_pct": j["argmax_over_pct"],
                        "stochastic_over_pct": drawn})
    mean = sum(ours) / len(ours)
    least = min(sum(v) / len(v) for v in rules.values())
    out.append({"name": "O4 mean", "bound": f"< best fixed rule, +{least:.1f} %", "good": int(mean < least), "seeds": 1,
                "met": mean < least, "argmax_over_pct": [], "stochastic_over_pct": [mean]})
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build", help="build folder (default: build)")
    parser.add_argument("--seeds", type=int, default=10, help="runs per line (default: 10)")
    parser.add_argument("--decisions", type=int, default=1_000_000, help="decisions per run (default: 1000000)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="lines at a time")
    parser.add_argument("--only", default="", help="lines whose name begins so, e.g. O1")
    parser.add_argument("--json", help="write the results to this file")
    options = parser.parse_args()
    program = os.path.join(options.build, "bin", "tactus-sim")
    if not os.access(program, os.X_OK):
        parser.error(f"{program} is not built; run make build")

    jobs = [lambda c=c: [c.result(program, options)] for c in CHECKS if c.name.startswith(options.only)]
    if "O4".startswith(options.only[:2]):
        jobs.append(lambda: affinity(program, options))
    rows = []
    print(f"{'':<24}{'argmax':>9}{'drawn':>9}   seeds  bound", flush=True)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for found in pool.map(lambda job: job(), jobs):
            for r in found:
                rows.append(r)
                a = f"{median(r['argmax_over_pct']):+.2f}" if r["argmax_over_pct"] else ""
                print(f"{r['name']:<24}{a:>9}{median(r['stochastic_over_pct']):>+9.2f}   {r['good']:>2}/{r['seeds']:<3} "
                      f"{'met    ' if r['met'] else 'NOT MET'}  {r['bound']}", flush=True)
    met = sum(r["met"] for r in rows)
    print(f"\n{met} of {len(rows)} met; figures are medians, % over the exact optimum")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as f:
            json.dump({"seeds": options.seeds, "decisions": options.decisions, "lines": rows}, f, indent=1)
    return 0 if met == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
