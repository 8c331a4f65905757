# SPDX-License-Identifier: Apache-2.0
"""Packs the root file system of the test VM: a cpio archive in the kernel's "newc" format.

Relies on: ldd, strip, a static busybox. Needs no root, since owners, modes and device nodes are
written into the archive and never exist on the host.
Does not: start anything (that is run.py), decide what the guest does at boot (that is guest_init).

The archive comes in three parts that the kernel unpacks one after the other: the base (tools and
their libraries, kept in the cache folder), the build's programs (kept as well, until one of them
changes), and the command of this run.
"""
import hashlib
import os
import shlex
import stat
import subprocess
import tempfile
from pathlib import Path

# Programs for the guest beside busybox; those that the host lacks are left out.
TOOLS = (
    "bash bpftool setpriv capsh getpcaps taskset chrt strace stress-ng prlimit unshare nsenter "
    "grep sed awk date stat timeout sleep sort xargs find ps pgrep pkill tail head tee seq nproc "
    "cat tr cut wc mkdir rm cp mv ln chmod chown ls dd od env nice kill flock jq tar uptime lscpu getconf"
).split()
REQUIRED = ("bash", "busybox")

# A merged /usr, as on Debian 12 and later.
SYMLINKS = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}

DIRECTORIES = {
    "usr": 0o755, "usr/bin": 0o755, "usr/sbin": 0o755, "usr/lib": 0o755, "usr/lib64": 0o755,
    "proc": 0o555, "sys": 0o555, "dev": 0o755, "run": 0o755, "tmp": 0o1777, "root": 0o700,
    "etc": 0o755, "var": 0o755, "var/lib": 0o755, "home": 0o755, "out": 0o1777,
    "tactus": 0o755, "tactus/bin": 0o755,
}

ETC = {
    "passwd": "root:x:0:0:root:/root:/bin/bash\n"
              "tactus:x:990:990:Tactus agent:/:/bin/bash\n"
              "tester:x:1000:1000:an ordinary user:/tmp:/bin/bash\n"
              "other:x:1001:1001:another ordinary user:/tmp:/bin/bash\n"
              "nobody:x:65534:65534:nobody:/:/bin/sh\n",
    "group": "root:x:0:\ntactus:x:990:\ntester:x:1000:\nother:x:1001:\nnogroup:x:65534:\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "hosts": "127.0.0.1 localhost tactus-vm\n",
    "hostname": "tactus-vm\n",
    "os-release": "ID=tactus-vm\nNAME=\"Tactus test VM\"\n",
}


class Archive:
    """A cpio archive being written. Not thread-safe. Parents are made as 0755 where missing."""

    def __init__(self, file):
        self._file = file
        self._inode = 1
        self._seen = set()

    def _entry(self, path, mode, data=b"", uid=0, gid=0, rdev=(0, 0)):
        name = path.encode() + b"\0"
        fields = (self._inode, mode, uid, gid, 1, 0, len(data), 0, 0, rdev[0], rdev[1], len(name), 0)
        self._inode += 1
        header = b"070701" + b"".join(b"%08X" % field for field in fields)
        self._file.write(header + name + b"\0" * (-(len(header) + len(name)) % 4))
        self._file.write(data)
        self._file.write(b"\0" * (-len(data) % 4))

    def _parents(self, path):
        parent = os.path.dirname(path)
        if parent and parent not in self._seen:
            self.directory(parent)

    def directory(self, path, mode=0o755):
        if path in self._seen or path in SYMLINKS:
            return
        self._parents(path)
        self._seen.add(path)
        self._entry(path, stat.S_IFDIR | mode)

    def file(self, path, data, mode=0o644):
        if path in self._seen:
            return
        self._parents(path)
        self._seen.add(path)
        self._entry(path, stat.S_IFREG | mode, data)

    def symlink(self, path, target):
        if path in self._seen:
            return
        self._parents(path)
        self._seen.add(path)
        self._entry(path, stat.S_IFLNK | 0o777, target.encode())

    def device(self, path, major, minor, mode=0o600):
        self._parents(path)
        self._entry(path, stat.S_IFCHR | mode, rdev=(major, minor))

    def assume(self, *paths):
        """Paths that an earlier part of the archive has made already."""
        self._seen.update(paths)

    def close(self):
        self._entry("TRAILER!!!", 0)


