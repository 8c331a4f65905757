#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the demo and compares the arms; scripts/demo.sh --help tells how. `make demo` builds first.
# The work is done by scripts/demo/demo.py.
command -v python3 >/dev/null || { echo "demo.sh: python3 is missing; run scripts/setup.sh" >&2; exit 2; }
exec env PYTHONDONTWRITEBYTECODE=1 python3 "$(dirname "$(readlink -f "$0")")/demo/demo.py" "$@"
