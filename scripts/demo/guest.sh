#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The demo inside the VM (or on a host with sched_ext, as root): loads the scheduler, starts the agent
# and the work load, lets it learn, then measures the arms in the order of --plan. Writes numbers
# only; result.py makes sense of them.
#
# Relies on: tactus, tactusd and tactus-frame on PATH, bash 5, coreutils or busybox; no Python.
# Does not: choose the order of arms, compute statistics, leave a scheduler or a process behind.
#
# One tactus-frame serves all arms, so that they see the same process, memory and inputs. Writes to
# OUT: machine.facts, learning.facts, agent.facts, learn/NN.{json,facts,status.json},
# slots/RR-ARM.{json,facts,before.json,after.json}, *.log. A .facts file has lines key=value.
set -uo pipefail

usage() {
  cat <<'TXT'
usage: guest.sh --plan "ARM ARM ARM ARM;..." [--out DIR] [--seed N] [--run-as USER] [--load-as USER]
                [--slot-seconds S] [--warmup-seconds S] [--learn-seconds S] [--learn-completions N]
                [--load "OPTIONS of tactus-frame"]
Arms are eevdf, fallback, random, learned. Started by scripts/demo.sh; see there.
exit codes: 0 done, 1 a step failed (the last lines say which), 2 wrong use
TXT
}

