# SPDX-License-Identifier: Apache-2.0
"""Assembles build/demo/result.json from the slots: summaries, paired ratios, targets.

Relies on: slots.py for reading, stats.py for medians and intervals. Does not: draw (charts.py) or
hide anything: every slot is in `rounds`, an arm that loses is shown as it is.
"""
from pathlib import Path

import stats
from slots import ARMS, METRICS, Unusable, dig, frame_metrics, read_facts, read_json, read_slot, status_figures

# What the project wants to reach with this demo: (name, metric, arm, over, bound, which side is good).
RATIO_TARGETS = (
    ("audio p99 latency, learned over eevdf", "latency_p99_ms", "eevdf", 0.7, "at most"),
    ("loading throughput, learned over eevdf", "throughput_per_s", "eevdf", 1.0, "at least"),
    ("cost, learned over fallback", "cost", "fallback", 0.8, "at most"),
    ("cost, learned over random", "cost", "random", 0.9, "at most"),
)
MOST_COMPLETIONS = 50_000
FEWEST_ROUNDS = 10


def slot_name(number, arm):
    return f"{number:02d}-{arm}"


def read_rounds(folder, plan, cpus):
    """[{round, order, slots: {arm: slot}}] as planned. Raises Unusable when a slot is missing."""
    return [{"round": number, "order": list(order),
             "slots": {arm: read_slot(Path(folder) / "slots", slot_name(number, arm), cpus) for arm in order}}
            for number, order in enumerate(plan, 1)]


def slot_faults(arm, slot):
    """Why this slot is not what its arm promises; an empty list when it is."""
    faults = []
    for moment in ("before", "after"):
        state = slot["facts"].get(f"scheduler_{moment}")
        wanted = "disabled" if arm == "eevdf" else "enabled"
        if state != wanted:
            faults.append(f"scheduler was {state} {moment} the slot")
    before, after = slot["before"], slot["after"]
    if before and after and before["updates"] is not None and before["updates"] != after["updates"]:
        faults.append(f"the learner moved ({before['updates']} to {after['updates']} updates)")
    asked, took = slot["facts"].get("asked_seconds"), dig(slot["frame"], "seconds")
    if asked and took and took > 1.5 * asked:
        faults.append(f"the slot took {took:.1f} s instead of {asked:g}: the whole machine stood still")
    wrong = sum(figures.get("wrong", 0) for figures in (dig(slot["frame"], "classes") or {}).values())
    if wrong:
        faults.append(f"{wrong} tasks gave a wrong result")
    return faults


def column(rounds, arm, metric):
    return [r["slots"][arm]["metrics"][metric] for r in rounds]


def summaries(rounds, seed):
    return {arm: {metric: stats.summarise(column(rounds, arm, metric), seed) for metric in METRICS} for arm in ARMS}


def ratios(rounds, seed):
    """learned over each other arm, paired by round; the miss ratio as a difference, since it may be 0."""
    answer = {}
    for other in ARMS[:-1]:
        entry = {}
        for metric in METRICS:
            mine, theirs = column(rounds, "learned", metric), column(rounds, other, metric)
            if metric == "deadline_miss_ratio":
                entry["deadline_miss_ratio_difference"] = stats.paired_differences(mine, theirs, seed)
            else:
                entry[metric] = stats.paired_ratios(mine, theirs, seed)
        answer[f"learned_over_{other}"] = entry
    return answer


def placements(rounds, cpus):
    """{arm: {class: [share per CPU]}}, the mean over rounds."""
    answer = {}
    for arm in ARMS:
        sums = {}
        for r in rounds:
            for name, shares in r["slots"][arm]["placement"].items():
                total, count = sums.get(name, ([0.0] * cpus, 0))
                sums[name] = ([a + b for a, b in zip(total, shares)], count + 1)
        answer[arm] = {name: [value / count for value in total] for name, (total, count) in sums.items()}
    return answer


def latency_quantiles(rounds, seed):
    """{arm: [{q, median, lo, hi}]}: each quantile of a slot's audio latency, ms, over the rounds.

    The maximum (q = 1) is left out: it grows with the length of a slot.
    """
    answer = {}
    for arm in ARMS:
        shapes = [r["slots"][arm]["distribution"] for r in rounds]
        common = sorted(q for q in set.intersection(*map(set, shapes)) if q < 1)
        answer[arm] = [{"q": q, **stats.summarise([shape[q] for shape in shapes], seed)} for q in common]
    return answer


def learning_curve(folder):
    """One point for each stretch of the learning phase, in order, from learn/NN.{json,facts,status.json}."""
    points = []
    for path in sorted((Path(folder) / "learn").glob("[0-9]*.facts")):
        base = path.with_suffix("")
        facts = read_facts(path)
        status = read_json(base.with_suffix(".status.json"))
        figures = status_figures(status)
        frame = base.with_suffix(".json")
        point = {"seconds": facts.get("seconds"), "completions": facts.get("completions", figures["completions"]),
                 "updates": figures["updates"], "decisions": figures["decisions"]}
        point.update(frame_metrics(read_json(frame), frame))
        points.append(point)
    return points


