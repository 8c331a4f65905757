# SPDX-License-Identifier: Apache-2.0
"""result.json: its fields, the targets, and what counts as a fault."""
import json
import statistics
import tempfile
import unittest
from pathlib import Path

import made_up
import demo
import result as results
from slots import ARMS, METRICS, Unusable


class Result(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.out = Path(self.folder.name)
        self.plan = made_up.write_out(self.out)

    def assemble(self):
        return results.assemble(self.out, self.plan, made_up.SETTINGS)

    def edit(self, name, change):
        path = self.out / name
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    def test_has_what_readers_of_it_rely_on(self):
        result = self.assemble()
        self.assertEqual(len(result["rounds"]), 10)
        for arm in ARMS:
            for metric in METRICS:
                found = result["summary"][arm][metric]
                self.assertEqual(found["median"], statistics.median(r["slots"][arm][metric] for r in result["rounds"]))
                self.assertLessEqual(found["lo"], found["hi"])
        self.assertEqual(result["seed"], 3)
        self.assertEqual(result["weights"]["audio"], 8)
        self.assertEqual(result["learning"]["completions_before_measurement"], 48100)
        self.assertEqual(len(result["learning"]["curve"]), 12)
        self.assertEqual(result["kernel"], "7.3.4-made-up")
        json.dumps(result, allow_nan=False)

    def test_ratios_are_paired_by_round(self):
        result = self.assemble()
        ratios = [r["slots"]["learned"]["cost"] / r["slots"]["random"]["cost"] for r in result["rounds"]]
        self.assertAlmostEqual(result["ratios"]["learned_over_random"]["cost"]["median"], statistics.median(ratios))

    def test_targets_follow_the_numbers(self):
        met = {t["name"]: t["met"] for t in self.assemble()["targets"]}
        self.assertTrue(all(met.values()), met)
        for number, order in enumerate(self.plan, 1):
            self.edit(f"slots/{number:02d}-learned.json", lambda frame: frame.update(cost=29.0))
        met = {t["name"]: t["met"] for t in self.assemble()["targets"]}
        self.assertFalse(met["cost, learned over fallback"])
        self.assertFalse(met["cost, learned over random"])
        self.assertTrue(met["audio p99 latency, learned over eevdf"])

    def test_too_much_learning_misses_its_target(self):
        made_up.facts(self.out / "learning.facts", completions=50001, seconds=60, ended_by="time")
        met = {t["name"]: t["met"] for t in self.assemble()["targets"]}
        self.assertFalse(met["completions of learning before the comparison"])

    def test_a_moving_learner_is_a_fault(self):
        made_up.status(self.out / "slots/02-random.after.json", 49000, 1201)
        self.assertEqual(self.assemble()["faults"], ["round 2 random: the learner moved (1200 to 1201 updates)"])

    def test_a_wrong_scheduler_state_is_a_fault(self):
        made_up.facts(self.out / "slots/01-eevdf.facts", seconds=4, scheduler_before="enabled", scheduler_after="disabled")
        made_up.facts(self.out / "slots/03-learned.facts", seconds=4, scheduler_before="enabled", scheduler_after="disabled")
        self.assertEqual(self.assemble()["faults"], ["round 1 eevdf: scheduler was enabled before the slot",
                                                     "round 3 learned: scheduler was disabled after the slot"])

    def test_a_slot_in_which_the_machine_stood_still_is_a_fault(self):
        made_up.facts(self.out / "slots/06-learned.facts", seconds=4.1, asked_seconds=2.5, scheduler_before="enabled", scheduler_after="enabled")
        self.assertEqual(self.assemble()["faults"], ["round 6 learned: the slot took 4.0 s instead of 2.5: the whole machine stood still"])

    def test_wrong_results_of_tasks_are_a_fault(self):
        self.edit("slots/04-eevdf.json", lambda frame: frame["classes"]["path"].update(wrong=2))
        self.assertEqual(self.assemble()["faults"], ["round 4 eevdf: 2 tasks gave a wrong result"])

    def test_placement_rows_add_up_to_one(self):
        placement = self.assemble()["placement"]
        for arm in ARMS:
            for shares in placement[arm].values():
                self.assertAlmostEqual(sum(shares), 1)
        self.assertAlmostEqual(placement["learned"]["audio"][0], 0.48, places=2)

    def test_a_missing_slot_or_metric_is_named(self):
        self.edit("slots/05-random.json", lambda frame: frame.pop("cost"))
        with self.assertRaisesRegex(Unusable, "05-random.json: no cost"):
            self.assemble()
        (self.out / "slots/01-eevdf.json").unlink()
        with self.assertRaisesRegex(Unusable, "01-eevdf.json"):
            self.assemble()

    def test_plan_has_every_arm_in_every_round_and_depends_on_the_seed(self):
        plan = demo.make_plan(1, 50)
        self.assertTrue(all(sorted(order) == sorted(ARMS) for order in plan))
        self.assertEqual(plan, demo.make_plan(1, 50))
        self.assertNotEqual(plan, demo.make_plan(2, 50))
        self.assertEqual({order[0] for order in plan}, set(ARMS))
        self.assertEqual({order[1] for order in plan}, set(ARMS) - {"eevdf"})

    def test_plan_loads_the_scheduler_every_other_round(self):
        for seed in range(5):
            slots = [arm for order in demo.make_plan(seed, 10) for arm in order]
            loads = sum(a == "eevdf" != b for a, b in zip(slots, slots[1:]))
            self.assertLessEqual(loads, 6)


if __name__ == "__main__":
    unittest.main()
