#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Tests the VM runner, scripts/vm.sh, from the outside: what goes in, what comes back, and what it
# says when it cannot.
#
# Relies on: the cache filled by scripts/deps.sh (fetched on first use otherwise). Runs on the host.
# Does not: load a scheduler; the other tests in this folder do.
#
# usage: tests/vm/runner_test.sh [KERNEL]      (default: latest)
# exit code: 0 all passed, 1 something failed
set -u
kernel=${1:-latest}
here=$(cd "$(dirname "$0")" && pwd)
vm="$here/../../scripts/vm.sh"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0

# check NAME CONDITION...: one line per assertion; what was seen is shown when it fails.
check() {
  local name=$1; shift
  if "$@"; then passed=$((passed + 1)); echo "ok    $name"
  else
    failed=$((failed + 1)); echo "FAIL  $name"
    echo "      exit code ${code-}; took ${took_ms-} ms"
    sed 's/^/      stdout: /' "$tmp/stdout" | tail -n 15
    sed 's/^/      stderr: /' "$tmp/stderr" | tail -n 15
  fi
}

# run ARG...: vm.sh with its output in files; sets code and took_ms.
run() {
  local start=${EPOCHREALTIME/[.,]/}
  "$vm" --kernel "$kernel" --out "$tmp/out" --console "$tmp/console" "$@" >"$tmp/stdout" 2>"$tmp/stderr"
  code=$?
  took_ms=$(((${EPOCHREALTIME/[.,]/} - start) / 1000))
}
is() { [ "$1" = "$2" ]; }
stdout_is() { [ "$(cat "$tmp/stdout")" = "$1" ]; }
stderr_is() { [ "$(cat "$tmp/stderr")" = "$1" ]; }
stdout_has() { grep -qF -- "$1" "$tmp/stdout"; }
stderr_has() { grep -qF -- "$1" "$tmp/stderr"; }
one_line_on_stderr() { [ "$(wc -l <"$tmp/stderr")" = 1 ]; }

run true  # fills caches, so that the next one shows what every later run costs
check "true ends with 0" is "$code" 0
run true
check "boots, runs true and returns within 20 s" [ "$took_ms" -lt 20000 ]
echo "      ($took_ms ms)"
check "nothing is printed that the command did not print" stderr_is ""

# One boot for all that a single guest can show.
mkdir "$tmp/bin"
printf '#!/bin/sh\necho "from the build"\n' >"$tmp/bin/tactus-runner-test"
chmod 755 "$tmp/bin/tactus-runner-test"
cat >"$tmp/inside.sh" <<'INSIDE'
echo "to stdout"; echo "to stderr" >&2
echo "args: $# [$1] [$2]"; echo "word $WORD"
tactus-runner-test
mkdir -p /out/deep/er; head -c 3000000 /dev/zero | tr '\0' x >/out/deep/er/big; echo "kept $1" >/out/note
for p in / /tmp /sys/fs/bpf /dev/shm /run; do echo "mode $p $(stat -c %a $p)"; done
for u in root tactus nobody; do echo "user $(id -u $u) $u"; done
for m in proc sysfs devtmpfs devpts cgroup2 bpf debugfs tracefs; do grep -q " $m " /proc/mounts && echo "mounted $m"; done
echo "controllers $(cat /sys/fs/cgroup/cgroup.subtree_control)"
echo "sched_ext $(cat /sys/kernel/sched_ext/state)"
echo "links $(ls /sys/class/net | tr '\n' ' ')"
ping -c 1 -W 2 127.0.0.1 >/dev/null && echo "loopback up"
setpriv --reuid=990 --regid=990 --clear-groups bash -c 'echo "as $(id -un)"; echo "reopened" >/dev/stderr'
for tool in bpftool setpriv capsh taskset chrt strace stress-ng prlimit unshare; do
  command -v $tool >/dev/null || echo "missing $tool"
