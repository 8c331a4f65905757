# SPDX-License-Identifier: Apache-2.0
"""The report's charts, each a function from result.json's content to SVG text.

Relies on: svg.py for scales and elements; the colours of report.css. A chart whose numbers are
missing says so instead of drawing nothing. Does not: compute figures; what is drawn is in result.json.
"""
import svg
from slots import ARMS, CLASSES

ARM_NAMES = {"eevdf": "eevdf (kernel default)", "fallback": "fallback (heuristic)", "random": "random places",
             "learned": "learned"}
WIDTH = 540  # of a chart of which two stand side by side
METRIC_NAMES = {"latency_p50_ms": "audio latency, median", "latency_p99_ms": "audio latency, 99th percentile",
                "deadline_miss_ratio": "audio deadlines missed", "throughput_per_s": "loading throughput",
                "cost": "cost: weighted tasks present"}


def absent(reason):
    return svg.tag("p", reason, klass="absent")


def arm_keys(arms=ARMS):
    items = "".join(f'<li class="{arm}"><i></i>{ARM_NAMES[arm]}</li>' for arm in arms)
    return f'<ul class="keys">{items}</ul>'


def log_bounds(values, room=1.15):
    values = [v for v in values if v > 0]
    return min(values) / room, max(values) * room


def latency_distribution(result):
    """Percentile plot: how slow the slowest part of the audio blocks is, per arm."""
    curves = {arm: points for arm, points in result["latency_quantiles_ms"].items() if points}
    if not curves:
        return absent("The work load reported no distribution; the table above has the quantiles per slot.")
    width, height, left, top, right, bottom = 1000, 440, 56, 36, 980, 390
    deadline = result.get("deadline_ms")
    values = [p[k] for points in curves.values() for p in points for k in ("lo", "hi")] + ([deadline] if deadline else [])
    y = svg.Log(*log_bounds(values), bottom, top)
    x = svg.Percentile(max(p["q"] for points in curves.values() for p in points), left, right)
    parts = [svg.axes(x, y, left, top, right, bottom, "share of audio blocks that were done in this time or less",
                      "latency, ms", x_format=lambda q: f"{100 * q:g} %", y_ticks=8)]
    if deadline:
        parts.append(svg.line(left, y(deadline), right, y(deadline), "mark"))
        parts.append(svg.text(left + 6, y(deadline) - 6, f"deadline {svg.short(deadline)} ms", klass="note"))
    arms = [arm for arm in ARMS if arm in curves]
    for arm in arms:
        points = curves[arm]
        outline = [(x(p["q"]), y(p["hi"])) for p in points] + [(x(p["q"]), y(p["lo"])) for p in reversed(points)]
        parts.append(svg.path(outline, f"area {arm}"))
    for arm in arms:
        points = curves[arm]
        parts.append(svg.path([(x(p["q"]), y(p["median"])) for p in points], f"curve {arm}"))
        for p in points:
            parts.append(svg.tag("circle", cx=x(p["q"]), cy=y(p["median"]), r=3.6, klass=f"dot {arm}",
                                 tip=f"{ARM_NAMES[arm]}: {100 * p['q']:g} % of blocks within {svg.number(p['median'])} ms "
                                     f"(95 % interval over rounds {svg.number(p['lo'])} to {svg.number(p['hi'])})"))
    return arm_keys(arms) + svg.figure(width, height, "".join(parts), "Audio latency by percentile, per arm")


def rounds_strip(result, metric, unit):
    """One dot per round and arm, with the median and its interval: shows the spread as it was."""
    rounds, width, left, right = result["rounds"], WIDTH, 74, WIDTH - 14
    height, top = 20 + 46 * len(ARMS) + 48, 12
    bottom = top + 46 * len(ARMS)
    values = [slot[metric] for r in rounds for slot in r["slots"].values()]
    if min(values) > 0 and max(values) / min(values) > 6:
        x = svg.Log(*log_bounds(values), left, right)
    else:
        low, high = min(values), max(values)
        room = (high - low) * 0.06 or abs(high) * 0.06 or 1
        x = svg.Linear(max(0, low - room) if low >= 0 else low - room, high + room, left, right)
    parts = []
    for value in x.ticks(5):
        parts.append(svg.line(x(value), top, x(value), bottom, "grid"))
        parts.append(svg.text(x(value), bottom + 18, svg.short(value), "middle", "tick"))
    parts.append(svg.text((left + right) / 2, bottom + 38, f"{METRIC_NAMES[metric]}, {unit}", "middle", "label"))
    for row, arm in enumerate(ARMS):
        middle = top + 46 * row + 23
        found = result["summary"][arm][metric]
        parts.append(svg.text(left - 12, middle + 4, arm, "end", "label"))
        parts.append(svg.tag("rect", x=x(found["lo"]), y=middle - 12, width=max(2.0, x(found["hi"]) - x(found["lo"])),
                             height=24, rx=3, klass=f"band {arm}",
                             tip=f"{arm}: median {svg.number(found['median'])} {unit}, 95 % interval "
                                 f"{svg.number(found['lo'])} to {svg.number(found['hi'])}"))
        parts.append(svg.line(x(found["median"]), middle - 15, x(found["median"]), middle + 15, f"median {arm}"))
        for r in rounds:
            value = r["slots"][arm][metric]
            place = r["order"].index(arm) + 1
            parts.append(svg.tag("circle", cx=x(value), cy=middle + (r["round"] % 5 - 2) * 3.4, r=3.6, klass=f"dot {arm}",
                                 tip=f"round {r['round']}, {arm} (ran {place}. of {len(r['order'])}): {svg.number(value)} {unit}"))
    return svg.figure(width, height, "".join(parts), f"{METRIC_NAMES[metric]} in each round, per arm")


