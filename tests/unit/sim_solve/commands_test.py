#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The commands solve, evaluate and learn: what they print for programs, and how they refuse."""
import json
import subprocess
import sys
import unittest

PROGRAM = sys.argv.pop(1)


def run(*args):
    return subprocess.run([PROGRAM, *args], capture_output=True, text=True, timeout=100)


def figures(*args):
    done = run(*args, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Solve(unittest.TestCase):
    def test_queue(self):
        j = figures("solve", "--load", "0.5", "--speeds", "1,0.25")
        self.assertAlmostEqual(j["optimum"], 1.29168, 5)
        self.assertEqual(j["threshold"], 2)
        self.assertAlmostEqual(j["greedy"], 1.37255, 5)
        self.assertAlmostEqual(j["fast_only"], 1.66667, 5)

    def test_unstable_rule_has_no_cost(self):
        self.assertIsNone(figures("solve", "--load", "0.9", "--speeds", "1,0.25")["fast_only"])

    def test_other_models(self):
        self.assertAlmostEqual(figures("solve", "--model", "immediate", "--load", "0.5")["optimum"], 1.30890, 5)
        self.assertAlmostEqual(figures("solve", "--model", "affinity", "--off", "0.5", "--load", "0.5")["optimum"], 1.87496, 4)

    def test_eight_speeds(self):
        j = figures("solve", "--load", "0.4", "--speeds", "1,0.9,0.8,0.7,0.6,0.5,0.3,0.2")
        self.assertLess(j["optimum"], j["greedy"] + 1e-9)
        self.assertEqual(len(j["thresholds"]), 7)

    def test_text(self):
        self.assertIn("threshold 2", run("solve", "--load", "0.5", "--speeds", "1,0.25").stdout)


class Others(unittest.TestCase):
    def test_evaluate(self):
        self.assertAlmostEqual(figures("evaluate", "--load", "0.5", "--speeds", "1,0.25", "--policy", "greedy")["over_pct"], 6.26, 2)
        self.assertGreater(figures("evaluate", "--load", "0.5", "--speeds", "1,0.25", "--from", "clone")["stochastic_over_pct"], 5)

    def test_learn(self):
        j = figures("learn", "--load", "0.5", "--speeds", "1,0.25", "--decisions", "2000", "--seeds", "2", "--at", "500", "--from", "clone")
        self.assertEqual(len(j["argmax_over_pct"]), 2)
        self.assertEqual(len(j["stochastic_over_pct"]), 2)
        self.assertEqual([c["decisions"] for c in j["curve"]], [500, 2000])
        for key in ("optimum", "decisions", "seconds"):
            self.assertIn(key, j)

    def test_the_shipped_model_is_the_default_and_better_than_the_clone(self):
        cell = ("--load", "0.5", "--speeds", "1,0.25")
        shipped, clone = figures("evaluate", *cell), figures("evaluate", *cell, "--from", "clone")
        self.assertEqual(shipped["from"], "shipped")
        self.assertLess(shipped["stochastic_over_pct"], clone["stochastic_over_pct"])

    def test_refusals(self):
        self.assertEqual(run("solve", "--load", "1.5").returncode, 2)
        self.assertEqual(run("nonsense").returncode, 2)
        wrong = run("evaluate", "--policy", "best")
        self.assertEqual(wrong.returncode, 1)
        self.assertIn("greedy", wrong.stderr)
        self.assertIn("segment_length", run("learn", "--set", "nothing=1").stderr)
        self.assertEqual(run("learn", "--from", "/nonexistent").returncode, 1)

    def test_help_has_examples(self):
        for command in ("solve", "evaluate", "learn"):
            self.assertIn("examples:", run(command, "--help").stdout)


if __name__ == "__main__":
    unittest.main()
