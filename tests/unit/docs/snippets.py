# SPDX-License-Identifier: Apache-2.0
"""Makes one C++ program of the C++ blocks of a page, and the output it should have.

usage: snippets.py PAGE PROGRAM OUTPUT

In the page, ```cpp begins a block that is compiled and run: a whole program when it
has a main(), else statements, for which `pool` is a tactus::pool of two workers.
```cpp top is for what stands outside of functions; later blocks may use it. ```c++
is shown and not compiled (code for other libraries, pieces). A ```text block behind
a block is the output it must have; what prints has one.
"""
import re
import sys
from pathlib import Path

page, program, output = map(Path, sys.argv[1:])
fence = re.compile(r"^```(\S*)( top)?[^\n]*\n(.*?)^```\s*$", re.S | re.M)
text = page.read_text(encoding="utf-8")

includes, bodies, calls, expected = {"#include <tactus/tactus.hpp>", "#include <cstdio>"}, [], [], ""
count = 0
for match in fence.finditer(text):
    kind, top, code = match.group(1), match.group(2), match.group(3)
    if kind == "text":
        expected += code
        continue
    if kind != "cpp":
        continue
    count += 1
    line = text.count("\n", 0, match.start()) + 2
    includes.update(re.findall(r"^#include .*$", code, re.M))
    code = re.sub(r"^#include .*$", "", code, flags=re.M)
    code = f'#line {line} "{page.name}"\n{code}'
    if top:
        bodies.append(code)
    elif re.search(r"^int main\(", code, re.M):
        bodies.append(f"namespace block_{count} {{\n{code.replace('int main(', 'void program(')}}}\n")
        calls.append(f"block_{count}::program();")
    else:
        bodies.append(f"static void block_{count}([[maybe_unused]] tactus::pool& pool) {{\n"
                      f"using namespace std::chrono_literals;\n{code}}}\n")
        calls.append(f"{{ tactus::pool pool(tactus::preset::testing); block_{count}(pool); }}")
if not calls:
    sys.exit(f"{page}: no C++ block to compile")
program.write_text(
    "\n".join(sorted(includes)) + "\n" + "\n".join(bodies) +
    "\nint main() {\n" + "\n".join(f"  {call} std::fflush(stdout);" for call in calls) + "\n}\n", encoding="utf-8")
output.write_text(expected, encoding="utf-8")
