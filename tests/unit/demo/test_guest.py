# SPDX-License-Identifier: Apache-2.0
"""guest.sh against stand-ins: arms in the planned order, learning only before, limits kept, faults told."""
import getpass
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import made_up
import demo
import result as results

STAND_IN = Path(__file__).resolve().parent / "stand_in.py"


class Guest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.top = Path(self.folder.name)
        (self.top / "state").write_text("disabled\n")
        (self.top / "world.json").write_text('{"completions": 100, "mode": "learned", "learning": true}')
        (self.top / "bin").mkdir()
        for name in ("tactus", "tactusd", "tactus-frame"):
            program = self.top / "bin" / name
            program.write_text(f'#!/bin/sh\nexec {sys.executable} {STAND_IN} {name} "$@"\n')
            program.chmod(0o755)
        self.plan = demo.make_plan(4, 3)

    def run_guest(self, broken="", *more):
        environment = {**os.environ, "PATH": f"{self.top}/bin:{os.environ['PATH']}", "TACTUS_STAND_IN": str(self.top),
                       "TACTUS_STAND_IN_BREAK": broken, "TACTUS_SCHED_EXT_STATE": str(self.top / "state")}
        words = [made_up.SCRIPTS / "guest.sh", "--plan", ";".join(" ".join(o) for o in self.plan), "--out", self.top / "out", "--seed", "4",
                 "--run-as", getpass.getuser(), "--load-as", "", "--slot-seconds", "0.1", "--warmup-seconds", "0.05", *more]
        done = subprocess.run([str(w) for w in words], env=environment, capture_output=True, text=True, timeout=400, check=False)
        return done.returncode, done.stdout + done.stderr

    def left_over(self):
        found = subprocess.run(["pgrep", "-f", f"{STAND_IN} tactus"], capture_output=True, text=True, check=False).stdout.split()
        mine = [p for p in found if str(self.top).encode() in Path(f"/proc/{p}/environ").read_bytes()]
        return mine

    def test_measures_as_planned_and_the_result_has_no_fault(self):
        code, output = self.run_guest()
        self.assertEqual(code, 0, output)
        windows = [l.split() for l in (self.top / "log").read_text().splitlines() if l.startswith("window")]
        wanted = [f"{number}-{arm}" for number, order in enumerate(self.plan, 1) for arm in order]
        self.assertEqual([w[1] for w in windows], wanted)
        for _, label, state, mode, learning in windows:
            arm = label.split("-")[1]
            self.assertEqual(state, "disabled" if arm == "eevdf" else "enabled", label)
            if arm != "eevdf":
                self.assertEqual(mode, arm)
            self.assertEqual(learning, "learning=False", label)
        result = results.assemble(self.top / "out", self.plan, made_up.SETTINGS)
        self.assertEqual(result["faults"], [])
        # 9,000 a stretch: five fit under 50,000, a sixth would not.
        self.assertEqual(result["learning"]["completions_before_measurement"], 45000)
        self.assertEqual(result["learning"]["ended_by"], "completions")
        self.assertEqual([p["completions"] for p in result["learning"]["curve"]], [9000, 18000, 27000, 36000, 45000])
        self.assertGreaterEqual(result["agent"]["memory_peak_bytes"], 1 << 20)
        self.assertEqual((self.top / "state").read_text().strip(), "disabled")
        self.assertEqual(self.left_over(), [])

    def test_learning_ends_at_the_time_limit(self):
        code, output = self.run_guest("", "--learn-seconds", "0")
        self.assertEqual(code, 0, output)
        self.assertIn("ended_by=time", (self.top / "out/learning.facts").read_text())

    def test_an_ejected_scheduler_ends_the_run_and_is_named(self):
        code, output = self.run_guest("eject")
        self.assertEqual(code, 1)
        self.assertIn("the scheduler's state changed in round 2", output)
        self.assertEqual((self.top / "state").read_text().strip(), "disabled")
        self.assertEqual(self.left_over(), [])

    def test_a_program_that_ends_is_named(self):
        code, output = self.run_guest("frame")
        self.assertEqual(code, 1)
        self.assertIn("tactus-frame did not answer", output)
        self.assertIn("broken on purpose", output)
        self.assertEqual(self.left_over(), [])

    def test_an_agent_that_does_not_start_is_named(self):
        code, output = self.run_guest("agent")
        self.assertEqual(code, 1)
        self.assertIn("tactusd ended at start", output)
        self.assertEqual((self.top / "state").read_text().strip(), "disabled")

    def test_another_scheduler_is_left_alone(self):
        (self.top / "state").write_text("enabled\n")
        code, output = self.run_guest()
        self.assertEqual(code, 1)
        self.assertIn("a scheduler is loaded already", output)
        self.assertEqual((self.top / "state").read_text().strip(), "enabled")

    def test_no_sched_ext_is_told(self):
        (self.top / "state").unlink()
        code, output = self.run_guest()
        self.assertEqual(code, 1)
        self.assertIn("this kernel has no sched_ext", output)


if __name__ == "__main__":
    unittest.main()
