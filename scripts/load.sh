#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Loads the scheduler: `tactus load` of the build, as root. Options are passed on.
# Does not build; make build does.
set -euo pipefail
top=$(dirname "$(dirname "$(readlink -f "$0")")")
tactus=${TACTUS:-$top/build/bin/tactus}
[ -x "$tactus" ] || tactus=$(command -v tactus) ||
  { echo "load.sh: no tactus program; build it first: make build" >&2; exit 127; }
case "${1:-}" in
  -h|--help)
    echo "usage: scripts/load.sh [OPTION of tactus load]..."
    echo "example: scripts/load.sh --fallback-only"
    exec "$tactus" load --help ;;
esac
if [ "$(id -u)" = 0 ]; then exec "$tactus" load "$@"; fi
exec sudo "$tactus" load "$@"