def agent_cost(folder, rounds):
    """CPU and memory of the agent while it learned and in the slots of each arm."""
    facts = read_facts(Path(folder) / "agent.facts")
    ticks = facts.get("clock_ticks", 100)
    cost = {"memory_peak_bytes": facts.get("memory_peak_kib", 0) * 1024,
            "cpu_seconds_total": facts.get("cpu_ticks", 0) / ticks, "cpu_share_of_one": {}}
    if facts.get("learning_seconds"):
        cost["cpu_share_of_one"]["learning"] = facts.get("learning_cpu_ticks", 0) / ticks / facts["learning_seconds"]
    for arm in ARMS:
        shares = []
        for r in rounds:
            slot = r["slots"][arm]["facts"]
            if slot.get("seconds"):
                shares.append((slot.get("agent_ticks_after", 0) - slot.get("agent_ticks_before", 0)) / ticks / slot["seconds"])
        cost["cpu_share_of_one"][arm] = stats.median(shares) if shares else None
    return cost


def targets(summary, ratio, completions, rounds, faults):
    """[{name, value, lo, hi, bound, side, met}]: what was wanted, and whether it was reached."""
    answer = []
    for name, metric, other, bound, side in RATIO_TARGETS:
        found = ratio[f"learned_over_{other}"][metric]
        value = found and found["median"]
        met = value is not None and (value <= bound if side == "at most" else value >= bound)
        answer.append({"name": name, "value": value, "lo": found and found["lo"], "hi": found and found["hi"],
                       "bound": bound, "side": side, "met": met})
    apart = stats.disjoint_below(summary["learned"]["cost"], summary["random"]["cost"])
    answer.append({"name": "cost, intervals of learned and random are disjoint", "value": int(apart), "bound": 1,
                   "side": "at least", "met": apart})
    answer.append({"name": "completions of learning before the comparison", "value": completions,
                   "bound": MOST_COMPLETIONS, "side": "at most",
                   "met": completions is not None and 0 < completions <= MOST_COMPLETIONS})
    answer.append({"name": "rounds", "value": len(rounds), "bound": FEWEST_ROUNDS, "side": "at least",
                   "met": len(rounds) >= FEWEST_ROUNDS})
    answer.append({"name": "slots that were not what their arm promises", "value": len(faults), "bound": 0,
                   "side": "at most", "met": not faults})
    return answer


def assemble(folder, plan, settings):
    """The whole result. `folder` is what came back from /out; `settings` what run.py knows: seed,
    speeds, cpus, where, kernel asked for, emulated."""
    machine = read_facts(Path(folder) / "machine.facts")
    cpus = machine.get("cpus") or settings.get("cpus")
    if not cpus:
        raise Unusable(f"{folder}/machine.facts: no cpus")
    rounds = read_rounds(folder, plan, cpus)
    if not rounds:
        raise Unusable("no rounds were planned")
    seed = settings["seed"]
    summary, ratio = summaries(rounds, seed), ratios(rounds, seed)
    faults = [f"round {r['round']} {arm}: {fault}" for r in rounds for arm in r["order"]
              for fault in slot_faults(arm, r["slots"][arm])]
    curve = learning_curve(folder)
    learned = read_facts(Path(folder) / "learning.facts")
    first = rounds[0]["slots"][rounds[0]["order"][0]]["frame"]
    completions = learned.get("completions")
    return {
        "what": "tactus demo: one work load, four ways to place its tasks, interleaved in one boot",
        "seed": seed,
        "kernel": machine.get("kernel"),
        "machine": {**settings, **{k: v for k, v in machine.items() if k != "kernel"}},
        "weights": first.get("weights"),
        "deadline_ms": dig(first, "classes", "audio", "deadline_ms"),
        "rounds": [{"round": r["round"], "order": r["order"],
                    "slots": {arm: {**s["metrics"], "placement": s["placement"], "facts": s["facts"],
                                    "status_before": s["before"], "status_after": s["after"],
                                    "classes": {n: {k: v for k, v in c.items() if k != "latency_distribution"}
                                                for n, c in (dig(s["frame"], "classes") or {}).items()}}
                              for arm, s in r["slots"].items()}} for r in rounds],
        "summary": summary,
        "ratios": ratio,
        "latency_quantiles_ms": latency_quantiles(rounds, seed),
        "placement": placements(rounds, cpus),
        "learning": {"completions_before_measurement": completions, "seconds": learned.get("seconds"),
                     "ended_by": learned.get("ended_by"), "curve": curve},
        "agent": agent_cost(folder, rounds),
        "faults": faults,
        "targets": targets(summary, ratio, completions, rounds, faults),
    }
