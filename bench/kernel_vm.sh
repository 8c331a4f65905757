#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs `tactus-bench kernel` in a VM of two unthrottled CPUs and keeps the raw figures.
#
# Relies on: a finished build; scripts/vm.sh; scripts/deps.sh, which builds scx_simple from the package
# of the kernel's source, for kernel 6.16, the newest that it loads on.
# Does not: compare with anything measured elsewhere: figures of an emulated VM stand for themselves.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

usage() {
  cat <<'TXT'
usage: bench/kernel_vm.sh [--bin DIR] [--out FILE] [--kernel 6.16] [--pairs 5] [--slot 6] [--seed 1] [--json] [--check]

Compares the time in BPF programs per scheduling event with scx_simple, in a VM of two CPUs.
--bin DIR   the build's programs (default build/bin)
--out FILE  raw JSON with every sample (default bench/results/kernel-KERNEL-DATE.json)

examples:
  bench/kernel_vm.sh
  bench/kernel_vm.sh --pairs 10 --json

exit codes: as of tactus-bench (4: the target is missed, with --check) and of scripts/vm.sh
TXT
}

bin=build/bin kernel=6.16 pairs=5 slot=6 seed=1 out= extra=()
while [ $# -gt 0 ]; do
  case $1 in
    -h|--help) usage; exit 0 ;;
    --json|--check) extra+=("$1"); shift ;;
    --bin|--out|--kernel|--pairs|--slot|--seed)
      [ $# -ge 2 ] || { usage >&2; exit 2; }
      printf -v "${1#--}" '%s' "$2"; shift 2 ;;
    *) usage >&2; exit 2 ;;
  esac
done
[ -x "$bin/tactus-bench" ] || { echo "kernel_vm.sh: no $bin/tactus-bench; run make build first, or give --bin" >&2; exit 2; }

scripts/deps.sh scx-simple
simple=$(scripts/deps.sh path scx-simple)
brought=$(mktemp -d)
trap 'rm -rf "$brought"' EXIT
code=0
scripts/vm.sh --kernel "$kernel" --cpus 2 --bin "$bin" --add "$simple:/tactus/scx_simple" --out "$brought/out" \
  --console "$brought/console.log" --timeout 900 -- \
  tactus-bench kernel --reps "$pairs" --slot "$slot" --seed "$seed" --scx-simple /tactus/scx_simple \
  --out /out/kernel.json ${extra[@]+"${extra[@]}"} || code=$?
if [ ! -s "$brought/out/kernel.json" ]; then
  tail -n 15 "$brought/console.log" >&2 || true
  echo "kernel_vm.sh: no result (exit code $code)" >&2
  exit $((code ? code : 1))
fi
out=${out:-bench/results/kernel-$kernel-$(date -u +%Y%m%d-%H%M%S).json}
mkdir -p "$(dirname "$out")"
cp "$brought/out/kernel.json" "$out"
echo "raw figures: $out" >&2
exit $code
