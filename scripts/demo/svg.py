# SPDX-License-Identifier: Apache-2.0
"""Scales, axes and elements for the report's charts: text in, SVG text out.

Relies on: the standard library only. Colours are CSS classes and variables of report.css, so that a
chart follows light and dark. Does not: know what the numbers mean (charts.py does).
"""
import math
from html import escape


def tag(name, content="", /, **attributes):
    """One element. An underscore in an attribute's name stands for a hyphen; `klass` is class; None is left out.

    `tip` makes a tooltip: text that report.js shows, and a <title> for readers without a mouse.
    """
    tip = attributes.pop("tip", None)
    words = []
    for key, value in attributes.items():
        if value is None:
            continue
        if isinstance(value, float):
            value = f"{value:.2f}".rstrip("0").rstrip(".")
        words.append(f' {"class" if key == "klass" else key.replace("_", "-")}="{escape(str(value))}"')
    if tip:
        words.append(f' data-tip="{escape(tip)}" tabindex="0"')
        content = f"<title>{escape(tip)}</title>{content}"
    return f"<{name}{''.join(words)}>{content}</{name}>"


def text(x, y, content, anchor="start", klass=None, **attributes):
    return tag("text", escape(str(content)), x=x, y=y, text_anchor=anchor, klass=klass, **attributes)


def line(x1, y1, x2, y2, klass, **attributes):
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, klass=klass, **attributes)


def path(points, klass, **attributes):
    if not points:
        return ""
    steps = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return tag("path", d="M" + steps, klass=klass, **attributes)


def figure(width, height, content, label):
    """A drawing that shrinks with the page, does not grow beyond its size, and has a name for screen readers."""
    return tag("svg", content, viewBox=f"0 0 {width} {height}", role="img", aria_label=label, style=f"max-width:{width}px",
               xmlns="http://www.w3.org/2000/svg")


class Linear:
    """Maps [low, high] to pixels [start, end]; ticks at round numbers."""

    def __init__(self, low, high, start, end):
        if high <= low:
            high = low + 1
        self.low, self.high, self.start, self.end = low, high, start, end

    def __call__(self, value):
        value = min(max(value, self.low), self.high)
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, about=5):
        raw = (self.high - self.low) / about
        power = 10 ** math.floor(math.log10(raw))
        step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= raw * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        return [k * step for k in range(first, math.floor(self.high / step + 1e-9) + 1)]


class Log:
    """Maps [low, high], both above 0, to pixels by the logarithm; ticks at 1, 2, 5 of each decade."""

    def __init__(self, low, high, start, end):
        if high <= low:
            high = low * 2
        self.low, self.high, self.start, self.end = low, high, start, end

    def __call__(self, value):
        value = min(max(value, self.low), self.high)
        part = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + part * (self.end - self.start)

    def ticks(self, about=5):
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for parts in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
            ticks = [p * 10.0 ** d for d in decades for p in parts if self.low * 0.999 <= p * 10.0 ** d <= self.high * 1.001]
            if len(ticks) <= about + 2:
                break
        return ticks


class Percentile:
    """Stretches the upper percentiles: 0, 50, 90, 99, 99.9 % are evenly spaced by -log10(1 - q)."""

    def __init__(self, last, start, end):
        self.last, self.start, self.end = last, start, end

    def __call__(self, q):
        part = -math.log10(1 - min(q, self.last)) / -math.log10(1 - self.last)
        return self.start + part * (self.end - self.start)

    def ticks(self, about=5):
        return [q for q in (0.0, 0.5, 0.9, 0.95, 0.99, 0.999) if q <= self.last][: about + 2]


def number(value, digits=3):
    """A number as a person writes it: 3 significant digits, thousands set apart, no exponent."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    decimals = max(0, digits - 1 - size)
    return f"{value:,.{decimals}f}".replace(",", " ")


def short(value):
    """For axes: as few digits as say it."""
    words = f"{value:.6g}"
    return f"{float(words):,.0f}".replace(",", " ") if abs(value) >= 1000 else words


def axes(x, y, left, top, right, bottom, x_label, y_label, x_format=short, y_format=short, x_ticks=5, y_ticks=5):
    """Grid, tick labels and axis titles of a chart with scales x and y."""
    parts = []
    for value in y.ticks(y_ticks):
        parts.append(line(left, y(value), right, y(value), "grid"))
        parts.append(text(left - 8, y(value) + 4, y_format(value), "end", "tick"))
    for value in x.ticks(x_ticks):
        parts.append(line(x(value), top, x(value), bottom, "grid"))
        parts.append(text(x(value), bottom + 18, x_format(value), "middle", "tick"))
    parts.append(line(left, bottom, right, bottom, "axis"))
    parts.append(text((left + right) / 2, bottom + 38, x_label, "middle", "label"))
    if y_label:
        parts.append(text(0, top - 14, y_label, "start", "label"))
    return "".join(parts)