def learning_curve(result, metric, unit):
    """A metric over completions while learning, with the levels that the other arms had afterwards."""
    points = [p for p in result["learning"]["curve"] if p.get("completions") is not None]
    if len(points) < 2:
        return absent("The learning phase left fewer than two points.")
    width, height, left, top, right, bottom = WIDTH, 320, 46, 36, WIDTH - 136, 270
    levels = {arm: result["summary"][arm][metric] for arm in ("eevdf", "fallback", "learned")}
    values = [p[metric] for p in points] + [v for found in levels.values() for v in (found["lo"], found["hi"])]
    y = svg.Linear(0, max(values) * 1.06, bottom, top)
    x = svg.Linear(0, points[-1]["completions"], left, right)
    parts = [svg.axes(x, y, left, top, right, bottom, "tasks completed under the learner", f"{METRIC_NAMES[metric]}, {unit}")]
    labels = []
    for arm, found in levels.items():
        tip = f"{ARM_NAMES[arm]}, measured afterwards: {svg.number(found['median'])} {unit} " \
              f"({svg.number(found['lo'])} to {svg.number(found['hi'])})"
        parts.append(svg.tag("rect", x=left, y=y(found["hi"]), width=right - left, height=max(1.0, y(found["lo"]) - y(found["hi"])),
                             klass=f"level {arm}", tip=tip))
        parts.append(svg.line(left, y(found["median"]), right, y(found["median"]), f"median dashed {arm}"))
        labels.append([y(found["median"]), arm, f"{arm}{' after' if arm == 'learned' else ''} {svg.number(found['median'])}"])
    labels.sort()
    for lower, upper in zip(labels, labels[1:]):  # keep names apart where levels meet
        upper[0] = max(upper[0], lower[0] + 17)
    for height_of_name, arm, name in labels:
        parts.append(svg.text(right + 8, height_of_name + 4, name, klass=f"note {arm}"))
    parts.append(svg.path([(x(p["completions"]), y(p[metric])) for p in points], "curve learned"))
    for p in points:
        parts.append(svg.tag("circle", cx=x(p["completions"]), cy=y(p[metric]), r=4.2, klass="dot learned",
                             tip=f"after {svg.short(p['completions'])} completions"
                                 f"{'' if p.get('seconds') is None else ' (%s s)' % svg.short(p['seconds'])}: {svg.number(p[metric])} {unit}"))
    return svg.figure(width, height, "".join(parts), f"{METRIC_NAMES[metric]} while learning")


def cpu_names(result, cpus):
    words = str(result["machine"].get("speeds") or "").split(",")
    speeds = words if len(words) == cpus else [None] * cpus
    return [f"{n}" if s is None else f"{n}: {s} %" for n, s in enumerate(speeds)]


