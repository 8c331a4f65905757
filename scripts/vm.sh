#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs a command in a fresh VM with a sched_ext kernel; scripts/vm.sh --help tells how.
# The work is done by scripts/vm/run.py.
command -v python3 >/dev/null || { echo "vm.sh: python3 is missing; run scripts/setup.sh" >&2; exit 125; }
python=/usr/bin/python3; [ -x "$python" ] || python=python3
exec env PYTHONDONTWRITEBYTECODE=1 "$python" "$(dirname "$(readlink -f "$0")")/vm/run.py" "$@"
