#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Stands in for tactus, tactusd and tactus-frame so that guest.sh can be tested without a kernel.

Its first argument is the program it plays. State is in the folder TACTUS_STAND_IN: `state` (as the
kernel's), world.json, and log, a line for each command and each window. TACTUS_STAND_IN_BREAK makes
something go wrong: eject (the scheduler leaves in the fifth slot), frame (tactus-frame ends there),
agent (tactusd ends at once). Does not: measure anything; its figures are made up.
"""
import json
import os
import random
import sys
import time
from pathlib import Path

import made_up

FOLDER = Path(os.environ["TACTUS_STAND_IN"])
BREAK = os.environ.get("TACTUS_STAND_IN_BREAK", "")
PER_WINDOW = 9000


def world():
    return json.loads((FOLDER / "world.json").read_text())


def change(**values):
    new = FOLDER / f"world.{os.getpid()}"
    new.write_text(json.dumps({**world(), **values}))
    new.rename(FOLDER / "world.json")


def log(text):
    with open(FOLDER / "log", "a", encoding="utf-8") as file:
        file.write(text + "\n")


def tactus(words):
    if words[0] == "status":
        print(json.dumps(made_up.status_json(world()["completions"], world()["completions"] // 100, world().get("agent")), indent=2))
        sys.exit(0 if (FOLDER / "state").read_text() == "enabled\n" else 19)
    log(" ".join(words))
    if words[0] in ("load", "unload"):
        (FOLDER / "state").write_text("enabled\n" if words[0] == "load" else "disabled\n")
    elif words[0] == "mode":
        change(mode=words[1])
    elif words[0] == "learning":
        change(learning=words[1] == "on")


def tactusd():
    if BREAK == "agent":
        sys.exit("broken on purpose")
    change(agent=True)
    while True:
        time.sleep(60)


def frame():
    print('{"ready":true}', flush=True)
    generator, slots = random.Random(1), 0
    for line in sys.stdin:
        words = line.split()
        if words[0] == "quit":
            return
        state = (FOLDER / "state").read_text().strip()
        now = world()
        if words[2] != "warmup" and not words[2].startswith("learn"):
            slots += 1
            log(f"window {words[2]} {state} {now['mode']} learning={now['learning']}")
            if slots == 5 and BREAK == "eject":
                (FOLDER / "state").write_text("disabled\n" if state == "enabled" else "enabled\n")
            if slots == 5 and BREAK == "frame":
                sys.exit("broken on purpose")
        if now["learning"]:
            change(completions=now["completions"] + PER_WINDOW)
        figures = made_up.frame("eevdf" if state == "disabled" else now["mode"], generator)
        print(json.dumps({**figures, "seconds": float(words[1])}), flush=True)


if __name__ == "__main__":
    {"tactus": lambda: tactus(sys.argv[2:]), "tactusd": tactusd, "tactus-frame": frame}[sys.argv[1]]()
