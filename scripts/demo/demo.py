#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The demo's host side: runs guest.sh in a VM of unequal CPUs (or on this machine), assembles
result.json, prints the table, writes report.html. See scripts/demo.sh --help.

Relies on: a finished build, scripts/vm.sh, the standard library.
Does not: build or fetch (make demo does), or pass judgement on a run: targets that were not met are
told and do not change the exit code.
"""
import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import report
import result as results
from slots import ARMS, METRICS, Unusable, read_facts
from svg import number

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
EXIT_FAILED, EXIT_USAGE, EXIT_NO_SCHED_EXT, EXIT_UNUSABLE, EXIT_FAULTS = 1, 2, 3, 4, 5
CPUS, SPEEDS, MEMORY = 4, "70,70,20,20", "2G"

# Options of tactus-frame. In the VM tasks of 2 to 4 ms, so few that the fast CPUs could do them all: a
# vCPU of 20 % runs at full speed for 1 ms of each 5 and then stands still, so that tasks shorter than
# that do not see a slow CPU at all.
HOST_LOAD = "--audio-period-ms 5"
EMULATED_LOAD = ("--audio-period-ms 20 --audio-streams 1 --audio-rooms 2 --physics-tasks 2 --physics-bodies 200 "
                 "--load-piece-kib 128 --load-think-ms 60")
DEFAULT_COMPLETIONS = 10_000  # what a start from the shipped model needs at most

EPILOG = f"""
examples:
  scripts/demo.sh
  scripts/demo.sh --seed 7 --rounds 20
  scripts/demo.sh --host --slot-seconds 5
  scripts/demo.sh --from build/demo/out        only assemble and draw again what was measured

Writes BUILD/demo/result.json and BUILD/demo/report.html; raw figures are in BUILD/demo/out.

exit codes: 0 measured (targets met or not), {EXIT_FAILED} the run failed, {EXIT_USAGE} wrong use,
  {EXIT_NO_SCHED_EXT} this machine's kernel has no sched_ext (--host), {EXIT_UNUSABLE} a file of the run is missing or unusable,
  {EXIT_FAULTS} measured, but some slots were not what their arm promises (listed)
