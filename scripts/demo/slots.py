# SPDX-License-Identifier: Apache-2.0
"""Reads what guest.sh and its programs wrote: slots, status, facts of the machine.

Relies on: the JSON of tactus-frame and of `tactus status`, the key=value files of guest.sh. This is
the only place that knows their names. Does not: compare or draw anything.
"""
import json
from pathlib import Path

ARMS = ("eevdf", "fallback", "random", "learned")
CLASSES = ("audio", "physics", "path", "loading")
METRICS = ("latency_p50_ms", "latency_p99_ms", "deadline_miss_ratio", "throughput_per_s", "cost")


class Unusable(Exception):
    """A file that is missing, cannot be read or lacks what it must hold; the message names it."""


def read_json(path):
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Unusable(f"{path}: {error}") from error


def read_facts(path):
    """A key=value file of guest.sh; whole numbers become int, other numbers float."""
    facts = {}
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise Unusable(f"{path}: {error}") from error
    for line in lines:
        key, equals, value = line.partition("=")
        if not equals:
            continue
        for kind in (int, float):
            try:
                value = kind(value)
                break
            except ValueError:
                pass
        facts[key.strip()] = value
    return facts


def dig(tree, *names):
    """tree[name][name]...; None where something on the way is missing."""
    for name in names:
        if not isinstance(tree, dict) or name not in tree:
            return None
        tree = tree[name]
    return tree


def frame_metrics(frame, where):
    """The five metrics of one run of tactus-frame. Raises Unusable where one is missing."""
    metrics = {
        "latency_p50_ms": dig(frame, "classes", "audio", "latency_p50_ms"),
        "latency_p99_ms": dig(frame, "classes", "audio", "latency_p99_ms"),
        "deadline_miss_ratio": dig(frame, "classes", "audio", "deadline_miss_ratio"),
        "throughput_per_s": dig(frame, "classes", "loading", "throughput_per_s"),
        "cost": dig(frame, "cost"),
    }
    missing = [name for name, value in metrics.items() if not isinstance(value, (int, float))]
    if missing:
        raise Unusable(f"{where}: no {', '.join(missing)}")
    return metrics


def frame_placement(frame, cpus):
    """{class: [share of its tasks started on each CPU]}; classes that ran nothing are left out."""
    placement = {}
    for name, figures in (dig(frame, "classes") or {}).items():
        counts = list(figures.get("tasks_on_cpu") or [])[:cpus]
        counts += [0] * (cpus - len(counts))
        total = sum(counts)
        if total > 0:
            placement[name] = [count / total for count in counts]
    return placement


def frame_distribution(frame):
    """{quantile: ms} of the audio blocks' latency; empty where tactus-frame did not write it."""
    shape = dig(frame, "classes", "audio", "latency_distribution") or {}
    return dict(zip(shape.get("quantile", []), shape.get("ms", [])))


def status_figures(status):
    """What the demo needs of one `tactus status --json`; None where it does not say."""
    agent = status.get("agent")
    return {
        "completions": dig(agent, "learning", "completions"),
        "updates": dig(agent, "learning", "updates"),
        "decisions": dig(agent, "learning", "decisions"),
        "rows_version": dig(agent, "learning", "version"),
        "mode": dig(agent, "mode"),
        "pools": len(dig(agent, "pools") or []),
        "sources": dig(status, "decisions"),
        "completions_reported": dig(status, "stats", "completions"),
        "events_lost": dig(status, "stats", "ring_lost"),
    }


def read_slot(folder, name, cpus):
    """One measured slot: NAME.json of tactus-frame, NAME.facts of guest.sh, status before and after."""
    folder = Path(folder)
    frame = read_json(folder / f"{name}.json")
    slot = {"metrics": frame_metrics(frame, folder / f"{name}.json"), "placement": frame_placement(frame, cpus),
            "distribution": frame_distribution(frame), "frame": frame, "facts": read_facts(folder / f"{name}.facts")}
    for moment in ("before", "after"):
        path = folder / f"{name}.{moment}.json"
        slot[moment] = status_figures(read_json(path)) if path.is_file() and path.stat().st_size else None
    return slot
