# SPDX-License-Identifier: Apache-2.0
"""report.html: well-formed, self-contained, with every chart, also where numbers are missing."""
import re
import tempfile
import unittest
import xml.etree.ElementTree as tree
from html.parser import HTMLParser
from pathlib import Path

import made_up
import charts
import demo
import report
import result as results
import svg


class Balanced(HTMLParser):
    """Complains about tags that are not closed in order; collects addresses that a browser would fetch."""
    VOID = {"meta", "br", "img", "link", "input", "hr"}

    def __init__(self):
        super().__init__()
        self.open, self.fetched = [], []

    def handle_starttag(self, name, attributes):
        self.fetched += [v for k, v in attributes if k in ("src", "href", "data", "action")]
        if name not in self.VOID:
            self.open.append(name)

    def handle_endtag(self, name):
        assert self.open and self.open[-1] == name, f"</{name}> closes {self.open[-3:]}"
        self.open.pop()


class Report(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with tempfile.TemporaryDirectory() as folder:
            plan = made_up.write_out(folder)
            cls.result = results.assemble(folder, plan, made_up.SETTINGS)
        cls.page = report.page(cls.result)

    def test_page_is_balanced_and_fetches_nothing(self):
        parser = Balanced()
        parser.feed(self.page)
        self.assertEqual(parser.open, [])
        self.assertEqual(parser.fetched, [])
        self.assertNotRegex(self.page, r"@import|url\(")

    def test_every_drawing_is_well_formed_without_absurd_numbers(self):
        drawings = re.findall(r"<svg.*?</svg>", self.page, re.S)
        self.assertEqual(len(drawings), 1 + 1 + 4 + 2 + 4 + 1)  # ratios, latency, rounds, learning, places, agent
        for drawing in drawings:
            tree.fromstring(drawing)
            self.assertNotRegex(drawing, r"\b(nan|inf|None)\b")

    def test_charts_say_what_the_numbers_say(self):
        p99 = self.result["summary"]["learned"]["latency_p99_ms"]["median"]
        self.assertIn(f"learned: median {svg.number(p99)} ms", self.page)
        self.assertIn("learned: 48.0 % of audio tasks started on CPU 0: 70 %", self.page)
        self.assertIn("after 4 000 completions", self.page)

    def test_missing_numbers_are_told_instead_of_drawn(self):
        bare = {**self.result, "latency_quantiles_ms": {arm: [] for arm in charts.ARMS}, "placement": {arm: {} for arm in charts.ARMS},
                "learning": {**self.result["learning"], "curve": []}, "agent": {"memory_peak_bytes": 0, "cpu_seconds_total": 0, "cpu_share_of_one": {}}}
        page = report.page(bare)
        self.assertEqual(page.count('class="absent"'), 5)

    def test_faults_and_missed_targets_are_on_the_page(self):
        bad = {**self.result, "faults": ["round 1 <learned>: it broke"],
               "targets": [{**self.result["targets"][0], "met": False}, *self.result["targets"][1:]]}
        page = report.page(bad)
        self.assertIn("round 1 &lt;learned&gt;: it broke", page)
        self.assertIn("Not met: audio p99 latency, learned over eevdf", page)

    def test_text_table_has_medians_and_targets(self):
        text = demo.table(self.result)
        self.assertIn("met      cost, learned over fallback", text)
        self.assertEqual(len([l for l in text.splitlines() if l.startswith(("audio", "loading", "cost"))]), 5)


class Scales(unittest.TestCase):
    def test_ticks_are_round_and_inside(self):
        for low, high in ((0, 1), (0, 37), (3, 4), (0, 48000), (0.001, 0.0017)):
            ticks = svg.Linear(low, high, 0, 100).ticks()
            self.assertTrue(2 <= len(ticks) <= 9, (low, high, ticks))
            self.assertTrue(all(low - 1e-9 <= t <= high + 1e-9 for t in ticks))
        for low, high in ((0.4, 2.2), (1, 100), (0.9, 1.1), (0.01, 5000)):
            ticks = svg.Log(low, high, 0, 100).ticks()
            self.assertTrue(1 <= len(ticks) <= 9, (low, high, ticks))

    def test_scales_hit_their_ends(self):
        self.assertAlmostEqual(svg.Log(1, 100, 10, 20)(10), 15)
        self.assertAlmostEqual(svg.Linear(0, 4, 10, 20)(1), 12.5)
        self.assertAlmostEqual(svg.Percentile(0.99, 0, 100)(0.9), 50)

    def test_numbers_are_written_for_people(self):
        self.assertEqual([svg.number(v) for v in (0, 0.01234, 1.5, 12.34, 123.4, 12345, None)], ["0", "0.0123", "1.50", "12.3", "123", "12 345", "–"])

    def test_text_is_escaped(self):
        self.assertIn("&lt;b&gt;", svg.text(0, 0, "<b>"))


if __name__ == "__main__":
    unittest.main()
