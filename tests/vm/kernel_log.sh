# SPDX-License-Identifier: Apache-2.0
# Guest scripts include this: kernel_log_clean says whether the kernel complained since boot.
kernel_log_clean() {
  local found
  found=$(dmesg | grep -E 'WARNING:|BUG:|Oops|Call Trace|lockup|stall|rcu: INFO|runnable task|scx_bpf_error|hung_task' | head -n 20)
  [ -z "$found" ] && { echo "ok    the kernel log is clean"; return 0; }
  echo "FAIL  the kernel complained:"; echo "$found" | sed 's/^/      /'
  return 1
}
