#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs one command as root in a fresh VM; see scripts/vm.sh --help.

Relies on: scripts/deps.sh for QEMU, kernels and bpftool; initramfs.py for the guest's files;
throttle.py for --speeds; guest_init, process 1 of the guest, with which it speaks over four
virtio-serial ports (control, stdout, stderr, out).
Does not: build the project's programs; keep anything of a guest beyond what it wrote to /out.
"""
import argparse
import ctypes
import fcntl
import json
import mmap
import os
import re
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import initramfs
from throttle import Throttle, ThrottleError

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
DEPS = HERE.parent / "deps.sh"

EXIT_QEMU, EXIT_KERNEL, EXIT_THROTTLE, EXIT_GUEST, EXIT_TIMEOUT, EXIT_RUNNER = 120, 121, 122, 123, 124, 125
SMALLEST_QEMU = 10
BOOT_TIMEOUT_S = 180
STOP_TIMEOUT_S = 20
PORTS = ("control", "stdout", "stderr", "out")

EPILOG = """
The guest has the build's programs (build/bin, or --bin, or TACTUS_BIN) on PATH, beside bash, busybox,
bpftool, setpriv, capsh, taskset, chrt, strace, stress-ng, prlimit and unshare where the host has
them, and the repository's scripts/, tests/vm/ and deploy/ under /tactus, which is the working
directory. Users: root, tactus (990), tester (1000), other (1001), nobody. No network. What the
command writes to /out comes back in build/vm/out; the kernel's messages are in build/vm/console.log.

examples:
  scripts/vm.sh uname -r
  scripts/vm.sh --kernel 6.16 --cpus 4 --speeds 70,70,20,20 --timeout 120 -- tests/vm/some_test.sh
  scripts/vm.sh --add model.bin:/tactus/model.bin -- bash -c 'bpftool prog show >/out/progs.txt'

exit codes: the command's own (127: no such program in the VM; 128+N: killed by signal N), or
  120 QEMU is missing or too old        121 the kernel is not there
  122 --speeds cannot be applied        123 the guest panicked, died or did not come up
  124 the command ran into --timeout    125 wrong use, or the runner itself failed
  130 interrupted

environment: TACTUS_CACHE (cache folder), TACTUS_BIN (as --bin), TACTUS_QEMU (another QEMU program),
  TACTUS_ACCEL (tcg or kvm; otherwise KVM where it works)
"""


class Failure(Exception):
    """The runner cannot go on: an exit code and one line that says what to do."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class EmulatorFault(Failure):
    """The guest died of a fault of QEMU's; another run may do better (--again)."""


def emulator_fault(console):
    """Did the guest panic over a breakpoint that its memory does not hold? Linux puts int3 into code that it
    changes (static branches; attaching a scheduler changes many) and takes it out again. QEMU, seen with 10.0.2
    and several CPUs on few, now and then goes on running it: its translation is older than the memory. The oops
    shows memory, the byte after the instruction in <>; were the kernel at fault, the byte before would be cc."""
    oops = console.find("Oops: int3")
    code = re.search(r"Code: .*?([0-9a-f]{2}) <[0-9a-f]{2}>", console[oops:]) if oops >= 0 else None
    return bool(code) and code.group(1) != "cc"


