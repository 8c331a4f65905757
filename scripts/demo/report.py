# SPDX-License-Identifier: Apache-2.0
"""Writes build/demo/report.html: one self-contained page from result.json's content.

Relies on: charts.py for drawings, report.css and report.js, which are inlined. Nothing is fetched
when the page is opened. Does not: compute figures.
"""
import json
from html import escape
from pathlib import Path

import charts
import svg
from slots import ARMS, METRICS

HERE = Path(__file__).resolve().parent
UNITS = {"latency_p50_ms": "ms", "latency_p99_ms": "ms", "deadline_miss_ratio": "%", "throughput_per_s": "per s", "cost": ""}
LESS_IS_BETTER = {"latency_p50_ms", "latency_p99_ms", "deadline_miss_ratio", "cost"}


def shown(metric, value):
    return svg.number(value * 100 if metric == "deadline_miss_ratio" and value is not None else value)


def summary_table(result):
    head = "".join(f'<th scope="col">{escape(charts.ARM_NAMES[arm])}</th>' for arm in ARMS)
    rows = []
    for metric in METRICS:
        medians = [result["summary"][arm][metric]["median"] for arm in ARMS]
        best = min(medians) if metric in LESS_IS_BETTER else max(medians)
        cells = []
        for arm in ARMS:
            found = result["summary"][arm][metric]
            klass = ' class="best"' if found["median"] == best else ""
            cells.append(f"<td{klass}>{shown(metric, found['median'])}<small>{shown(metric, found['lo'])} to {shown(metric, found['hi'])}</small></td>")
        unit = UNITS[metric] and f", {UNITS[metric]}"
        rows.append(f'<tr><th scope="row">{escape(charts.METRIC_NAMES[metric])}{unit}</th>{"".join(cells)}</tr>')
    return f'<div class="scroll"><table><thead><tr><th></th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def target_table(result):
    rows = []
    for target in result["targets"]:
        if target.get("lo") is not None:
            value = f"{svg.number(target['value'])}<small>{svg.number(target['lo'])} to {svg.number(target['hi'])}</small>"
        elif target["name"].endswith("disjoint"):
            value = "yes" if target["value"] else "no"
        else:
            value = svg.short(target["value"]) if target["value"] is not None else "unknown"
        wanted = "yes" if target["name"].endswith("disjoint") else f"{target['side']} {svg.short(target['bound'])}"
        met = target["met"]
        rows.append(f'<tr><td>{escape(target["name"])}</td><td>{value}</td><td>{wanted}</td>'
                    f'<td class="{"met" if met else "missed"}">{"met" if met else "not met"}</td></tr>')
    return ('<div class="scroll"><table><thead><tr><th>wanted</th><th>found</th><th>bound</th><th></th></tr></thead>'
            f'<tbody>{"".join(rows)}</tbody></table></div>')


def facts(result):
    machine, agent, learning = result["machine"], result["agent"], result["learning"]
    weights = ", ".join(f"{k} {v:g}" for k, v in (result["weights"] or {}).items())
    items = [
        ("kernel", result["kernel"]),
        ("machine", machine.get("where")),
        ("CPUs", f"{machine['cpus']}" + (f", speeds {machine['speeds']} % of a host CPU each" if machine.get("speeds") else "")),
        ("host processor", machine.get("host_processor")),
        ("rounds", f"{len(result['rounds'])}, each with every arm once in an order drawn from seed {result['seed']}; "
                   f"{svg.short(machine.get('slot_seconds', 0))} s measured after {svg.short(machine.get('warmup_seconds', 0))} s of warm-up"),
        ("learning before", f"{svg.short(learning['completions_before_measurement'] or 0)} completions in {svg.short(learning['seconds'] or 0)} s"
                            f" (ended by: {learning['ended_by']})"),
        ("weights in the cost", weights),
        ("agent", f"{svg.number(agent['cpu_seconds_total'])} s of CPU time in all, {svg.number(agent['memory_peak_bytes'] / 1048576)} MiB at most"),
        ("whole run", f"{svg.short(round(machine.get('run_seconds', 0)))} s"),
    ]
    return "<dl>" + "".join(f"<dt>{escape(k)}</dt><dd>{escape(str(v))}</dd>" for k, v in items if v) + "</dl>"


