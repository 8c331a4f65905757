#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Guest script: loads the scheduler, runs a command, unloads, and looks whether the kernel
# complained. Ends with the command's exit code, or 1 when loading, unloading or the kernel failed.
#
# Relies on: `tactus` on PATH. Does not: keep maps (each run starts with none).
#
# usage: with_scheduler.sh [LOAD-OPTION...] COMMAND [ARG...]
set -u
options=()
while [ $# -gt 0 ] && [ "${1#--}" != "$1" ]; do
  options+=("$1"); shift
  case ${options[-1]} in --ring-bytes) options+=("$1"); shift ;; esac
done
tactus load "${options[@]}" || { echo "FAIL  tactus load ended with $?"; exit 1; }
begin=${EPOCHREALTIME/[.,]/}
"$@"
code=$?
echo "      ($* took $(((${EPOCHREALTIME/[.,]/} - begin) / 1000000)) s)"
if [ "$(cat /sys/kernel/sched_ext/state)" != enabled ]; then
  echo "FAIL  the scheduler is not loaded at the end"; tactus status; code=1
fi
tactus unload --all || { echo "FAIL  tactus unload ended with $?"; code=1; }
. "$(dirname "$0")/kernel_log.sh"
kernel_log_clean || code=1
exit $code
