#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Guest script: the agent and a real pool under load; `tactus record`, then the simulator's replay of the
# recording: every decision made again by policy.h, in order, without a difference. /out/trace.jsonl.gz
# is the recording (tests/data/recorded.jsonl.gz was made so).
#
# Relies on: tactusd, tactus-vm-pool, tactus-sim on PATH, user tactus, a loaded scheduler.
set -u
seconds=${1:-3}
tactusd --run-as tactus 2>/tmp/tactusd.log & agent=$!
tactus-vm-pool /tmp/pool.txt & pool=$!
trap 'kill -9 $agent $pool 2>/dev/null' EXIT
for i in $(seq 100); do
  tactus status --json 2>/dev/null | grep -q '"pool": *[0-9]' && break
  sleep 0.1
done
sleep 1
tactus record --seconds "$seconds" -o /tmp/trace.jsonl || { echo "FAIL  tactus record ended with $?"; tail -20 /tmp/tactusd.log; exit 1; }
kill -TERM $pool; wait $pool || { echo "FAIL  the pool lost tasks"; exit 1; }
gzip -9 -c /tmp/trace.jsonl >/out/trace.jsonl.gz
result=$(tactus-sim replay /tmp/trace.jsonl) || { echo "$result"; echo "FAIL  the recording does not replay"; exit 1; }
echo "$result"
# 1,300 wake-ups per second come from the pool alone; a few decisions may come before their rows.
read -r decisions rows missing < <(echo "$result" | sed -E 's/^([0-9]+) decisions agree \(([0-9]+) .*not compared: ([0-9]+) .*/\1 \2 \3/')
if [ "$rows" -lt $((seconds * 50)) ] || [ $((missing * 100)) -gt "$decisions" ]; then
  echo "FAIL  $decisions decisions, $rows of them by rows, $missing without their row"; exit 1
fi
echo "ok    recorded and replayed"
