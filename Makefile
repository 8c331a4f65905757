# SPDX-License-Identifier: Apache-2.0
# A thin front with the verbs a person types; CMake builds, the scripts do the work.
# Works for root, and for a user with sudo (asked for only when packages are missing or CPUs of a VM
# are to be throttled). `make help` lists the verbs.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.NOTPARALLEL:
.DEFAULT_GOAL := help

BUILD ?= build
JOBS ?= $(shell nproc)
SEED ?= 1
SEEDS ?= 5
ROUNDS ?= 10
KERNEL ?= latest
HOST ?= 0
NAME ?= --quick all
STRESS_SECONDS ?= 600
STRESS_TASKS ?= 100000000

.PHONY: help setup deps-build deps-vm deps-all configure build build-demo demo check check-full oracle pretrain results stress bench clean

help:
	@echo 'make demo        the whole thing, from nothing to a report: packages, kernel, build, VM, comparison'
	@echo '                   SEED=1 ROUNDS=10 KERNEL=latest|6.16|6.18|7.3; HOST=1 uses this machine'"'"'s own kernel'
	@echo 'make check       set-up, build, all tests, also under sanitizers and in VMs; closes with the counts'
	@echo 'make check-full  the same with every VM test on every kernel'
	@echo 'make oracle      trains the learner on systems with exactly known optima; says which bounds it met'
	@echo 'make pretrain    trains the model that agents start from anew (models/start.ckpt) and judges it'
	@echo 'make results     simulated costs of all policies on all machines and work loads: docs/results.md; SEEDS=5;'
	@echo '                   goes on where it was interrupted (build/results.jsonl)'
	@echo 'make stress      the pool alone for 10 minutes, and 1e8 tasks; STRESS_SECONDS=600 STRESS_TASKS=100000000;'
	@echo '                   BUILD=build/tsan or build/asan: under the sanitizers that make check has built'
	@echo 'make build       set-up and build only; the programs are in build/bin'
	@echo 'make bench       the benchmark program; NAME='"'"'tag --json'"'"' and the like choose'
	@echo 'make clean       removes build/ (what was downloaded stays in the cache folder)'

setup:
	@scripts/setup.sh

deps-build: setup
	@scripts/deps.sh build

deps-vm: setup
	@scripts/deps.sh qemu kernel $(KERNEL)

deps-all: setup
	@scripts/deps.sh all

configure: deps-build
	@[ -f $(BUILD)/build.ninja ] || cmake -G Ninja -B $(BUILD) -S .

build: configure
	@cmake --build $(BUILD) -j $(JOBS)

# What the demo runs, without tests and benchmarks.
build-demo: configure
	@cmake --build $(BUILD) -j $(JOBS) --target tactus_command tactusd tactus-frame

ifeq ($(HOST),1)
demo: build-demo
	@scripts/demo.sh --host --build $(BUILD) --seed $(SEED) --rounds $(ROUNDS)
else
demo: build-demo deps-vm
	@scripts/demo.sh --build $(BUILD) --seed $(SEED) --rounds $(ROUNDS) --kernel $(KERNEL)
endif

check: deps-all build
	@scripts/check.sh --build $(BUILD) --jobs $(JOBS)

check-full: deps-all build
	@scripts/check.sh --build $(BUILD) --jobs $(JOBS) --full

oracle: configure
	@cmake --build $(BUILD) -j $(JOBS) --target tactus-sim sim_closed_form_test sim_solve_test
	@scripts/oracle.py --build $(BUILD) --json $(BUILD)/oracle.json

pretrain: configure
	@cmake --build $(BUILD) -j $(JOBS) --target tactus-sim
	@$(BUILD)/bin/tactus-sim pretrain --out models/start.ckpt --decisions 5000000 --per-world 6000 --held-out 100 --seed $(SEED)

results: configure
	@cmake --build $(BUILD) -j $(JOBS) --target tactus-sim
	@$(BUILD)/bin/tactus-sim table --seeds $(SEEDS) --jobs $(JOBS) --journal $(BUILD)/results.jsonl --out docs/results.md

stress:
	@[ -x $(BUILD)/tests/lib_soak ] || $(MAKE) build
	@TACTUS_STRESS_SECONDS=$(STRESS_SECONDS) TACTUS_STRESS_TASKS=$(STRESS_TASKS) $(BUILD)/tests/lib_soak

bench: build
	@$(BUILD)/bin/tactus-bench $(NAME)

clean:
	@rm -rf $(BUILD)