out=/out seed=1 run_as=tactus load_as=tester plan=
slot_seconds=4 warmup_seconds=0.5 learn_seconds=65 learn_completions=50000 load="--audio-period-ms 20"
while [ $# -gt 0 ]; do
  case $1 in
    --help|-h) usage; exit 0 ;;
    --out|--seed|--plan|--run-as|--load-as|--slot-seconds|--warmup-seconds|--learn-seconds|--learn-completions|--load)
      [ $# -ge 2 ] || { usage >&2; exit 2; }
      name=${1#--}; printf -v "${name//-/_}" '%s' "$2"; shift 2 ;;
    *) usage >&2; exit 2 ;;
  esac
done
[ -n "$plan" ] || { usage >&2; exit 2; }

mkdir -p "$out/learn" "$out/slots"
state_file=${TACTUS_SCHED_EXT_STATE:-/sys/kernel/sched_ext/state}  # another one only in tests
agent_pid= frame_pid= loaded=0 state=

say() { printf 'demo: %s\n' "$*"; }
die() {
  say "FAILED: $*"
  for log in agent.log frame.log; do
    [ -s "$out/$log" ] && { say "last lines of $log:"; tail -n 12 "$out/$log"; }
  done
  dmesg 2>/dev/null | grep -i sched_ext | tail -n 8
  exit 1
}
cleanup() {
  trap - EXIT
  [ -n "$frame_pid" ] && kill "$frame_pid" 2>/dev/null
  [ -n "$agent_pid" ] && kill "$agent_pid" 2>/dev/null && wait "$agent_pid" 2>/dev/null
  [ $loaded = 0 ] || [ "$(<"$state_file")" = disabled ] || tactus unload >/dev/null 2>&1
  [ -z "$state" ] || rm -rf "$state"
  dmesg >"$out/dmesg.log" 2>/dev/null
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# Seconds since the start with two decimals, without a child process.
begin_us=${EPOCHREALTIME/[.,]/}
elapsed_us() { local now=${EPOCHREALTIME/[.,]/}; echo $((now - begin_us)); }
seconds_of() { printf '%d.%02d' $(($1 / 1000000)) $(($1 / 10000 % 100)); }

# CPU time of the agent, all its threads, in clock ticks; fields 14 and 15 of stat, counted after the name.
agent_ticks() {
  local stat; { read -r stat <"/proc/$agent_pid/stat"; } 2>/dev/null || { echo 0; return; }
  # shellcheck disable=SC2086  # split into fields
  set -- ${stat##*) }
  echo $((${12} + ${13}))
}

# status_to FILE: `tactus status --json` with the agent's answer. It ends with 19 while unloaded.
status_to() {
  tactus status --json >"$1" 2>"$out/status.err"
  local code=$?
  [ $code = 0 ] || [ $code = 19 ] || die "tactus status: $(tail -n 1 "$out/status.err")"
}

# completions FILE: of such a status, how many completions the agent has learned from.
completions() { tr -d ' \n' <"$1" | grep -o '"learning":{[^}]*}' | grep -o '"completions":[0-9]*' | grep -o '[0-9]*$'; }

# command WORDS...: a tactus command that must succeed.
command_tactus() {
  tactus "$@" >"$out/command.log" 2>&1 || die "tactus $*: $(tail -n 2 "$out/command.log" | tr '\n' ' ')"
}

# measure SECONDS LABEL FILE: asks the running tactus-frame for one window.
measure() {
  local answer
  printf 'measure %s %s\n' "$1" "$2" >&"${FRAME[1]}" || die "tactus-frame has gone"
  read -r -t 90 answer <&"${FRAME[0]}" || die "tactus-frame did not answer within 90 s ($2)"
  [[ $answer != *'"error"'* ]] || die "tactus-frame: $answer"
  printf '%s\n' "$answer" >"$3"
}

# arm NAME: puts the machine into that state. REQUIRES: agent is running.
arm() {
  local now; now=$(<"$state_file")
  if [ "$1" = eevdf ]; then
    [ "$now" = disabled ] || command_tactus unload
  else
    [ "$now" = enabled ] || command_tactus load
    command_tactus mode "$1"
  fi
}

# ------------------------------------------------------------------------------------------------
[ -r "$state_file" ] || die "this kernel has no sched_ext (no $state_file)"
[ "$(<"$state_file")" = disabled ] || die "a scheduler is loaded already ($(cat /sys/kernel/sched_ext/root/ops 2>/dev/null)); unload it first"
{
  echo "kernel=$(uname -r)"
  echo "cpus=$(nproc)"
  echo "processor=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)"
  echo "memory_kib=$(sed -n 's/^MemTotal: *\([0-9]*\).*/\1/p' /proc/meminfo)"
  echo "slot_seconds=$slot_seconds"
  echo "warmup_seconds=$warmup_seconds"
  echo "load=$load"
} >"$out/machine.facts"

if ! id "$run_as" >/dev/null 2>&1; then
  say "making the system user $run_as, which the agent runs as (userdel $run_as takes it away again)"
  useradd --system --user-group --no-create-home --shell /usr/sbin/nologin "$run_as" || die "no user $run_as"
fi
# What a user's own agent has learned is neither read nor written.
state=$(mktemp -d /tmp/tactus-demo.XXXXXX) && chown "$run_as" "$state" || die "no folder for the agent's checkpoints"

say "loading the scheduler on $(uname -r)"
loaded=1
command_tactus load
tactusd --run-as "$run_as" --seed "$seed" --state "$state" >"$out/agent.log" 2>&1 &
agent_pid=$!
for _ in $(seq 150); do
  status_to "$out/status.json"
  [ -n "$(completions "$out/status.json")" ] && break
  kill -0 $agent_pid 2>/dev/null || die "tactusd ended at start"
  sleep 0.2
done
[ -n "$(completions "$out/status.json")" ] || die "tactusd did not answer within 30 s: $(tail -n 1 "$out/status.err")"
say "agent is up, $(seconds_of "$(elapsed_us)") s"

user=()
if [ -n "$load_as" ] && command -v setpriv >/dev/null; then
  user=(setpriv --reuid "$load_as" --regid "$load_as" --clear-groups)
fi
read -r -a load_words <<<"$load"
coproc FRAME { exec "${user[@]}" tactus-frame --serve --seed "$seed" "${load_words[@]}" 2>"$out/frame.log"; }
frame_pid=$FRAME_PID
read -r -t 120 answer <&"${FRAME[0]}" && [[ $answer == *ready* ]] || die "tactus-frame did not start: ${answer-}"
say "work load is up, $(seconds_of "$(elapsed_us)") s"

# --- learning -----------------------------------------------------------------------------------
command_tactus mode learned
command_tactus learning on
learn_begin=$(elapsed_us) ticks_begin=$(agent_ticks)
count=0 largest=0 stretch=0 ended_by=time
start=$(completions "$out/status.json")
while :; do
  stretch=$((stretch + 1)); name=$out/learn/$(printf '%02d' $stretch)
  measure "$slot_seconds" "learn-$stretch" "$name.json"
  status_to "$name.status.json"
  now=$(elapsed_us) total=$(completions "$name.status.json")
  previous=$count count=$((total - start))
  { echo "seconds=$(seconds_of $((now - learn_begin)))"; echo "completions=$count"; echo "completions_begin=$previous"; } >"$name.facts"
  say "learning: $count completions, $(seconds_of $((now - learn_begin))) s of at most $learn_seconds"
  # Stops before the limit, not behind it: another stretch like the largest must fit.
  [ $((count - previous)) -gt $largest ] && largest=$((count - previous))
  [ $((count + largest * 11 / 10)) -gt "$learn_completions" ] && { ended_by=completions; break; }
  [ $((now - learn_begin)) -ge "$((${learn_seconds%.*} * 1000000))" ] && break
done
command_tactus learning off
status_to "$out/learn/end.status.json"
count=$(($(completions "$out/learn/end.status.json") - start))
learn_us=$(($(elapsed_us) - learn_begin)) learn_ticks=$(($(agent_ticks) - ticks_begin))
{ echo "completions=$count"; echo "seconds=$(seconds_of $learn_us)"; echo "ended_by=$ended_by"; } >"$out/learning.facts"
kill -0 "$agent_pid" 2>/dev/null || die "tactusd ended while learning"
[ "$count" -gt 0 ] || die "nothing was learned: the agent saw no completion (is the pool registered? see learn/end.status.json)"
say "learned from $count completions; now measuring"

# --- measuring ----------------------------------------------------------------------------------
round=0 last_status=$out/learn/end.status.json
IFS=';' read -r -a rounds <<<"$plan"
for order in "${rounds[@]}"; do
  round=$((round + 1)) line=
  for arm in $order; do
    name=$out/slots/$(printf '%02d' $round)-$arm
    arm "$arm"
    measure "$warmup_seconds" warmup "$out/warmup.json"
    # The status after the slot before this one: asking takes time, and the learner must not have
    # moved since then either.
    cp "$last_status" "$name.before.json"
    state_before=$(<"$state_file") ticks_before=$(agent_ticks) at=$(elapsed_us)
    measure "$slot_seconds" "$round-$arm" "$name.json"
    { echo "at_seconds=$(seconds_of "$at")"
      echo "seconds=$(seconds_of $(($(elapsed_us) - at)))"
      echo "asked_seconds=$slot_seconds"
      echo "scheduler_before=$state_before"
      echo "scheduler_after=$(<"$state_file")"
      echo "agent_ticks_before=$ticks_before"
      echo "agent_ticks_after=$(agent_ticks)"; } >"$name.facts"
    status_to "$name.after.json"
    last_status=$name.after.json
    [ "$(<"$state_file")" = "$state_before" ] || die "the scheduler's state changed in round $round, arm $arm: $state_before to $(<"$state_file")"
    line+=" $arm"
  done
  say "round $round of ${#rounds[@]} done ($line ), $(seconds_of "$(elapsed_us)") s"
done

{ echo "clock_ticks=$(getconf CLK_TCK 2>/dev/null || echo 100)"
  echo "cpu_ticks=$(agent_ticks)"
  echo "memory_peak_kib=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$agent_pid/status")"
  echo "learning_cpu_ticks=$learn_ticks"
  echo "learning_seconds=$(seconds_of $learn_us)"; } >"$out/agent.facts"
printf 'quit\n' >&"${FRAME[1]}"
wait "$frame_pid" 2>/dev/null
code=$?
frame_pid=
[ $code = 0 ] || die "tactus-frame ended with $code"
rm -f "$out/warmup.json" "$out/command.log" "$out/status.err" "$out/status.json"
say "measured, $(seconds_of "$(elapsed_us)") s"
