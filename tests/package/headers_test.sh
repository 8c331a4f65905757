#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Compiles each public header by itself (the C ones as C), without warnings, then all of
# them and a consumer with clang++-19 where it is installed; checks that no header has
# more than 300 lines.
set -uo pipefail
here=${TACTUS_SOURCE_DIR:?}/tests/package
cd "$TACTUS_SOURCE_DIR/lib/include" || exit 1
flags=(-Wall -Wextra -Wpedantic -Werror -I . -fsyntax-only)
export CXX=${CXX:-g++} CC=${CC:-cc}

by_itself() {
  case $1 in
    *.hpp) printf '#include <%s>\n' "$1" | "$CXX" -x c++ -std=c++20 "${@:2}" - ;;
    *.h) printf '#include <%s>\ntypedef int nothing;\n' "$1" | "$CC" -x c -std=c99 "${@:2}" - ;;
  esac || { echo "$1: not clean by itself" >&2; return 1; }
}
export -f by_itself
failed=0
printf '%s\n' tactus/*.h tactus/*.hpp | xargs -P 2 -I '{}' bash -c 'by_itself "$@"' _ '{}' "${flags[@]}" || failed=1

if command -v clang++-19 >/dev/null; then
  { printf '#include <%s>\n' tactus/*.hpp tactus/*.h; cat "$here/consumer/main.cpp"; } |
    clang++-19 -x c++ -std=c++20 "${flags[@]}" - || { echo "not clean with clang++-19" >&2; failed=1; }
else
  echo "no clang++-19 here: compiled with $CXX only"
fi

for header in tactus/*.hpp tactus/*.h; do
  lines=$(wc -l <"$header")
  if [ "$lines" -gt 300 ]; then
    echo "$header has $lines lines, more than 300" >&2
    failed=1
  fi
done
exit $failed
