#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Guest script: loads and unloads the scheduler again and again under load: busy and sleeping
# threads, forks, pipes. Everything must go on and the kernel must have nothing to complain of.
#
# usage: reloads.sh [TIMES]     (default 5; the full check runs 40)
set -u
. "$(dirname "$0")/kernel_log.sh"
times=${1:-5}
failed=0
fail() { echo "FAIL  $*"; failed=$((failed + 1)); }
progress() { cat /tmp/progress 2>/dev/null || echo 0; }
# Everything has gone on since $1: the slowest kind of work has done another round.
goes_on() {
  local i
  for i in $(seq 60); do [ "$(progress)" -gt "$1" ] && return 0; sleep 0.2; done
  return 1
}

tactus-vm-test load /tmp/progress 3600 &
load=$!
goes_on 0 || fail "the load does not start"
begin=$SECONDS
for i in $(seq "$times"); do
  before=$(progress)
  nice -n -20 tactus load >/tmp/out 2>&1 || { fail "load $i ended with $?: $(tail -n 1 /tmp/out)"; break; }
  [ "$(cat /sys/kernel/sched_ext/state)" = enabled ] || fail "load $i: the kernel says $(cat /sys/kernel/sched_ext/state)"
  goes_on "$before" || fail "load $i: something stands still"
  before=$(progress)
  tactus unload >/tmp/out 2>&1 || { fail "unload $i ended with $?: $(tail -n 1 /tmp/out)"; break; }
  [ "$(cat /sys/kernel/sched_ext/state)" = disabled ] || fail "unload $i: the kernel says $(cat /sys/kernel/sched_ext/state)"
  goes_on "$before" || fail "unload $i: something stands still"
done
echo "      $i loads and unloads under load in $((SECONDS - begin)) s, $(progress) rounds of the slowest work"
kill -0 $load 2>/dev/null || fail "the load has died"
kill $load 2>/dev/null; wait $load 2>/dev/null
kernel_log_clean || failed=$((failed + 1))
[ $failed = 0 ] && echo "ok    $times loads and unloads"