def parse_arguments():
    class Parser(argparse.ArgumentParser):
        def error(self, message):
            raise Failure(EXIT_RUNNER, f"{message}; see scripts/vm.sh --help")

    parser = Parser(prog="scripts/vm.sh", epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
                    description="Runs a command as root in a fresh VM with a sched_ext kernel, passes its output "
                                "and exit code through.", allow_abbrev=False)
    parser.add_argument("--kernel", default="latest", help="6.16, 6.18, 7.3, ..., latest (default), or a kernel image file")
    parser.add_argument("--cpus", type=int, help="number of CPUs (default 2, or what --speeds or --topology say)")
    parser.add_argument("--speeds", help="percent of a host CPU for each, for instance 70,70,20,20; 100 is no limit")
    parser.add_argument("--topology", help="for instance sockets=1,cores=2,threads=2")
    parser.add_argument("--numa", type=int, default=1, help="NUMA nodes (default 1); memory and CPUs are split evenly")
    parser.add_argument("--memory", default="2G", help="default 2G")
    parser.add_argument("--timeout", type=float, default=600, help="seconds for the command, boot not counted (default 600)")
    parser.add_argument("--again", type=int, default=0, metavar="N", help="start anew, N times at most, when the guest died of a "
                        "fault of the emulator's that is known; what the command said before stays said (default 0)")
    parser.add_argument("--bin", help="folder with the programs (default build/bin)")
    parser.add_argument("--out", help="where /out comes back, emptied first (default build/vm/out)")
    parser.add_argument("--console", help="where the kernel's messages go (default build/vm/console.log)")
    parser.add_argument("--add", action="append", default=[], metavar="HOST[:GUEST]", help="a file or folder more for the guest")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="a variable for the command")
    parser.add_argument("--append", default="", help="more kernel parameters")
    parser.add_argument("-v", "--verbose", action="store_true", help="say what is done, with times (also when stderr is no terminal)")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="[--] COMMAND [ARG...]")
    options = parser.parse_args()
    if options.command[:1] == ["--"]:
        options.command.pop(0)
    if not options.command:
        parser.error("no command given")
    return options


def machine(options):
    """Fills in options.cpus and options.percent from --cpus, --speeds, --topology."""
    counts = {}
    if options.topology:
        parts = dict(re.findall(r"(sockets|dies|clusters|cores|threads)=(\d+)", options.topology))
        if ",".join(f"{k}={v}" for k, v in parts.items()) != options.topology or "0" in parts.values():
            raise Failure(EXIT_RUNNER, f"--topology '{options.topology}' is not of the form sockets=1,cores=2,threads=2")
        count = 1
        for value in parts.values():
            count *= int(value)
        counts["--topology"] = count
    options.percent = None
    if options.speeds:
        if not re.fullmatch(r"\d+(\.\d+)?(,\d+(\.\d+)?)*", options.speeds):
            raise Failure(EXIT_RUNNER, f"--speeds '{options.speeds}' is not a list of percentages such as 70,70,20,20")
        speeds = [float(word) for word in options.speeds.split(",")]
        if min(speeds) < 1 or max(speeds) > 100:
            raise Failure(EXIT_RUNNER, "--speeds must be between 1 and 100 percent")
        options.percent = [None if speed == 100 else speed for speed in speeds]
        counts["--speeds"] = len(speeds)
    if options.cpus is not None:
        counts["--cpus"] = options.cpus
    if len(set(counts.values())) > 1:
        raise Failure(EXIT_RUNNER, "different numbers of CPUs: " + ", ".join(f"{k} says {v}" for k, v in counts.items()))
    options.cpus = next(iter(counts.values()), 2)
    if not 1 <= options.cpus <= 255:
        raise Failure(EXIT_RUNNER, "--cpus must be between 1 and 255")
    if not 1 <= options.numa <= options.cpus:
        raise Failure(EXIT_RUNNER, "--numa must be between 1 and the number of CPUs")
    match = re.fullmatch(r"(\d+)([MG])", options.memory)
    if not match:
        raise Failure(EXIT_RUNNER, f"--memory '{options.memory}' is not of the form 512M or 2G")
    options.memory_mib = int(match.group(1)) * (1024 if match.group(2) == "G" else 1)


def dependency(name, *fetch):
    """A path from scripts/deps.sh, which fetches it (with its progress on stderr) when it is not cached."""
    found = subprocess.run([DEPS, "path", name], capture_output=True, text=True, check=False)
    if found.returncode != 0:
        if subprocess.run([DEPS, *fetch], stdout=sys.stderr, check=False).returncode != 0:
            return None
        found = subprocess.run([DEPS, "path", name], capture_output=True, text=True, check=False)
    return found.stdout.strip() or None


