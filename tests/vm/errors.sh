#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Guest script: what `tactus` says when it cannot: its exit code, one line, and the next step. What
# needs another machine than this one (no sched_ext, no BTF) is tested with fixtures in tests/unit.
set -u
. "$(dirname "$0")/kernel_log.sh"
failed=0
# expect CODE TEXT COMMAND...: exit code, a text in the message, one line of message with "next:".
expect() {
  local code=$1 text=$2 got lines; shift 2
  "$@" >/tmp/out 2>/tmp/err; got=$?
  lines=$(grep -vc ' \.\.\.$' /tmp/err)  # progress lines apart
  if [ $got = "$code" ] && grep -qF -- "$text" /tmp/err && grep -q 'next: ' /tmp/err && [ "$lines" = 1 ]; then
    echo "ok    $code: $(tail -n 1 /tmp/err)"
  else
    echo "FAIL  $* ended with $got (wanted $code), $lines lines (wanted 1, with '$text' and 'next:'):"
    sed 's/^/      /' /tmp/err /tmp/out
    failed=$((failed + 1))
  fi
}
as_tester() { setpriv --reuid=1000 --regid=1000 --clear-groups "$@"; }

expect 19 "not" tactus explain
expect 20 "agent" tactus mode learned
expect 13 "CAP_BPF" as_tester tactus load

tactus-vm-test other-scheduler "$(command -v tactus-other-scheduler.bpf.o || echo bin/tactus-other-scheduler.bpf.o)" &
other=$!
for i in $(seq 100); do [ "$(cat /sys/kernel/sched_ext/state)" = enabled ] && break; sleep 0.1; done
expect 11 "another sched_ext scheduler is loaded: other" tactus load
[ "$(cat /sys/kernel/sched_ext/root/ops)" = other ] && echo "ok    the other scheduler was left alone" ||
  { echo "FAIL  the other scheduler is gone"; failed=$((failed + 1)); }
kill $other; wait $other 2>/dev/null
for i in $(seq 100); do [ "$(cat /sys/kernel/sched_ext/state)" = disabled ] && break; sleep 0.1; done

tactus load >/dev/null 2>&1 || { echo "FAIL  tactus load ended with $?"; failed=$((failed + 1)); }
expect 13 "/sys/fs/bpf/tactus" as_tester tactus explain
expect 24 "no-such-class" tactus explain no-such-class
tactus unload >/dev/null 2>&1
tactus-vm-test abi 99
expect 15 "ABI" tactus load
tactus unload --all >/dev/null 2>&1
umount /sys/fs/bpf
expect 14 "bpf file system" tactus load
mount -t bpf -o mode=0755 bpf /sys/fs/bpf
expect 64 "" bash -c 'tactus load --ring-bytes 1000 2>&1 | tail -n 1 >&2; exit ${PIPESTATUS[0]}'
kernel_log_clean || failed=$((failed + 1))
[ $failed = 0 ]