done
echo "cpus $(nproc)"
ls scripts/vm.sh tests/vm/runner_test.sh
exit 42
INSIDE
run --cpus 3 --bin "$tmp/bin" --add "$tmp/inside.sh" --env WORD=said -- bash inside.sh 'a  b"$x' "it's"
check "the exit code is passed through" is "$code" 42
check "stdout comes through" stdout_has "to stdout"
check "stderr comes through, apart from stdout" stderr_has "to stderr"
check "stderr does not get stdout's lines" eval '! stderr_has "to stdout"'
check "arguments arrive as given" stdout_has "args: 2 [a  b\"\$x] [it's]"
check "--env" stdout_has "word said"
check "the build's programs are on PATH" stdout_has "from the build"
check "/out comes back" is "$(cat "$tmp/out/note" 2>/dev/null)" 'kept a  b"$x'
check "/out comes back with folders and big files" is "$(wc -c <"$tmp/out/deep/er/big" 2>/dev/null)" 3000000
check "/ is 0755" stdout_has "mode / 755"
check "bpffs can be entered by others" grep -qE '^mode /sys/fs/bpf 1?755$' "$tmp/stdout"
check "/tmp is 1777" stdout_has "mode /tmp 1777"
check "user root" stdout_has "user 0 root"
check "user tactus" stdout_has "user 990 tactus"
check "user nobody" stdout_has "user 65534 nobody"
for m in proc sysfs devtmpfs devpts cgroup2 bpf debugfs tracefs; do check "$m is mounted" stdout_has "mounted $m"; done
check "cpu controller for child cgroups" grep -qE '^controllers .*\bcpu\b' "$tmp/stdout"
check "cpuset controller for child cgroups" grep -qE '^controllers .*\bcpuset\b' "$tmp/stdout"
check "the kernel has sched_ext" stdout_has "sched_ext disabled"
check "no network device but loopback" stdout_has "links lo "
check "loopback is up" stdout_has "loopback up"
check "an unprivileged user can run programs" stdout_has "as tactus"
check "stderr can be opened anew by an unprivileged user" stderr_has "reopened"
check "all tools are there" eval '! stdout_has "missing "'
check "--cpus" stdout_has "cpus 3"
check "the repository's scripts and tests are there" stdout_has "tests/vm/runner_test.sh"
check "the console is kept" grep -q "Linux version" "$tmp/console"

run -- bash -c 'echo "$WORD"; kill -TERM $$'
check "death by a signal is 128 + its number" is "$code" 143

run --timeout 3 -- bash -c 'echo before; echo partly >/out/part; sleep 1000'
check "the time limit gives 124" is "$code" 124
check "the time limit is told in one line" one_line_on_stderr
check "output before the time limit comes through" stdout_is before
check "/out comes back after the time limit" is "$(cat "$tmp/out/part" 2>/dev/null)" partly

run -- tactus-no-such-program
check "a missing program gives 127" is "$code" 127
check "a missing program is named, with the next step" stderr_has "no program 'tactus-no-such-program'"

run -- bash -c 'echo c >/proc/sysrq-trigger; sleep 10'
check "a panic gives 123" is "$code" 123
check "a panic is told" stderr_has "the guest panicked"
check "a panic shows the console's last lines" stderr_has "vm: console: "

# oops BYTE: as if the kernel had run into an int3 where memory holds BYTE, then a panic.
oops() {
  echo "echo begun; echo 'Oops: int3: 0000 [#1] SMP' >/dev/kmsg; echo 'Code: 00 $1 <1f> 44 00' >/dev/kmsg
        echo c >/proc/sysrq-trigger; sleep 10"
}
run --again 1 -- bash -c "$(oops 0f)"
check "a fault of the emulator's gives 123 in the end" is "$code" 123
check "a fault of the emulator's is told" stderr_has "a fault of the emulator's"
check "--again starts anew, as often as it says" is "$(grep -c begun "$tmp/stdout")" 2
run --again 1 -- bash -c "$(oops cc)"
check "--again is not for the kernel's own faults" is "$code $(grep -c begun "$tmp/stdout")" "123 1"

