#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs `tactus-bench wake` in a VM and keeps the raw figures: submission to start after 20 ms of silence,
# with the scheduler and its agent against the kernel's own scheduler, in one boot.
#
# Relies on: a finished build; scripts/vm.sh.
# Does not: compare with anything measured elsewhere: figures of an emulated VM stand for themselves.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

usage() {
  cat <<'TXT'
usage: bench/wake_vm.sh [--speeds 70,70,20,20] [--bin DIR] [--out FILE] [--kernel latest] [--pairs 7]
                        [--seed 1] [--quick] [--json] [--check]

--speeds LIST  percent of a host CPU for each CPU (default: two CPUs, not throttled)
--bin DIR      the build's programs (default build/bin)
--out FILE     raw JSON with every sample (default bench/results/wake-SPEEDS-DATE.json)

examples:
  bench/wake_vm.sh
  bench/wake_vm.sh --speeds 70,70,20,20 --pairs 10 --json

exit codes: as of tactus-bench (4: the target is missed, with --check) and of scripts/vm.sh
TXT
}

bin=build/bin kernel=latest pairs=7 seed=1 speeds= out= extra=()
while [ $# -gt 0 ]; do
  case $1 in
    -h|--help) usage; exit 0 ;;
    --json|--check|--quick) extra+=("$1"); shift ;;
    --bin|--out|--kernel|--pairs|--seed|--speeds)
      [ $# -ge 2 ] || { usage >&2; exit 2; }
      printf -v "${1#--}" '%s' "$2"; shift 2 ;;
    *) usage >&2; exit 2 ;;
  esac
done
[ -x "$bin/tactus-bench" ] || { echo "wake_vm.sh: no $bin/tactus-bench; run make build first, or give --bin" >&2; exit 2; }

brought=$(mktemp -d)
trap 'rm -rf "$brought"' EXIT
machine=(--cpus 2)
[ -z "$speeds" ] || machine=(--speeds "$speeds")
code=0
scripts/vm.sh --kernel "$kernel" "${machine[@]}" --bin "$bin" --out "$brought/out" \
  --console "$brought/console.log" --timeout 900 -- \
  tactus-bench wake --reps "$pairs" --seed "$seed" --out /out/wake.json ${extra[@]+"${extra[@]}"} || code=$?
if [ ! -s "$brought/out/wake.json" ]; then
  tail -n 15 "$brought/console.log" >&2 || true
  echo "wake_vm.sh: no result (exit code $code)" >&2
  exit $((code ? code : 1))
fi
name=${speeds:-100,100}
out=${out:-bench/results/wake-${name//,/-}-$(date -u +%Y%m%d-%H%M%S).json}
mkdir -p "$(dirname "$out")"
cp "$brought/out/wake.json" "$out"
echo "raw figures: $out" >&2
exit $code
