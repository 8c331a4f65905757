#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tactus-frame and tactus-bench as programs: what they print, and how they end.

usage: programs_test.py BIN-FOLDER frame|serve|errors|bench NAME
Relies on the built programs. Does not judge figures: only that they are there and make sense.
"""
import json
import math
import os
import subprocess
import sys
import tempfile
import time

BIN = sys.argv[1]
CLASSES = ("audio", "physics", "path", "loading")


def check(condition, what):
    if not condition:
        sys.exit(f"FAILED: {what}")


def run(program, *arguments, timeout=60, **more):
    return subprocess.run([os.path.join(BIN, program), *arguments], capture_output=True, text=True,
                          timeout=timeout, check=False, **more)


def check_frame(result):
    check(set(result["classes"]) == set(CLASSES), "four classes")
    total = 0
    for name in CLASSES:
        c = result["classes"][name]
        check(c["samples"] > 0, f"{name}: something was measured")
        check(c["wrong"] == 0, f"{name}: results are right")
        check(0 < c["latency_p50_ms"] <= c["latency_p99_ms"], f"{name}: latencies are ordered")
        check(0 < c["run_p50_ms"] <= c["run_p99_ms"], f"{name}: run times are ordered")
        check(c["wait_p50_ms"] >= 0 and c["throughput_per_s"] > 0, f"{name}: wait, throughput")
        check(sum(c["tasks_on_cpu"]) == c["samples"], f"{name}: every task ran on some CPU")
        check(int(c["checksum"], 16) != 0, f"{name}: checksum")
        total += c["present_mean"]
    check(0 <= result["classes"]["audio"]["deadline_miss_ratio"] <= 1, "miss ratio")
    check(result["classes"]["loading"]["deadline_miss_ratio"] is None, "loading has no deadline")
    check(math.isclose(total, result["cost"], rel_tol=1e-9), "cost is the sum of its parts")
    check(result["weights"]["audio"] == 4, "weights")


def frame():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "result.json")
        done = run("tactus-frame", "--seconds", "2", "--warmup", "0.2", "--seed", "7", "--json", path)
        check(done.returncode == 0, f"tactus-frame ended with {done.returncode}: {done.stderr}")
        check("audio" in done.stdout and "cost" in done.stdout, "a table for people")
        with open(path, encoding="utf-8") as file:
            result = json.load(file)
    check_frame(result)
    check(1.9 < result["seconds"] < 4, "two seconds were measured")
    c = result["classes"]
    # 5 ms period, two streams; the test machine may be busy, so only roughly.
    check(200 < c["audio"]["throughput_per_s"] <= 410, f"audio rate {c['audio']['throughput_per_s']}")
    streams = result["options"]["load_streams"]
    check(0 < c["loading"]["present_mean"] <= streams + 1e-6, "each stream has at most one task")
    check(result["options"]["load_think_ms"] == 5.0, "streams wait an audio period for their data")
    again = run("tactus-frame", "--seconds", "0.2", "--warmup", "0", "--seed", "7", "--json", "-")
    other = run("tactus-frame", "--seconds", "0.2", "--warmup", "0", "--seed", "8", "--json", "-")
    again, other = json.loads(again.stdout), json.loads(other.stdout)
    for name in ("audio", "physics", "path"):
        check(again["classes"][name]["checksum"] == c[name]["checksum"], f"{name}: same seed, same results")
        check(other["classes"][name]["checksum"] != c[name]["checksum"], f"{name}: other seed, other results")


def serve():
    with subprocess.Popen([os.path.join(BIN, "tactus-frame"), "--serve", "--quiet", "--load-mib", "1"], text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        def ask(line):
            process.stdin.write(line + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())
        check(json.loads(process.stdout.readline()) == {"ready": True}, "ready")
        for label in ("one", "two"):
            result = ask(f"measure 0.4 {label}")
            check(result["label"] == label, "label")
            check_frame(result)
            check(0.4 <= result["seconds"] < 1.5, "the time asked for")
        check("error" in ask("measure"), "a request without a time is refused")
        check("error" in ask("nonsense 3"), "a request that is none is refused")
        process.stdin.write("quit\n")
        process.stdin.close()
        check(process.wait(30) == 0, "quit ends it well")


def errors():
    for arguments, code, word in (
            (["--no-such-option"], 2, "no-such-option"),
            (["--seconds", "-1"], 2, "seconds"),
            (["--physics-tasks", "500"], 2, "physics"),
            (["--load-from", "/does/not/exist"], 1, "--load-from"),
            (["--seconds", "0.2", "--json", "/does/not/exist/x.json"], 1, "cannot write")):
        done = run("tactus-frame", *arguments)
        check(done.returncode == code, f"tactus-frame {arguments}: exit code {done.returncode}, expected {code}")
        check(word in done.stderr, f"tactus-frame {arguments} says: {done.stderr}")
    for arguments, code, word in (
            (["no-such-benchmark"], 2, "tactus-bench list"),
            ([], 2, "NAME"),
            (["kernel"], 3, "")):
        done = run("tactus-bench", *arguments)
        check(done.returncode == code, f"tactus-bench {arguments}: exit code {done.returncode}, expected {code}")
        check(word in done.stderr and done.stderr.strip(), f"tactus-bench {arguments} says: {done.stderr}")
    names = {line.split()[0] for line in run("tactus-bench", "list").stdout.splitlines()}
    check({"tag", "decision", "pool", "kernel"} <= names, f"tactus-bench list: {names}")
    for program in ("tactus-frame", "tactus-bench"):
        done = run(program, "--help")
        check(done.returncode == 0 and "examples:" in done.stdout and "exit codes:" in done.stdout, f"{program} --help")


def bench(name):
    with tempfile.TemporaryDirectory() as folder:
        raw_path = os.path.join(folder, "raw.json")
        begin = time.monotonic()
        done = run("tactus-bench", name, "--quick", "--json", "--out", raw_path, timeout=100)
        seconds = time.monotonic() - begin
        if done.returncode == 3:  # no invariant time-stamp counter, for instance
            print(f"skipped: {done.stderr.strip()}")
            sys.exit(77)
        check(done.returncode == 0, f"tactus-bench {name} ended with {done.returncode}: {done.stderr}")
        check(seconds < 50, f"--quick took {seconds:.0f} s, at most 50")
        with open(raw_path, encoding="utf-8") as file:
            raw = json.load(file)
    result = json.loads(done.stdout)
    check(set(result) == {"machine", "rows"}, "top level")
    check(result["rows"], "there are rows")
    for row, kept in zip(result["rows"], raw["rows"], strict=True):
        check(set(row) == {"name", "unit", "tactus", "peers"}, f"fields of {row}")
        for label, figures in (("tactus", row["tactus"]), *row["peers"].items()):
            check(set(figures) == {"median", "lo", "hi"}, f"fields of {label}")
            check(0 <= figures["lo"] <= figures["median"] <= figures["hi"], f"{row['name']}, {label}: {figures}")
            check(len(kept["samples"][label]) >= 5, f"{row['name']}, {label}: samples")
    print(f"{name}: {len(result['rows'])} rows in {seconds:.1f} s")


{"frame": frame, "serve": serve, "errors": errors, "bench": bench}[sys.argv[2]](*sys.argv[3:])