def find_qemu():
    program = os.environ.get("TACTUS_QEMU") or dependency("qemu", "qemu")
    if not program:
        raise Failure(EXIT_QEMU, "QEMU could not be fetched; run scripts/deps.sh qemu and see what it says")
    try:
        text = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=20).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failure(EXIT_QEMU, f"QEMU {program} does not run ({error}); run scripts/deps.sh --refresh qemu") from error
    version = re.search(r"version (\d+)\.(\d+)", text)
    if not version:
        raise Failure(EXIT_QEMU, f"QEMU {program} does not tell its version; run scripts/deps.sh --refresh qemu")
    if int(version.group(1)) < SMALLEST_QEMU:
        raise Failure(EXIT_QEMU, f"QEMU {version.group(1)}.{version.group(2)} is too old: before {SMALLEST_QEMU} it crashes guests that "
                                 "attach sched_ext under load; run scripts/deps.sh qemu and unset TACTUS_QEMU")
    return program


def find_kernel(name):
    if "/" in name or os.path.isfile(name):
        if not os.path.isfile(name):
            raise Failure(EXIT_KERNEL, f"kernel image {name} does not exist")
        return name
    if not re.fullmatch(r"\d+\.\d+|latest", name):
        raise Failure(EXIT_RUNNER, f"--kernel '{name}' is neither a series such as 6.18, nor latest, nor a file")
    folder = dependency(f"kernel-{name}", "kernel", name)
    if not folder:
        raise Failure(EXIT_KERNEL, f"kernel {name} could not be fetched; run scripts/deps.sh kernel {name} and see what it says")
    return os.path.join(folder, "vmlinuz")


def kvm_works():
    """By the CPU's flag first: a nested machine may offer /dev/kvm that starts no ordinary guest."""
    if os.environ.get("TACTUS_ACCEL"):
        return os.environ["TACTUS_ACCEL"] == "kvm"
    flags = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    if not flags or not {"vmx", "svm"} & set(flags.group(1).split()):
        return False
    try:
        with open("/dev/kvm", "rb+", buffering=0) as device:
            os.close(fcntl.ioctl(device, 0xAE01, 0))  # KVM_CREATE_VM
            return True
    except OSError:
        return False


def host_tsc_khz():
    """Rate of this machine's time-stamp counter, which an emulated guest reads as its own; 0: unknown.

    On a busy host the guest's own calibration can be wrong by ten times, and then so is its clock.
    """
    if os.uname().machine != "x86_64":
        return 0
    code = bytes.fromhex("0f3148c1e2204809d0c3")  # rdtsc; shl rdx,32; or rax,rdx; ret
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except OSError:
        return 0
    page.write(code)
    read = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(page)))

    def both():
        # The reading that was interrupted least, of a few.
        readings = []
        for _ in range(9):
            before = time.monotonic_ns()
            ticks = read()
            readings.append((time.monotonic_ns() - before, before, ticks))
        return min(readings)[1:]

    begin_ns, begin = both()
    time.sleep(0.05)
    end_ns, end = both()
    return round((end - begin) * 1_000_000 / (end_ns - begin_ns))


