#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The throttle of VMs by sudo: limits come, go when asked to, and go when the runner is killed.

Relies on: scripts/vm/throttle.py. As root, with a sudo that does nothing but run the command; where no
cgroup can be written, only that this is said.
"""
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

VM = Path(__file__).resolve().parents[3] / "scripts/vm"
sys.path.insert(0, str(VM))
import throttle  # noqa: E402

# A user who may write no cgroup, until sudo runs the file.
RUNNER = f"""
import os, sys, time
sys.path.insert(0, {str(VM)!r})
import throttle
os.geteuid = lambda: 1000
def refused(self, process, pairs):
    raise throttle.ThrottleError("refused")
throttle.Throttle._apply_here = refused
t = throttle.Throttle()
try:
    t.apply(int(sys.argv[1]), [(int(sys.argv[1]), 62.5)])
except throttle.ThrottleError as error:
    print(error, flush=True)
    sys.exit(3)
print("on", flush=True)
sys.stdin.readline()
t.remove()
print("off", flush=True)
sys.stdin.readline()
"""


def groups_of(process):
    return Path(f"/proc/{process}/cgroup").read_text(encoding="ascii")


def cgroups_can_be_written():
    t, sleeper = throttle.Throttle(), subprocess.Popen(["sleep", "60"])
    try:
        t._apply_here(sleeper.pid, [(sleeper.pid, 50)])
        return True
    except throttle.ThrottleError:
        return False
    finally:
        t.remove()
        sleeper.kill()
        sleeper.wait()


class BySudo(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.sleeper = subprocess.Popen(["sleep", "60"])

    def tearDown(self):
        self.sleeper.kill()
        self.sleeper.wait()
        self.folder.cleanup()

    def start(self, sudo):
        path = Path(self.folder.name) / "sudo"
        path.write_text(f"#!/bin/sh\n{sudo}\n", encoding="ascii")
        path.chmod(0o755)
        environment = dict(os.environ, PATH=f"{self.folder.name}:{os.environ['PATH']}")
        return subprocess.Popen([sys.executable, "-c", RUNNER, str(self.sleeper.pid)], env=environment, text=True,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    @unittest.skipUnless(cgroups_can_be_written(), "no cgroup can be written here")
    def test_limits_come_and_go(self):
        with self.start('[ "$1" = -n ] && shift; exec "$@"') as runner:
            self.assertEqual(runner.stdout.readline(), "on\n")
            self.assertIn("tactus-vm-", groups_of(self.sleeper.pid))
            runner.stdin.write("\n")
            runner.stdin.flush()
            self.assertEqual(runner.stdout.readline(), "off\n")
            self.assertNotIn("tactus-vm-", groups_of(self.sleeper.pid))

    @unittest.skipUnless(cgroups_can_be_written(), "no cgroup can be written here")
    def test_limits_go_when_the_runner_is_killed(self):
        with self.start('[ "$1" = -n ] && shift; exec "$@"') as runner:
            self.assertEqual(runner.stdout.readline(), "on\n")
            runner.send_signal(signal.SIGKILL)
        end = time.monotonic() + 20
        while "tactus-vm-" in groups_of(self.sleeper.pid) and time.monotonic() < end:
            time.sleep(0.02)
        self.assertNotIn("tactus-vm-", groups_of(self.sleeper.pid))

    def test_a_refusal_is_told(self):
        with self.start("exit 1") as runner:
            self.assertEqual(runner.stdout.readline(), "refused; sudo did not help either\n")
            runner.stdin.close()
            self.assertEqual(runner.wait(), 3)


if __name__ == "__main__":
    unittest.main()