def section(title, text, content):
    return f"<section><h2>{escape(title)}</h2><p class=\"soft\">{text}</p>{content}</section>"


def columns(*pairs):
    return '<div class="columns">' + "".join(f"<div><h3>{escape(t)}</h3>{c}</div>" for t, c in pairs) + "</div>"


def notices(result):
    parts = []
    if result["machine"].get("emulated"):
        parts.append('<p class="notice">Emulated: this ran in a virtual machine without hardware support, so every time is about ten times '
                     'that of a real machine and noisier. Ratios between arms are what it can show; it says nothing about caches, heat or energy.</p>')
    if result["faults"]:
        listed = "".join(f"<li>{escape(f)}</li>" for f in result["faults"][:20])
        parts.append(f'<div class="notice bad"><b>{len(result["faults"])} faults: do not rely on these figures.</b><ul>{listed}</ul></div>')
    missed = [t["name"] for t in result["targets"] if not t["met"]]
    parts.append(f'<p class="notice">{len(result["targets"]) - len(missed)} of {len(result["targets"])} targets met.'
                 + (f" Not met: {escape('; '.join(missed))}." if missed else "") + "</p>")
    return "".join(parts)


def page(result):
    css, js = ((HERE / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    body = [
        '<header><div><h1>Tactus: four ways to place the same tasks</h1><p class="soft">A game-like load of four task classes on a thread pool, '
        'under the kernel\'s default scheduler (eevdf), the scheduler\'s fixed heuristic (fallback), places drawn at random (random) and the '
        'learned decision map (learned). Interleaved in one boot; median over rounds and 95 % bootstrap interval.</p></div>'
        '<button id="theme" type="button">light / dark</button></header>',
        notices(result),
        section("Result", "Bold is the best median of a row; below it the interval.", summary_table(result)),
        section("Learned over the others", "Ratios paired by round. Left of 1 is better, save for throughput; the bar is the 95 % interval, "
                "green where it lies wholly on the good side, red on the bad one. A black tick is the target.",
                charts.ratio_forest(result) + target_table(result)),
        section("How late is the slowest audio?", "Each curve is one arm: how many of the audio blocks were done within how many milliseconds of when "
                "they were due. The tail is stretched; lower is better. Bands: 95 % interval over rounds.", charts.latency_distribution(result)),
        section("Every round", "A dot is one measured slot, the bar the interval of the median. Nothing is left out.", columns(
            ("Audio p99", charts.rounds_strip(result, "latency_p99_ms", "ms")),
            ("Cost", charts.rounds_strip(result, "cost", "tasks × weight")),
            ("Loading", charts.rounds_strip(result, "throughput_per_s", "per s")),
            ("Audio median", charts.rounds_strip(result, "latency_p50_ms", "ms")))),
        section("While it learned", "The same load before the comparison, learning switched on. The bands are what the arms measured afterwards.", columns(
            ("Cost", charts.learning_curve(result, "cost", "tasks × weight")),
            ("Audio p99", charts.learning_curve(result, "latency_p99_ms", "ms")))),
        section("Where tasks ran", "Which share of a class's tasks started on each CPU, %. A row adds up to 100.", charts.placement_heat_maps(result)),
        section("What the agent cost", "The agent runs on the same CPUs as the load, so its time is part of every figure above.", charts.agent_cost(result)),
        section("What ran", "", facts(result)),
    ]
    data = json.dumps(result["summary"]).replace("</", "<\\/")
    return ('<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>Tactus demo</title><style>{css}</style></head><body><main>{''.join(body)}</main><div id=\"tip\" hidden></div>"
            f'<script type="application/json" id="summary">{data}</script><script>{js}</script></body></html>\n')


def write(result, path):
    Path(path).write_text(page(result), encoding="utf-8")
