# SPDX-License-Identifier: Apache-2.0
"""Takes the first C++ block of README.md and the output block behind it into files of their own.

usage: extract.py README PROGRAM OUTPUT. Fails when there are no such blocks.
"""
import re
import sys
from pathlib import Path

readme, program, output = sys.argv[1:]
match = re.search(r"```cpp\n(.*?)```\s*```text\n(.*?)```", Path(readme).read_text(encoding="utf-8"), re.S)
if not match:
    sys.exit(f"{readme}: no C++ block followed by a text block")
Path(program).write_text(f'#line 1 "README.md program"\n{match.group(1)}', encoding="utf-8")
Path(output).write_text(match.group(2), encoding="utf-8")