def qemu_arguments(options, qemu, kernel, initrd, console, sockets):
    if kvm_works():
        arguments = [qemu, "-accel", "kvm", "-cpu", "host"]
        clock = ""
    else:
        khz = host_tsc_khz()
        clock = f"tsc_early_khz={khz} " if khz else ""
        # Four-level page tables make emulated address translation cheaper; Intel's leaves tell the
        # guest which caches hyper-threads share, AMD's do not under emulation.
        arguments = [qemu, "-accel", "tcg,thread=multi", "-cpu", "max,la57=off,vendor=GenuineIntel"]
    topology = options.topology or (f"sockets={options.numa}" if options.cpus % options.numa == 0 else "")
    smp = f"cpus={options.cpus}" + (f",{topology}" if topology else "")
    arguments += ["-M", "q35,usb=off,smbus=off,hpet=off", "-smp", smp, "-m", f"{options.memory_mib}M", "-nodefaults",
                  "-no-user-config", "-display", "none", "-no-reboot", "-kernel", kernel, "-initrd", initrd,
                  "-serial", f"file:{console}",
                  # tsc=reliable: a throttled vCPU makes the kernel's watchdog drop the TSC for the ACPI timer,
                  # whose reads leave the guest and cost a throttled one half its speed.
                  "-append", "console=ttyS0 loglevel=7 panic=-1 oops=panic mitigations=off cryptomgr.notests "
                             "random.trust_cpu=on rcupdate.rcu_expedited=1 audit=0 apparmor=0 no_timer_check "
                             "tsc=reliable " + clock + options.append]
    if options.numa > 1:
        share = options.memory_mib // options.numa
        arguments[arguments.index("-m") + 1] = f"{share * options.numa}M"
        for node in range(options.numa):
            first, last = options.cpus * node // options.numa, options.cpus * (node + 1) // options.numa - 1
            arguments += ["-object", f"memory-backend-ram,id=mem{node},size={share}M",
                          "-numa", f"node,nodeid={node},memdev=mem{node},cpus={first}-{last}"]
    arguments += ["-chardev", f"socket,id=qmp,fd={sockets['qmp'].fileno()}", "-mon", "chardev=qmp,mode=control",
                  "-device", "virtio-serial-pci"]
    for port in PORTS:
        arguments += ["-chardev", f"socket,id={port},fd={sockets[port].fileno()}",
                      "-device", f"virtserialport,chardev={port},name=tactus.{port}"]
    return arguments


class Monitor:
    """QEMU's control socket. Not thread-safe."""

    def __init__(self, connection):
        connection.settimeout(20)
        self._file = connection.makefile("rw", encoding="utf-8", newline="\n")
        self._file.readline()  # greeting
        self.call("qmp_capabilities")

    def call(self, command):
        self._file.write(json.dumps({"execute": command}) + "\n")
        self._file.flush()
        while True:
            line = self._file.readline()
            if not line:
                raise OSError("QEMU closed its monitor")
            answer = json.loads(line)
            if "error" in answer:
                raise OSError(answer["error"].get("desc", "QEMU monitor error"))
            if "return" in answer:
                return answer["return"]


