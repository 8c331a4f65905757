#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the tests in stages and closes with the counts: native, native under address+undefined and
# under thread sanitizers, VM tests. A stage that fails does not stop the next ones.
#
# Relies on: a finished build (make build) and the cache of scripts/deps.sh all; the labels that
# tests/cmake/tactus_test.cmake describes.
# Does not: install, fetch, or build the unsanitized programs.
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

usage() {
  cat <<'TXT'
usage: scripts/check.sh [--build DIR] [--jobs N] [--full] [--stage NAME]...

stages, in order (all without --stage):
  native    unit and script tests of the build folder
  asan      the unit tests under the address and undefined-behaviour sanitizers (DIR/asan)
  tsan      the unit tests under the thread sanitizer (DIR/tsan)
  vm        VM tests: all on the newest kernel, smoke and reloads on the others (--full: all on all)

examples:
  scripts/check.sh
  scripts/check.sh --stage native --stage tsan
  scripts/check.sh --full --stage vm

The last line reads `N passed, N failed, N skipped`. Logs: DIR/check/STAGE.log, DIR/check/STAGE.xml.
exit codes: 0 nothing failed, 1 something failed, 2 wrong use
TXT
}

build=build jobs=$(nproc) full=0 stages=()
while [ $# -gt 0 ]; do
  case $1 in
    --build|--jobs|--stage)
      [ $# -ge 2 ] || { echo "check.sh: $1 needs a value; see --help" >&2; exit 2; }
      case $1 in --build) build=$2 ;; --jobs) jobs=$2 ;; --stage) stages+=("$2") ;; esac
      shift ;;
    --full) full=1 ;;
    -h|--help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done
[ ${#stages[@]} -gt 0 ] || stages=(native asan tsan vm)
[ -f "$build/build.ninja" ] || { echo "check.sh: $build is not a build folder; run make build first" >&2; exit 2; }

say() { printf '\ncheck: %s\n' "$*"; }
logs=$build/check
mkdir -p "$logs"
rm -f "$logs"/*.log "$logs"/*.xml
passed=0 failed=0 skipped=0
summary=()

# count NAME FILE.xml SECONDS CODE: adds what ctest wrote to the sums; CODE is its exit code.
# No file: the stage itself failed.
count() {
  local name=$1 file=$2 seconds=$3 code=$4 p f s
  if ! read -r p f s < <(python3 -c '
import sys, xml.etree.ElementTree as tree
total = failed = skipped = 0
for case in tree.parse(sys.argv[1]).getroot().iter("testcase"):
    total += 1
    skip = case.find("skipped")
    if skip is not None and skip.get("message", "").startswith("SKIP_"):
        skipped += 1
    elif case.get("status") != "run":  # failed, or could not be run at all
        failed += 1
print(total - failed - skipped, failed, skipped)' "$file" 2>/dev/null); then
    p=0 f=1 s=0
  fi
  # A stage in which nothing ran has not passed.
  if [ $f = 0 ] && { [ "$code" != 0 ] || [ $((p + s)) = 0 ]; }; then f=1; fi
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  summary+=("$(printf '%-10s %4d passed %4d failed %4d skipped %6d s' "$name" "$p" "$f" "$s" "$seconds")")
}

# run NAME FOLDER CTEST-OPTION...: one ctest run, shown as it goes and kept in a log.
run() {
  local name=$1 folder=$2 begin=$SECONDS; shift 2
  local xml; xml=$(readlink -f "$logs")/$name.xml
  rm -f "$xml"
  ctest --test-dir "$folder" --output-on-failure --no-tests=error --output-junit "$xml" "$@" </dev/null 2>&1 |
    tee "$logs/$name.log"
  count "$name" "$xml" $((SECONDS - begin + ${build_seconds:-0})) "${PIPESTATUS[0]}"
}

# sanitized NAME SANITIZERS OPTIMISATION JOBS: builds the unit tests with them and runs these, JOBS at a
# time. With -fsanitize=undefined template headers compile in two thirds of the time at -Og instead of
# -O1; libraries that compute much ask for -O1 themselves.
sanitized() {
  local name=$1 sanitizers=$2 optimisation=$3 tests_at_once=$4 begin=$SECONDS
  if ! { { [ -f "$build/$name/build.ninja" ] ||
           cmake -G Ninja -B "$build/$name" -S . -DTACTUS_SANITIZE="$sanitizers" \
             -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS="$optimisation -g1" -DCMAKE_CXX_FLAGS="$optimisation -g1"; } &&
         cmake --build "$build/$name" -j "$jobs" --target unit_tests; }; then
    say "$name: the build failed"
    count "$name" /nonexistent $((SECONDS - begin)) 1
    return
  fi
  build_seconds=$((SECONDS - begin)) run "$name" "$build/$name" -L native -j "$tests_at_once"
}

for stage in "${stages[@]}"; do
  case $stage in
    native) say "native tests"; run native "$build" -L native -j "$jobs" ;;
    asan) say "native tests under address and undefined-behaviour sanitizers"; sanitized asan address,undefined -Og "$jobs" ;;
    tsan)
      say "native tests under the thread sanitizer"
      sanitized tsan thread -O1 $((jobs + 1)) ;;  # the minute of lib_soak leaves room beside it
    vm)
      if [ $full = 1 ]; then
        say "VM tests: all on every kernel"; run vm "$build" -L vm
      else
        say "VM tests on the newest kernel"; run vm-latest "$build" -L vm -L kernel-latest -LE full
        say "VM smoke tests and reloads on the other kernels"
        run vm-others "$build" -L vm -L 'smoke|reloads' -LE 'kernel-latest|full'
      fi ;;
    *) echo "check.sh: no stage '$stage'; see --help" >&2; exit 2 ;;
  esac
done

say "results"
printf '%s\n' "${summary[@]}"
if [ $failed -gt 0 ]; then
  grep -h -A 100 'The following tests FAILED' "$logs"/*.log 2>/dev/null | grep -E '^\s+[0-9]+ - ' | sort -u
fi
printf '%d passed, %d failed, %d skipped\n' $passed $failed $skipped
[ $failed = 0 ]