def guest_path(path):
    """Where a host file goes in the guest: the same place, with /lib and the like merged into /usr."""
    path = os.path.normpath(path).lstrip("/")
    first, _, rest = path.partition("/")
    return f"{SYMLINKS[first]}/{rest}" if first in SYMLINKS and rest else path


def is_elf(path):
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"


def is_native_program(path):
    """An ELF file for this machine that is a program or a shared library, not an object file."""
    with open(path, "rb") as file:
        head = file.read(20)
    return head[:4] == b"\x7fELF" and head[16] in (2, 3) and head[18:20] == b"\x3e\x00"


def libraries(programs):
    """The shared libraries that these programs load at start, as {path on host}."""
    dynamic = [str(program) for program in programs if is_native_program(program)]
    found = set()
    if not dynamic:
        return found
    listing = subprocess.run(["ldd", *dynamic], capture_output=True, text=True, check=False).stdout
    for line in listing.splitlines():
        words = line.split()
        if "not found" in line:
            raise RuntimeError(f"library {words[0]} of the VM's programs is missing on this machine")
        if "=>" in words and len(words) >= 3 and words[2].startswith("/"):
            found.add(words[2])
        elif words and words[0].startswith("/") and not words[0].endswith(":"):
            found.add(words[0])
    return found


def contents(path, strip):
    """A file's bytes; debug information is left out, since it would only fill the guest's memory."""
    if strip and is_native_program(path) and os.path.getsize(path) > 1 << 20:
        with tempfile.NamedTemporaryFile() as stripped:
            if subprocess.run(["strip", "--strip-debug", "-o", stripped.name, path],
                              capture_output=True, check=False).returncode == 0:
                return Path(stripped.name).read_bytes()
    return Path(path).read_bytes()


def add_program(archive, source, target, strip=False):
    archive.file(target, contents(source, strip), 0o755 if os.access(source, os.X_OK) else 0o644)