class Run:
    """One VM from start to end. REQUIRES: close() at the end, whatever happened."""

    def __init__(self, options):
        self.options = options
        self.folder = Path(tempfile.mkdtemp(prefix="tactus-vm-"))
        self.console = self.folder / "console.log"
        self.process = None
        self.throttle = Throttle()
        self.stopped = False  # the command ran into its time limit
        self.started = time.monotonic()
        self.chatty = options.verbose or sys.stderr.isatty()

    def say(self, text):
        if self.chatty:
            print(f"vm: {time.monotonic() - self.started:5.1f} s  {text}", file=sys.stderr, flush=True)

    def close(self):
        self.throttle.remove()
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.console.is_file():
            target = Path(self.options.console or REPOSITORY / "build/vm/console.log")
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(self.console, target)
            except OSError:
                pass
        shutil.rmtree(self.folder, ignore_errors=True)

    def prepare(self):
        options = self.options
        qemu = find_qemu()
        kernel = find_kernel(options.kernel)
        cache = Path(subprocess.run([DEPS, "path", "cache"], capture_output=True, text=True, check=True).stdout.strip())
        bpftool = subprocess.run([DEPS, "path", "bpftool"], capture_output=True, text=True, check=False).stdout.strip()
        programs = options.bin or os.environ.get("TACTUS_BIN")
        if programs and not os.path.isdir(programs):
            raise Failure(EXIT_RUNNER, f"folder of programs '{programs}' does not exist; build first, or correct --bin")
        if not programs and (REPOSITORY / "build/bin").is_dir():
            programs = str(REPOSITORY / "build/bin")
        additions = []
        for word in options.add:
            source, _, target = word.partition(":")
            additions.append((source, target or "/tactus/" + os.path.basename(source.rstrip("/"))))
        environment = {}
        for word in options.env:
            name, equals, value = word.partition("=")
            if not equals or not re.fullmatch(r"[A-Za-z_]\w*", name):
                raise Failure(EXIT_RUNNER, f"--env '{word}' is not of the form NAME=VALUE")
            environment[name] = value
        try:
            base = initramfs.base(cache / "vm", HERE / "guest_init", bpftool)
            build = initramfs.build(cache / "vm", programs, REPOSITORY, additions)
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            raise Failure(EXIT_RUNNER, f"the guest's file system could not be packed: {error}") from error
        initrd = self.folder / "initrd"
        with open(initrd, "wb") as file:
            for part in (base, build):
                with open(part, "rb") as source:
                    shutil.copyfileobj(source, file, 1 << 20)
            initramfs.command(file, options.command, environment, programs, os.path.dirname(kernel))
        return qemu, kernel, str(initrd)

    def start(self, qemu, kernel, initrd):
        pairs = {name: socket.socketpair() for name in ("qmp", *PORTS)}
        theirs = {name: pair[1] for name, pair in pairs.items()}
        arguments = qemu_arguments(self.options, qemu, kernel, initrd, self.console, theirs)
        libc = ctypes.CDLL(None)

        def die_with_parent():
            libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
            os.setsid()  # an interrupt from the terminal is for us; we end QEMU

        self.errors = open(self.folder / "qemu.log", "w+", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=self.errors, stderr=self.errors,
                                        pass_fds=[s.fileno() for s in theirs.values()], preexec_fn=die_with_parent)
        for end in theirs.values():
            end.close()
        self.ours = {name: pair[0] for name, pair in pairs.items()}
        try:
            self.monitor = Monitor(self.ours["qmp"])
        except (OSError, ValueError):
            self.dead()

    def dead(self):
        """QEMU has gone, or is of no use: say why, with the console's last lines."""
        if self.process.poll() is None:
            try:
                self.process.wait(1)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.errors.seek(0)
        complaint = self.errors.read().strip()
        text = self.console.read_text(errors="replace") if self.console.is_file() else ""
        lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", line) for line in text.splitlines()]
        panic = next((line for line in lines if "Kernel panic" in line), None)
        if not lines:
            raise Failure(EXIT_GUEST, f"QEMU did not start: {complaint or 'no message'}")
        for line in lines[-30:]:
            print(f"vm: console: {line}", file=sys.stderr)
        target = self.options.console or "build/vm/console.log"
        what = f"the guest panicked ({panic.split('Kernel panic - ')[-1].strip()})" if panic else \
            f"the guest ended without an exit code{' (' + complaint + ')' if complaint else ''}"
        if panic and not kvm_works() and emulator_fault(text):
            raise EmulatorFault(EXIT_GUEST, f"{what}: a fault of the emulator's, which ran code that is no longer in memory; "
                                            f"try again (--again); the whole console is in {target}")
        raise Failure(EXIT_GUEST, f"{what}; the whole console is in {target}")

    def apply_speeds(self):
        if not self.options.percent:
            return
        threads = {cpu["cpu-index"]: cpu["thread-id"] for cpu in self.monitor.call("query-cpus-fast")}
        self.throttle.apply(self.process.pid, [(threads[i], p) for i, p in enumerate(self.options.percent)])
        self.say(f"CPU speeds set to {self.options.speeds} %")

    def serve(self):
        """Passes output on until the guest tells the exit code; returns it."""
        options = self.options
        out_file = open(self.folder / "out.tar", "wb")
        sinks = {"stdout": sys.stdout.fileno(), "stderr": sys.stderr.fileno(), "out": out_file.fileno()}
        selector = selectors.DefaultSelector()
        for port in PORTS:
            selector.register(self.ours[port], selectors.EVENT_READ, port)
        deadline, state, control, code = time.monotonic() + BOOT_TIMEOUT_S, "booting", b"", None
        while code is None:
            left = deadline - time.monotonic()
            if left <= 0:
                if state == "running":  # have it killed, so that what it left in /out comes back
                    self.throttle.remove()
                    self.ours["control"].sendall(b"stop\n")
                    self.stopped = True
                    state, deadline = "stopping", time.monotonic() + STOP_TIMEOUT_S
                    continue
                if state == "stopping":
                    raise Failure(EXIT_TIMEOUT, f"{self.timed_out()}, and the guest no longer answers: /out is lost")
                self.chatty = True
                self.say(f"the guest did not come up within {BOOT_TIMEOUT_S} s")
                self.process.kill()
                self.dead()
            for key, _ in selector.select(min(left, 1.0)):
                data = key.fileobj.recv(1 << 16)
                if not data:
                    self.dead()
                if key.data != "control":
                    write_all(sinks[key.data], data)
                    continue
                control += data
                while b"\n" in control:
                    line, control = control.split(b"\n", 1)
                    words = line.decode(errors="replace").split()
                    if words == ["ready"]:
                        self.say("guest is up")
                        self.apply_speeds()
                        state, deadline = "running", time.monotonic() + options.timeout
                        self.ours["control"].sendall(b"go\n")
                    elif len(words) == 2 and words[0] == "exit":
                        code = int(words[1])
        self.throttle.remove()
        # All that the guest wrote is in QEMU or in the sockets: end QEMU, and read to the end.
        self.process.terminate()
        for port, sink in sinks.items():
            self.ours[port].settimeout(10)
            try:
                while data := self.ours[port].recv(1 << 16):
                    write_all(sink, data)
            except OSError:
                pass
        out_file.close()
        self.say(f"command ended with {code}")
        return EXIT_TIMEOUT if state == "stopping" else code

    def timed_out(self):
        return f"the command did not end within {self.options.timeout:g} s (--timeout)"

    def bring_back(self):
        target = Path(self.options.out or REPOSITORY / "build/vm/out")
        archive = self.folder / "out.tar"
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        target.mkdir(parents=True, exist_ok=True)
        if archive.stat().st_size:
            try:
                with tarfile.open(archive) as tar:
                    # The guest is not trusted to name paths outside; owners are not taken over.
                    if hasattr(tarfile, "data_filter"):
                        tar.extractall(target, filter="data")
                    else:
                        tar.extractall(target, [m for m in tar if (m.isfile() or m.isdir()) and
                                                ".." not in m.name.split("/") and not m.name.startswith("/")])
            except (tarfile.TarError, OSError) as error:
                raise Failure(EXIT_RUNNER, f"/out did not come back whole: {error}") from error