# CPUs of unequal speed: a fixed piece of work on each. On an emulated CPU interrupts cost a slow CPU
# relatively more, so the ratio is not exactly 70 / 20; others use the host, so the bounds are wide.
cat >"$tmp/spin.sh" <<'SPIN'
for round in 1 2 3; do
  for cpu in 0 1 2 3; do
    ( taskset -p -c $cpu $BASHPID >/dev/null
      start=${EPOCHREALTIME/[.,]/}; i=0; while ((i < 10000)); do ((i++)); done
      echo "$cpu $(((${EPOCHREALTIME/[.,]/} - start) / 1000))" )
  done
done
SPIN
run --speeds 70,70,20,20 --add "$tmp/spin.sh" -- bash spin.sh
speed_ratio=$(sort -n -k1,1 -k2,2 "$tmp/stdout" | awk '{ n[$1]++; if (n[$1] == 2) t[$1] = $2 }
  END { if (t[0] + t[1] > 0) printf "%.0f", 100 * (t[2] + t[3]) / (t[0] + t[1]) }')
if [ "$code" = 122 ]; then
  check "where --speeds cannot be, it says so" stderr_has "--speeds needs a writable cgroup"
else
  check "--speeds 70,70,20,20 makes CPUs 2, 3 slower than 0, 1 by 2 to 8 times" \
    [ "${speed_ratio:-0}" -ge 200 -a "${speed_ratio:-0}" -le 800 ]
  echo "      (ratio in percent: $speed_ratio; by quota 350)"
fi
no_groups() { [ -z "$(find /sys/fs/cgroup -maxdepth 4 -type d -name 'tactus-vm-*' 2>/dev/null)" ]; }
check "--speeds leaves no cgroup behind" no_groups

# Interrupted: nothing stays.
"$vm" --kernel "$kernel" --out "$tmp/out" --console "$tmp/console" --speeds 50,50 -v -- bash -c 'echo up; sleep 1000' \
  >"$tmp/stdout" 2>"$tmp/stderr" &
runner=$!
for i in $(seq 300); do stdout_has up && break; sleep 0.1; done
children=$(pgrep -P "$runner" || true)
kill -TERM "$runner"; wait "$runner"; code=$?
check "ended by SIGTERM gives 143" is "$code" 143
gone() { for child in $children; do [ -e "/proc/$child" ] && return 1; done; [ -n "$children" ]; }
check "ended by SIGTERM leaves no QEMU behind" gone
check "ended by SIGTERM leaves no cgroup behind" no_groups

# What it says when it cannot.
printf '#!/bin/sh\necho "QEMU emulator version 7.2.17"\n' >"$tmp/old-qemu"; chmod 755 "$tmp/old-qemu"
TACTUS_QEMU="$tmp/old-qemu" run true
check "an old QEMU gives 120" is "$code" 120
check "an old QEMU is told with the next step" stderr_has "QEMU 7.2 is too old"
check "an old QEMU is told in one line" one_line_on_stderr
TACTUS_QEMU="$tmp/none" run true
check "a missing QEMU gives 120" is "$code" 120
"$vm" --kernel "$tmp/no-kernel" true >"$tmp/stdout" 2>"$tmp/stderr"; code=$?
check "a missing kernel gives 121" is "$code" 121
check "a missing kernel is told in one line" one_line_on_stderr
"$vm" --cpus 3 --speeds 50,50 true >"$tmp/stdout" 2>"$tmp/stderr"; code=$?
check "contradicting options give 125" is "$code" 125
check "contradicting options are named" stderr_has "different numbers of CPUs"
run --bin "$tmp/none" true
check "a missing --bin folder gives 125" is "$code" 125
"$vm" --help >"$tmp/stdout" 2>"$tmp/stderr"; code=$?
check "--help shows examples and exit codes" stdout_has "exit codes:"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
