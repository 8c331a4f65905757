#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Takes the scheduler out: `tactus unload` of the build, as root. Options are passed on.
# Does not build; make build does.
set -euo pipefail
top=$(dirname "$(dirname "$(readlink -f "$0")")")
tactus=${TACTUS:-$top/build/bin/tactus}
[ -x "$tactus" ] || tactus=$(command -v tactus) ||
  { echo "unload.sh: no tactus program; build it first: make build" >&2; exit 127; }
case "${1:-}" in
  -h|--help)
    echo "usage: scripts/unload.sh [OPTION of tactus unload]..."
    echo "example: scripts/unload.sh --all"
    exec "$tactus" unload --help ;;
esac
if [ "$(id -u)" = 0 ]; then exec "$tactus" unload "$@"; fi
exec sudo "$tactus" unload "$@"