def write_all(handle, data):
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view):]


def run_once(options):
    """One VM from start to end; the command's exit code."""
    run = None
    try:
        run = Run(options)
        prepared = run.prepare()
        run.say(f"booting {options.cpus} CPUs with kernel {options.kernel} ({'KVM' if kvm_works() else 'emulated'})")
        run.start(*prepared)
        code = run.serve()
        run.bring_back()
        if code == EXIT_TIMEOUT and run.stopped:
            raise Failure(EXIT_TIMEOUT, f"{run.timed_out()} and was killed")
        return code
    finally:
        # A second interrupt must not leave a cgroup or a QEMU behind.
        before = [(s, signal.signal(s, signal.SIG_IGN)) for s in (signal.SIGINT, signal.SIGTERM)]
        if run:
            run.close()
        for number, handler in before:
            signal.signal(number, handler)


def main():
    try:
        options = parse_arguments()
        machine(options)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
        while True:
            try:
                return run_once(options)
            except EmulatorFault as fault:
                if options.again <= 0:
                    raise
                options.again -= 1
                print(f"vm.sh: {fault}\nvm.sh: starting anew", file=sys.stderr, flush=True)
    except Failure as failure:
        print(f"vm.sh: {failure}", file=sys.stderr)
        return failure.code
    except ThrottleError as error:
        print(f"vm.sh: {error}", file=sys.stderr)
        return EXIT_THROTTLE
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 141


if __name__ == "__main__":
    sys.exit(main())