"""


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(prog="scripts/demo.sh", epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     description="Compares four ways to place the tasks of an example work load, interleaved in one boot: the kernel's "
                                                 "default scheduler, the fallback heuristic, random places, the learned decision map.", allow_abbrev=False)
    parser.add_argument("--build", default="build", help="build folder (default build)")
    parser.add_argument("--seed", type=int, default=1, help="of the order of arms, the agent and the load (default 1)")
    parser.add_argument("--rounds", type=int, default=10, help="rounds of all four arms (default 10; fewer show nothing)")
    parser.add_argument("--kernel", default="latest", help="as of scripts/vm.sh (default latest)")
    parser.add_argument("--host", action="store_true", help="run on this machine's own kernel instead of a VM; needs root or sudo")
    parser.add_argument("--slot-seconds", type=float, default=4, help="length of a measured slot, at most 5 (default 4)")
    parser.add_argument("--warmup-seconds", type=float, default=0.5, help="after each change of arm, not measured (default 0.5)")
    parser.add_argument("--learn-seconds", type=float, default=40, help="at most so long a learning phase (default 40)")
    parser.add_argument("--learn-completions", type=int, default=DEFAULT_COMPLETIONS,
                        help=f"at most so many completions of learning (default {DEFAULT_COMPLETIONS})")
    parser.add_argument("--from", dest="source", metavar="DIR", help="measure nothing, take what an earlier run wrote")
    options = parser.parse_args(arguments)
    if not 0 < options.slot_seconds <= 5 or options.warmup_seconds <= 0:
        parser.error("--slot-seconds must be above 0 and at most 5, --warmup-seconds above 0")
    if options.rounds < 1 or not 0 < options.learn_completions <= results.MOST_COMPLETIONS:
        parser.error(f"--rounds must be at least 1, --learn-completions between 1 and {results.MOST_COMPLETIONS}")
    if not re.fullmatch(r"[\w./+-]+", options.kernel):
        parser.error(f"--kernel '{options.kernel}' is no kernel")
    return options


def make_plan(seed, rounds):
    """The order of arms in each round: every arm once, shuffled; eevdf ends one round and begins the next.

    Loading the scheduler takes longer than a slot where the machine is emulated: so it is loaded every other round.
    """
    generator = random.Random(seed)
    detached = "eevdf"
    first = generator.random() < 0.5
    plan = []
    for number in range(rounds):
        order = [arm for arm in ARMS if arm != detached]
        generator.shuffle(order)
        order.insert(0 if first == (number % 2 == 0) else len(order), detached)
        plan.append(order)
    return plan


def say(text):
    print(f"demo: {text}", flush=True)


def host_processor():
    match = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.M)
    return f"{match.group(1) if match else 'unknown'}, {os.cpu_count()} CPUs"


def guest_options(options, plan, out, host):
    words = ["--plan", ";".join(" ".join(order) for order in plan), "--out", str(out), "--seed", str(options.seed),
             "--slot-seconds", f"{options.slot_seconds:g}", "--warmup-seconds", f"{options.warmup_seconds:g}",
             "--learn-seconds", f"{options.learn_seconds:g}", "--learn-completions", str(options.learn_completions),
             "--load", HOST_LOAD if host else EMULATED_LOAD]
    return words


def run_in_vm(options, plan, folder):
    longest = 240 + options.learn_seconds * 2 + options.rounds * len(ARMS) * (options.slot_seconds + options.warmup_seconds + 6)
    command = [REPOSITORY / "scripts/vm.sh", "--kernel", options.kernel, "--cpus", str(CPUS), "--speeds", SPEEDS, "--memory", MEMORY,
               "--timeout", f"{longest:.0f}", "--again", "1", "--bin", Path(options.build) / "bin", "--out", folder / "out", "--console", folder / "console.log",
               "--", "/tactus/scripts/demo/guest.sh", *guest_options(options, plan, "/out", host=False)]
    say(f"booting a VM: kernel {options.kernel}, {CPUS} CPUs with speeds of {SPEEDS} % of a host CPU")
    return subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, check=False).returncode


def run_on_host(options, plan, folder):
    if not os.path.exists("/sys/kernel/sched_ext/state"):
        say("this machine's kernel has no sched_ext (CONFIG_SCHED_CLASS_EXT); run `make demo` without HOST=1, which uses a VM")
        sys.exit(EXIT_NO_SCHED_EXT)
    out = (folder / "out").resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    path = f"{(Path(options.build) / 'bin').resolve()}:{os.environ['PATH']}:/usr/sbin:/sbin"
    words = [str(HERE / "guest.sh"), *guest_options(options, plan, out, host=True),
             "--load-as", ""]
    if os.geteuid() != 0:
        say("loading a scheduler needs root: sudo may ask for your password")
        words = ["sudo", "env", f"PATH={path}", *words]
    code = subprocess.run(words, stdin=subprocess.DEVNULL, env={**os.environ, "PATH": path}, check=False).returncode
    if os.geteuid() != 0:
        subprocess.run(["sudo", "chown", "-R", f"{os.getuid()}:{os.getgid()}", str(out)], check=False)
    return code


def table(result):
    """The comparison as text: medians with intervals, then the ratios and targets."""
    names = {"latency_p50_ms": "audio p50, ms", "latency_p99_ms": "audio p99, ms", "deadline_miss_ratio": "audio missed, %",
             "throughput_per_s": "loading per s", "cost": "cost"}
    lines = [f"{'median [95 % interval]':18}" + "".join(f"{arm:>26}" for arm in ARMS)]
    for metric in METRICS:
        cells = []
        for arm in ARMS:
            found, scale = result["summary"][arm][metric], 100 if metric == "deadline_miss_ratio" else 1
            cells.append(f"{number(found['median'] * scale)} [{number(found['lo'] * scale)} – {number(found['hi'] * scale)}]")
        lines.append(f"{names[metric]:22}" + "".join(f"{cell:>26}" for cell in cells))
    lines.append("")
    for target in result["targets"]:
        interval = f" [{number(target['lo'])} – {number(target['hi'])}]" if target.get("lo") is not None else ""
        lines.append(f"  {'met    ' if target['met'] else 'NOT met'}  {target['name']}: {number(target['value'])}{interval}"
                     f" (wanted: {target['side']} {target['bound']:g})")
    return "\n".join(lines)


def main():
    options = parse_arguments(sys.argv[1:])
    os.chdir(REPOSITORY)
    folder = Path(options.build) / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    plan_file = folder / "plan.json"
    if options.source:
        out = Path(options.source)
        known = json.loads((out.parent / "plan.json").read_text(encoding="utf-8"))
        plan, settings = known["plan"], known["settings"]
    else:
        if not os.access(Path(options.build) / "bin/tactusd", os.X_OK):
            say(f"{options.build}/bin/tactusd is not there; run make build first")
            return EXIT_USAGE
        out, plan = folder / "out", make_plan(options.seed, options.rounds)
        code = (run_on_host if options.host else run_in_vm)(options, plan, folder)
        if code != 0:
            say(f"the run failed with exit code {code}; what it wrote is in {out}"
                + ("" if options.host else f", the VM's console in {folder}/console.log"))
            return EXIT_FAILED
        processor = str(read_facts(out / "machine.facts").get("processor", ""))
        emulated = not options.host and "TCG" in processor
        settings = {"seed": options.seed, "cpus": None if options.host else CPUS, "speeds": None if options.host else SPEEDS,
                    "where": "this machine" if options.host else "virtual machine, " + ("emulated by QEMU without KVM" if emulated else "KVM"),
                    "emulated": emulated, "host_processor": host_processor(), "run_seconds": round(time.monotonic() - begin, 1)}
        plan_file.write_text(json.dumps({"plan": plan, "settings": settings}), encoding="utf-8")
    try:
        result = results.assemble(out, plan, settings)
    except Unusable as error:
        say(f"cannot use what the run wrote: {error}")
        return EXIT_UNUSABLE
    (folder / "result.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    report.write(result, folder / "report.html")
    print("\n" + table(result) + "\n")
    for fault in result["faults"]:
        say(f"fault: {fault}")
    if result["machine"].get("emulated"):
        say("this ran emulated: times are about ten times those of a real machine; the ratios are what counts")
    say(f"{folder}/result.json and {folder}/report.html written ({time.monotonic() - begin:.0f} s)")
    return EXIT_FAULTS if result["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
