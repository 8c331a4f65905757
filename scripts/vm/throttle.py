# SPDX-License-Identifier: Apache-2.0
"""Slows single threads down by CPU bandwidth control, one cgroup each (cgroup v1 or v2).

Relies on: a cgroup hierarchy with the cpu controller that this process may write to (root, or a
delegated subtree), or sudo: then a second process of this file, as root, sets the limits and takes
them off when its standard input ends, whatever became of the first. On v2 the threads go into
threaded cgroups below one of their own.
Does not: choose threads or speeds; that is run.py, which maps vCPUs to threads by QMP.
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

# Short against the deadlines that are measured in the guest, or the throttle is what they measure.
PERIOD_US = 5000
# The kernel accepts no smaller quota.
SMALLEST_QUOTA_US = 1000
PREFIX = "tactus-vm-"


class ThrottleError(RuntimeError):
    """No cgroup can be used; the message says which were tried and what to do."""


def quota(percent):
    """(quota, period) in microseconds for a share of one CPU."""
    period = PERIOD_US
    if percent * period / 100 < SMALLEST_QUOTA_US:
        period = round(SMALLEST_QUOTA_US * 100 / percent)
    return round(percent * period / 100), period


def _mounts():
    """(type, mount point, options) of the cgroup mounts."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        words = line.split()
        if words[2] in ("cgroup", "cgroup2"):
            yield words[2], words[1], words[3].split(",")


