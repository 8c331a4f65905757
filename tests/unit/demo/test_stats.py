# SPDX-License-Identifier: Apache-2.0
"""Medians, intervals and ratios against plain definitions and known coverage."""
import random
import statistics
import unittest

import made_up  # noqa: F401  (puts scripts/demo on the path)
import stats


class Stats(unittest.TestCase):
    def test_median_and_quantile_agree_with_the_standard_library(self):
        generator = random.Random(5)
        for count in range(1, 30):
            values = [generator.gauss(0, 1) for _ in range(count)]
            self.assertAlmostEqual(stats.median(values), statistics.median(values))
            self.assertAlmostEqual(stats.quantile(values, 0.5), statistics.median(values))
            self.assertEqual(stats.quantile(values, 0), min(values))
            self.assertEqual(stats.quantile(values, 1), max(values))

    def test_interval_covers_the_true_median_about_as_often_as_it_says(self):
        generator, hits, runs = random.Random(11), 0, 200
        for run in range(runs):
            found = stats.summarise([generator.gauss(10, 2) for _ in range(10)], seed=run)
            self.assertLessEqual(found["lo"], found["median"])
            self.assertLessEqual(found["median"], found["hi"])
            hits += found["lo"] <= 10 <= found["hi"]
        self.assertGreater(hits / runs, 0.88)
        self.assertLess(hits / runs, 1.0)

    def test_same_seed_same_interval(self):
        values = [3.0, 1.0, 4.0, 1.5, 9.0]
        self.assertEqual(stats.summarise(values, 7), stats.summarise(values, 7))

    def test_pairing_cancels_what_rounds_have_in_common(self):
        generator = random.Random(2)
        slow = [generator.uniform(1, 10) for _ in range(10)]  # the machine's mood in each round
        found = stats.paired_ratios([0.5 * s for s in slow], slow)
        self.assertAlmostEqual(found["median"], 0.5)
        self.assertAlmostEqual(found["lo"], found["hi"])

    def test_undefined_ratios_are_left_out_and_counted(self):
        found = stats.paired_ratios([1.0, 2.0, 3.0], [0.0, 4.0, None])
        self.assertEqual((found["median"], found["n"]), (0.5, 1))
        self.assertIsNone(stats.paired_ratios([1.0], [0.0]))

    def test_rounds_of_unequal_number_are_refused(self):
        with self.assertRaises(ValueError):
            stats.paired_ratios([1.0, 2.0], [1.0])

    def test_intervals_that_touch_are_not_disjoint(self):
        self.assertTrue(stats.disjoint_below({"lo": 1, "hi": 2}, {"lo": 3, "hi": 4}))
        self.assertFalse(stats.disjoint_below({"lo": 1, "hi": 3}, {"lo": 3, "hi": 4}))
        self.assertFalse(stats.disjoint_below({"lo": 3, "hi": 4}, {"lo": 1, "hi": 2}))


if __name__ == "__main__":
    unittest.main()