def fingerprint(paths, *extra):
    """Changes whenever one of the files does (path, size, time), or this packer, or extra."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for path in sorted(map(str, paths)):
        status = os.stat(path)
        digest.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_mode}\0".encode())
    for text in extra:
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()[:20]


def cached(folder, kind, key, write, keep=6):
    """The archive KIND-KEY in the folder, written by write(archive) if it is not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{kind}-{key}.cpio"
    try:
        os.utime(path)
        return path
    except FileNotFoundError:
        pass
    handle, temporary = tempfile.mkstemp(prefix=".new-", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            archive = Archive(file)
            write(archive)
            archive.close()
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    # The oldest go. A run that is using one has already copied it.
    for old in sorted(folder.glob(f"{kind}-*.cpio"), key=lambda p: p.stat().st_mtime)[:-keep]:
        old.unlink(missing_ok=True)
    return path


def which(name):
    for folder in os.environ.get("PATH", "").split(":") + ["/usr/sbin", "/sbin", "/usr/bin", "/bin"]:
        candidate = os.path.join(folder, name)
        if folder and os.path.isfile(candidate) and os.access(candidate, os.X_OK):
            return candidate
    return None


def base(folder, init, bpftool):
    """The part that stays the same from run to run. Returns the archive's path."""
    tools = {name: which(name) for name in (*TOOLS, "busybox")}
    if bpftool and os.access(bpftool, os.X_OK):
        tools["bpftool"] = str(bpftool)
    for name in REQUIRED:
        if not tools[name]:
            raise RuntimeError(f"{name} is not installed; run scripts/setup.sh")
    tools = {name: path for name, path in tools.items() if path}
    if tools["bash"] and is_native_program(tools["busybox"]) and libraries([tools["busybox"]]):
        raise RuntimeError("busybox is not the static one; run scripts/setup.sh (package busybox-static)")
    files = [*tools.values(), init]

    def write(archive):
        for path, target in SYMLINKS.items():
            archive.symlink(path, target)
        for path, mode in DIRECTORIES.items():
            archive.directory(path, mode)
        archive.device("dev/console", 5, 1)
        archive.device("dev/null", 1, 3, 0o666)
        archive.file("init", Path(init).read_bytes(), 0o755)
        for name, text in ETC.items():
            archive.file(f"etc/{name}", text.encode())
        for name, path in tools.items():
            add_program(archive, path, f"usr/bin/{name}")
        # Loaded by dlopen when a thread is cancelled, so ldd does not list it.
        extra = [p for p in ("/lib/x86_64-linux-gnu/libgcc_s.so.1",) if os.path.exists(p)]
        for path in sorted(libraries(tools.values()) | set(extra)):
            archive.file(guest_path(path), Path(path).read_bytes(), 0o755)
        applets = subprocess.run([tools["busybox"], "--list"], capture_output=True, text=True, check=True)
        for applet in applets.stdout.split():
            if applet not in ("busybox", "init", "linuxrc"):
                archive.symlink(f"usr/bin/{applet}", "busybox")
        archive.symlink("usr/bin/sh", "bash")

    return cached(folder, "base", fingerprint(files, *tools), write)


def tree(folder, names=None):
    """The regular files below a folder, as {relative path: path}."""
    found = {}
    for root, directories, files in os.walk(folder, followlinks=True):
        directories[:] = [d for d in directories if not d.startswith(".") and d != "__pycache__"]
        for name in files:
            path = os.path.join(root, name)
            if os.path.isfile(path) and not name.endswith(".pyc"):
                found[os.path.relpath(path, folder)] = path
    return found


def build(folder, programs, repository, additions):
    """The build's programs, the repository's scripts, and files that the caller adds.

    programs: the folder with the build's programs, or None. additions: [(host path, guest path)].
    """
    files = {}
    if programs:
        files.update({f"tactus/bin/{name}": path for name, path in tree(programs).items()})
    for part in ("scripts", "tests/vm", "deploy"):
        if (repository / part).is_dir():
            files.update({f"tactus/{part}/{name}": path for name, path in tree(repository / part).items()})
    for source, target in additions:
        target = target.strip("/")
        if os.path.isdir(source):
            files.update({f"{target}/{name}": path for name, path in tree(source).items()})
        elif os.path.isfile(source):
            files[target] = source
        else:
            raise RuntimeError(f"--add {source}: no such file or folder")
    needed = libraries(set(files.values()))

    def write(archive):
        archive.assume(*DIRECTORIES, *SYMLINKS)
        for target, path in sorted(files.items()):
            add_program(archive, path, target, strip=True)
        for path in sorted(needed):
            archive.file(guest_path(path), Path(path).read_bytes(), 0o755)

    return cached(folder, "build", fingerprint({*files.values(), *needed}, *sorted(files)), write)


def command(file, arguments, environment, programs, kernel):
    """Appends the part that says what this run executes: a script, so that quoting is exact.

    kernel: the folder of the kernel, whose configuration goes to /boot, where programs look for it.
    """
    name = arguments[0]
    where = f"{programs} or the VM's tools" if programs else "the VM's tools (and there is no build/bin yet)"
    hint = shlex.quote(f"vm.sh: no program '{name}' in {where}; build it first (make), or give --bin DIR or --add FILE")
    script = ["#!/bin/bash"]
    script += [f"export {key}={shlex.quote(value)}" for key, value in environment.items()]
    script += [f"command -v -- {shlex.quote(name)} >/dev/null || {{ echo {hint} >&2; exit 127; }}",
               f"exec -- {shlex.join(arguments)}", ""]
    archive = Archive(file)
    archive.assume(*DIRECTORIES)
    archive.file("tactus/.command", "\n".join(script).encode(), 0o755)
    if os.path.isfile(f"{kernel}/config") and os.path.isfile(f"{kernel}/release"):
        release = Path(kernel, "release").read_text(encoding="ascii").strip()
        archive.file(f"boot/config-{release}", Path(kernel, "config").read_bytes())
    archive.close()
