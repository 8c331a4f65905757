#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command pretrain: the seed chooses the worlds that --judge judges by, and what is refused."""
import json
import subprocess
import sys
import unittest

PROGRAM = sys.argv.pop(1)


def run(*args):
    return subprocess.run([PROGRAM, "pretrain", *args], capture_output=True, text=True, timeout=100)


def judged(seed, worlds):
    done = run("--judge", "", "--held-out", str(worlds), "--seconds", "0.5", "--seed", str(seed), "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["held_out"]


class Judge(unittest.TestCase):
    def test_each_seed_has_worlds_of_its_own_and_always_the_same(self):
        first, second, both = judged(1, 2), judged(2, 2), judged(1, 4)
        self.assertEqual([first["first_world"], second["first_world"]], [1, 3])
        self.assertNotEqual(first["cost_over_fallback"], second["cost_over_fallback"])
        self.assertEqual(second, judged(2, 2))
        # A geometric mean over worlds 1 to 4 is that of the two over 1 to 2 and 3 to 4.
        self.assertAlmostEqual(both["cost_over_fallback"], (first["cost_over_fallback"] * second["cost_over_fallback"]) ** 0.5, 9)
        self.assertEqual(both["worst_world"], max(first, second, key=lambda j: j["worst"])["worst_world"])

    def test_refusals(self):
        self.assertEqual(run("--judge", "", "--seed", "0").returncode, 2)
        self.assertEqual(run("--judge", "", "--out", "x").returncode, 2)
        self.assertEqual(run().returncode, 2)


if __name__ == "__main__":
    unittest.main()
