# SPDX-License-Identifier: Apache-2.0
"""Made-up measurements in the form that guest.sh and tactus-frame write, for tests of the scripts.

Relies on: the field names of examples/frame/report.cpp. The numbers are invented; nothing that is
computed from them is a result.
"""
import json
import random
import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts/demo"
sys.path.insert(0, str(SCRIPTS))

QUANTILES = [0, .01, .05, .1, .2, .3, .4, .5, .6, .7, .8, .9, .95, .98, .99, .995, 1]
# arm: (median of audio latency ms, tail factor, loading per s, cost, shares of audio per CPU)
LEVELS = {"eevdf": (5, 4.5, 100, 20, (.25, .25, .25, .25)), "fallback": (4.5, 4, 98, 19, (.3, .3, .2, .2)),
          "random": (8, 6, 80, 30, (.25, .25, .25, .25)), "learned": (2.6, 3, 104, 14, (.48, .48, .02, .02))}
SETTINGS = {"seed": 3, "cpus": 4, "speeds": "70,70,20,20", "where": "made up", "emulated": True, "host_processor": "none", "run_seconds": 1}


def frame(arm, generator, blocks=400):
    median, tail, per_s, cost, shares = LEVELS[arm]
    noise = lambda width=0.08: generator.uniform(1 - width, 1 + width)
    p50, per_s, cost = median * noise(), per_s * noise(), cost * noise()
    grow = tail * noise(0.2)
    shape = [p50 * (0.5 + q) if q <= 0.5 else p50 * (1 + (grow - 1) * ((q - 0.5) / 0.5) ** 3) for q in QUANTILES]
    classes = {}
    for name in ("audio", "physics", "path", "loading"):
        counts = [round(blocks * s) for s in (shares if name == "audio" else (.3, .3, .2, .2))]
        classes[name] = {"latency_p50_ms": p50, "latency_p99_ms": shape[QUANTILES.index(.99)], "deadline_miss_ratio": 0.01 * median if name == "audio" else None,
                         "deadline_ms": 20.0 if name == "audio" else None, "throughput_per_s": per_s, "wrong": 0, "tasks_on_cpu": counts,
                         "latency_distribution": {"quantile": QUANTILES, "ms": shape}}
    return {"program": "tactus-frame", "seconds": 4.0, "cost": cost, "weights": {"audio": 8, "physics": 4, "path": 2, "loading": 1}, "classes": classes}


def facts(path, **values):
    path.write_text("".join(f"{k}={v}\n" for k, v in values.items()), encoding="utf-8")


def status_json(completions, updates, agent=True):
    """As `tactus status --json`; agent is null while it does not answer."""
    learning = {"completions": completions, "updates": updates, "decisions": 2 * completions, "version": updates // 10}
    return {"loaded": True, "stats": {"completions": completions + 7}, "decisions": {"row": 2 * completions},
            "agent": {"ok": True, "mode": "learned", "pools": [{"pool": 0}], "learning": learning} if agent else None}


def status(path, completions, updates):
    path.write_text(json.dumps(status_json(completions, updates)), encoding="utf-8")


def write_out(folder, rounds=10, seed=3):
    """Fills `folder` as guest.sh fills /out; returns the plan."""
    import demo
    folder = Path(folder)
    generator = random.Random(seed)
    for name in ("slots", "learn"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    facts(folder / "machine.facts", kernel="7.3.4-made-up", cpus=4, processor="QEMU TCG CPU", slot_seconds=4, warmup_seconds=0.5)
    for k in range(1, 13):
        point = frame("learned", generator)
        point["cost"] = 14 + 6 * 0.75 ** k
        (folder / f"learn/{k:02d}.json").write_text(json.dumps(point), encoding="utf-8")
        facts(folder / f"learn/{k:02d}.facts", seconds=5 * k, completions=4000 * k, completions_begin=4000 * (k - 1))
        status(folder / f"learn/{k:02d}.status.json", 4000 * k, 100 * k)
    status(folder / "learn/end.status.json", 48100, 1200)
    facts(folder / "learning.facts", completions=48100, seconds=60.5, ended_by="completions")
    plan = demo.make_plan(seed, rounds)
    for number, order in enumerate(plan, 1):
        for arm in order:
            base = folder / f"slots/{number:02d}-{arm}"
            base.with_suffix(".json").write_text(json.dumps(frame(arm, generator)), encoding="utf-8")
            state = "disabled" if arm == "eevdf" else "enabled"
            facts(base.with_suffix(".facts"), seconds=4.1, scheduler_before=state, scheduler_after=state, agent_ticks_before=100, agent_ticks_after=112)
            status(base.with_suffix(".before.json"), 48100, 1200)
            status(base.with_suffix(".after.json"), 48100, 1200)
    facts(folder / "agent.facts", clock_ticks=100, cpu_ticks=2600, memory_peak_kib=51200, learning_cpu_ticks=1500, learning_seconds=60.5)
    return plan
