#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Guest script: the main road in one minute. Load, a managed pool under rows, status, maps that
# bpftool can read, unload; and nothing of it in the kernel's log.
#
# Relies on: tactus, tactus-vm-test, bpftool and jq (where the host has them) in the guest.
set -u
. "$(dirname "$0")/kernel_log.sh"
failed=0
check() { # check TEXT CONDITION...
  local text=$1; shift
  if "$@"; then echo "ok    $text"; else echo "FAIL  $text"; failed=$((failed + 1)); fi
}
code() { "$@" >/tmp/out 2>&1; echo $?; }
has() { grep -qF -- "$1" /tmp/out; }
is() { [ "$1" = "$2" ]; }

check "status before the first load ends with 19" is "$(code tactus status)" 19
check "load ends with 0" is "$(code tactus load)" 0
cat /tmp/out | sed 's/^/      /'
check "the kernel says enabled" is "$(cat /sys/kernel/sched_ext/state)" enabled
check "the kernel names the scheduler" grep -q '^tactus' /sys/kernel/sched_ext/root/ops
check "all normal threads are ours" is "$(cat /sys/kernel/sched_ext/switch_all)" 1
check "a second load changes nothing" is "$(code tactus load)" 0
check "and says so" has "already loaded"
check "a managed pool runs under rows" tactus-vm-test pulse 1.5
check "status --json ends with 0" is "$(code tactus status --json)" 0
check "status --json says loaded" has '"loaded": true'
check "status --json counts decisions by source" has '"fallback_heartbeat":'
check "the pin folder is 0750" is "$(stat -c %a /sys/fs/bpf/tactus)" 750
check "map pins are 0660" is "$(stat -c %a /sys/fs/bpf/tactus/tactus_control)" 660
check "the link pin is 0600" is "$(stat -c %a /sys/fs/bpf/tactus/tactus_link)" 600
if command -v bpftool >/dev/null; then
  check "bpftool dumps tactus_control" is "$(code bpftool map dump pinned /sys/fs/bpf/tactus/tactus_control)" 0
  check "with field names" eval 'has "\"heartbeat_limit_ns\": 500000000" && has "\"confidence_threshold\":"'
  check "bpftool dumps tactus_cpus with field names" eval \
    '[ "$(code bpftool map dump pinned /sys/fs/bpf/tactus/tactus_cpus)" = 0 ] && has "\"capacity\":"'
  check "bpftool dumps tactus_stats with field names" eval \
    '[ "$(code bpftool map dump pinned /sys/fs/bpf/tactus/tactus_stats)" = 0 ] && has "\"wake_queued\":"'
else
  echo "      no bpftool in the guest: dumps were not looked at"
fi
check "explain ends with 0" is "$(code tactus explain)" 0
check "unload ends with 0" is "$(code tactus unload)" 0
check "the kernel says disabled" is "$(cat /sys/kernel/sched_ext/state)" disabled
check "maps stay after unload" test -e /sys/fs/bpf/tactus/tactus_rows
check "unload --all ends with 0" is "$(code tactus unload --all)" 0
check "and nothing is left" test ! -e /sys/fs/bpf/tactus/tactus_rows
check "load --partial ends with 0" is "$(code tactus load --partial)" 0
check "then only SCHED_EXT threads are ours" is "$(cat /sys/kernel/sched_ext/switch_all)" 0
check "unload ends with 0" is "$(code tactus unload --all)" 0
kernel_log_clean || failed=$((failed + 1))
[ $failed = 0 ]