def placement_heat_maps(result):
    """Class x CPU: which share of a class's tasks started on each CPU; one map per arm."""
    placement = result["placement"]
    if not any(placement.values()):
        return absent("The work load reported no places.")
    cpus = result["machine"]["cpus"]
    names = [c for c in CLASSES if any(c in shares for shares in placement.values())]
    names += sorted({c for shares in placement.values() for c in shares} - set(names))
    columns = cpu_names(result, cpus)
    cell_w, cell_h, left, top = max(34, min(54, 200 // cpus)), 38, 62, 30
    width, height = left + cell_w * cpus + 6, top + cell_h * len(names) + 30
    maps = []
    for arm in ARMS:
        parts = [svg.text(0, 16, ARM_NAMES[arm], klass=f"title {arm}")]
        for row, name in enumerate(names):
            y = top + cell_h * row
            parts.append(svg.text(left - 8, y + cell_h / 2 + 4, name, "end", "label"))
            for cpu in range(cpus):
                share = placement[arm].get(name, [None] * cpus)[cpu]
                x = left + cell_w * cpu
                if share is None:
                    continue
                parts.append(svg.tag("rect", x=x, y=y, width=cell_w - 2, height=cell_h - 2, rx=3, klass="cell",
                                     style=f"fill-opacity:{0.04 + 0.96 * share:.3f}",
                                     tip=f"{arm}: {100 * share:.1f} % of {name} tasks started on CPU {columns[cpu]}"))
                if cell_w >= 34:
                    parts.append(svg.text(x + cell_w / 2 - 1, y + cell_h / 2 + 4, f"{100 * share:.0f}", "middle",
                                          "in-cell strong" if share > 0.5 else "in-cell"))
        for cpu in range(cpus):
            parts.append(svg.text(left + cell_w * cpu + cell_w / 2 - 1, height - 12, columns[cpu], "middle", "tick"))
        maps.append(svg.tag("div", svg.figure(width, height, "".join(parts), f"Where tasks ran, {arm}"), klass="map"))
    return f'<div class="maps">{"".join(maps)}</div>'


def ratio_forest(result):
    """learned over each other arm, with interval, and the target where there is one."""
    rows = []
    wanted = {(t["name"]): t for t in result["targets"]}
    for other in ARMS[:-1]:
        for metric in ("latency_p50_ms", "latency_p99_ms", "throughput_per_s", "cost"):
            found = result["ratios"][f"learned_over_{other}"].get(metric)
            if found:
                target = next((t for name, t in wanted.items() if name.endswith(f"learned over {other}") and
                               {"latency_p99_ms": "audio p99", "throughput_per_s": "loading", "cost": "cost"}.get(metric, "?") in name), None)
                rows.append((other, metric, found, target))
    if not rows:
        return absent("No ratio is defined.")
    width, left, right, step = 1000, 250, 900, 28
    height = 30 + step * len(rows) + 14 * 2 + 46
    low, high = log_bounds([v for _, _, f, t in rows for v in (f["lo"], f["hi"], t["bound"] if t else 1)] + [0.9, 1.1], 1.08)
    x = svg.Log(low, high, left, right)
    bottom, y, parts, last = height - 46, 20, [], None
    for value in x.ticks(7):
        parts.append(svg.line(x(value), 8, x(value), bottom, "grid"))
        parts.append(svg.text(x(value), bottom + 18, svg.short(value), "middle", "tick"))
    parts.append(svg.line(x(1), 8, x(1), bottom, "axis"))
    parts.append(svg.text((left + right) / 2, bottom + 38, "learned ÷ other arm, paired by round (1 = equal)", "middle", "label"))
    for other, metric, found, target in rows:
        if last not in (None, other):
            y += 14
        if last != other:
            parts.append(svg.text(0, y + 4, f"over {other}", klass=f"title {other}"))
            last = other
        good = found["hi"] < 1 if metric != "throughput_per_s" else found["lo"] > 1
        bad = found["lo"] > 1 if metric != "throughput_per_s" else found["hi"] < 1
        klass = "good" if good else "bad" if bad else "open"
        short_name = {"latency_p50_ms": "audio p50", "latency_p99_ms": "audio p99", "throughput_per_s": "loading per s", "cost": "cost"}[metric]
        parts.append(svg.text(left - 12, y + 4, short_name, "end", "label"))
        parts.append(svg.line(x(found["lo"]), y, x(found["hi"]), y, f"whisker {klass}"))
        tip = f"{METRIC_NAMES[metric]}, learned over {other}: {svg.number(found['median'])} " \
              f"(95 % interval {svg.number(found['lo'])} to {svg.number(found['hi'])}, {found['n']} rounds)"
        if target:
            tip += f"; target {target['side']} {target['bound']:g}: {'met' if target['met'] else 'not met'}"
            parts.append(svg.line(x(target["bound"]), y - 9, x(target["bound"]), y + 9, "target"))
        parts.append(svg.tag("circle", cx=x(found["median"]), cy=y, r=5, klass=f"point {klass}", tip=tip))
        parts.append(svg.text(right + 14, y + 4, svg.number(found["median"]), klass="value"))
        y += step
    return svg.figure(width, height, "".join(parts), "Ratios of learned to the other arms")


def agent_cost(result):
    """What the agent used: CPU while learning and in the slots of each arm."""
    shares = [(k, v) for k, v in result["agent"]["cpu_share_of_one"].items() if v is not None]
    if not shares:
        return absent("The agent's CPU time was not recorded.")
    width, left, right, step = 1000, 150, 900, 34
    height = 24 + step * len(shares) + 46
    bottom = height - 46
    x = svg.Linear(0, max(v for _, v in shares) * 100 * 1.05 or 1, left, right)
    parts = []
    for value in x.ticks(6):
        parts.append(svg.line(x(value), 8, x(value), bottom, "grid"))
        parts.append(svg.text(x(value), bottom + 18, svg.short(value), "middle", "tick"))
    parts.append(svg.text((left + right) / 2, bottom + 38, "CPU time of the agent, % of one CPU of this machine", "middle", "label"))
    for row, (name, share) in enumerate(shares):
        y = 16 + step * row
        klass = "learned" if name == "learning" else name
        parts.append(svg.text(left - 12, y + 15, "while learning" if name == "learning" else f"in {name} slots", "end", "label"))
        parts.append(svg.tag("rect", x=left, y=y, width=max(1.5, x(100 * share) - left), height=22, rx=3, klass=f"bar {klass}",
                             tip=f"{name}: {100 * share:.2f} % of one CPU"))
        parts.append(svg.text(x(100 * share) + 8, y + 15, f"{100 * share:.1f} %", klass="value"))
    return svg.figure(width, height, "".join(parts), "CPU time of the agent")
