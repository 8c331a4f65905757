#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Guest script: rules 3 and 4 and the events, in one boot: where decisions come from, whether logged
# probabilities are true, 20,000 completions per second, a small ring, hostile pages.
set -u
with=$(dirname "$0")/with_scheduler.sh
failed=0
$with bash -c 'failed=0
  for name in sources frequencies ring hostile-pages; do
    echo "--- $name"; tactus-vm-test $name || failed=1
  done
  exit $failed' || failed=1
echo "--- small-ring"
$with --ring-bytes 4096 tactus-vm-test small-ring || failed=1
exit $failed