def _own_path(controller):
    """This process's cgroup: of the controller (v1), or of the unified hierarchy for None."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        number, controllers, path = line.split(":", 2)
        if (controller is None and number == "0") or controller in controllers.split(","):
            return path
    return "/"


def _write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def _sweep(parent):
    """Removes what runners that were killed have left behind."""
    for stale in parent.glob(PREFIX + "*"):
        match = re.fullmatch(PREFIX + r"(\d+)", stale.name)
        if match and not os.path.exists(f"/proc/{match.group(1)}"):
            _remove(stale)


def _remove(group):
    for child in list(group.glob("cpu*")):
        if child.is_dir():
            try:
                child.rmdir()
            except OSError:
                pass
    try:
        group.rmdir()
    except OSError:
        pass


class Throttle:
    """Threads held at a share of a CPU. Not thread-safe.

    REQUIRES: remove() is called at the end; it is safe to call it more than once.
    """

    def __init__(self):
        self._version = 0
        self._group = None
        self._home = None  # v2: where the process was, and goes back to
        self._helper = None  # of this file, as root

    def apply(self, process, thread_percent):
        """thread_percent: [(thread id, percent or None for no limit)] of the process. ERRORS: ThrottleError."""
        try:
            self._apply_here(process, thread_percent)
        except ThrottleError as error:
            if os.geteuid() == 0 or not shutil.which("sudo"):
                raise
            self._apply_by_sudo(process, thread_percent, error)

    def _apply_by_sudo(self, process, thread_percent, reason):
        words = [f"{thread}:{percent}" for thread, percent in thread_percent if percent is not None]
        if subprocess.run(["sudo", "-n", "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
            print("vm.sh: --speeds needs root here: sudo may ask for your password", file=sys.stderr, flush=True)
        self._helper = subprocess.Popen(["sudo", sys.executable, os.path.abspath(__file__), str(process), *words],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self._helper.stdout.readline() != b"applied\n":
            self.remove()
            raise ThrottleError(f"{reason}; sudo did not help either")

    def _apply_here(self, process, thread_percent):
        tried = []
        for version, parent in self._candidates():
            _sweep(parent)
            self._group = parent / f"{PREFIX}{os.getpid()}"
            self._version = version
            try:
                self._group.mkdir()
                (self._apply_v1 if version == 1 else self._apply_v2)(process, thread_percent)
                return
            except OSError as error:
                tried.append(f"{parent} ({error.strerror or error})")
                self.remove()
        where = "; tried " + ", ".join(tried) if tried else ""
        raise ThrottleError("--speeds needs a writable cgroup with the cpu controller" + where +
                            "; run as root, by a user with sudo, or in a container with cgroups delegated")

    def _candidates(self):
        for kind, mount, options in _mounts():
            root = Path(mount)
            if kind == "cgroup" and "cpu" in options:
                own = _own_path("cpu").lstrip("/")
                for parent in dict.fromkeys((root / own, root)):
                    if parent.is_dir():
                        yield 1, parent
            elif kind == "cgroup2":
                own = _own_path(None).lstrip("/")
                # The root first: only there may processes stand beside controlled cgroups.
                for parent in dict.fromkeys((root, (root / own).parent, root / own)):
                    controllers = parent / "cgroup.controllers"
                    if controllers.is_file() and "cpu" in controllers.read_text().split():
                        yield 2, parent

    def _apply_v1(self, _process, thread_percent):
        for index, (thread, percent) in enumerate(thread_percent):
            if percent is None:
                continue
            group = self._group / f"cpu{index}"
            group.mkdir()
            quota_us, period_us = quota(percent)
            _write(group / "cpu.cfs_period_us", str(period_us))
            _write(group / "cpu.cfs_quota_us", str(quota_us))
            _write(group / "tasks", str(thread))

    def _apply_v2(self, process, thread_percent):
        parent = self._group.parent
        if "cpu" not in (parent / "cgroup.subtree_control").read_text().split():
            _write(parent / "cgroup.subtree_control", "+cpu")
        for line in Path(f"/proc/{process}/cgroup").read_text().splitlines():
            if line.startswith("0::"):
                self._home = (process, line[3:].lstrip("/"))
        _write(self._group / "cgroup.procs", str(process))
        for index, (thread, percent) in enumerate(thread_percent):
            if percent is None:
                continue
            group = self._group / f"cpu{index}"
            group.mkdir()
            _write(group / "cgroup.type", "threaded")
        _write(self._group / "cgroup.subtree_control", "+cpu")
        for index, (thread, percent) in enumerate(thread_percent):
            if percent is None:
                continue
            group = self._group / f"cpu{index}"
            quota_us, period_us = quota(percent)
            _write(group / "cpu.max", f"{quota_us} {period_us}")
            _write(group / "cgroup.threads", str(thread))

    def remove(self):
        """Takes the limits off and removes the cgroups; the threads run on unlimited."""
        helper, self._helper = self._helper, None
        if helper:
            helper.stdin.close()
            helper.stdout.read()
            helper.wait()
        group, self._group = self._group, None
        if not group or not group.is_dir():
            return
        for child in group.glob("cpu*"):
            if not child.is_dir():
                continue
            try:
                if self._version == 1:
                    _write(child / "cpu.cfs_quota_us", "-1")
                    for thread in (child / "tasks").read_text().split():
                        _write(group.parent / "tasks", thread)
                else:
                    _write(child / "cpu.max", "max")
                    for thread in (child / "cgroup.threads").read_text().split():
                        _write(group / "cgroup.threads", thread)
            except OSError:
                pass  # a thread that ended meanwhile
        if self._version == 2 and self._home:
            process, path = self._home
            mount = next(m for kind, m, _ in _mounts() if kind == "cgroup2")
            try:
                _write(Path(mount) / path / "cgroup.procs", str(process))
            except OSError:
                pass  # it has ended
        # An ended thread leaves its cgroup a moment later.
        for _ in range(20):
            _remove(group)
            if not group.is_dir():
                return
            time.sleep(0.05)


def main(arguments):
    """PROCESS THREAD:PERCENT...: says "applied", and takes the limits off at the end of standard input."""
    # The terminal's signals reach this one too; the end of the other one's run is what counts.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    throttle = Throttle()
    try:
        pairs = [word.split(":") for word in arguments[1:]]
        throttle.apply(int(arguments[0]), [(int(thread), float(percent)) for thread, percent in pairs])
    except ThrottleError as error:
        print(f"vm.sh: {error}", file=sys.stderr)
        return 1
    print("applied", flush=True)
    sys.stdin.read()
    throttle.remove()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
