// SPDX-License-Identifier: Apache-2.0
// The program itself: exit codes and error lines, on fixture machines.
#include <doctest/doctest.h>
#include <sys/wait.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "machine_fixture.h"

using namespace tactus::test;

tactus::test::run_result tactus::test::run_tactus(const std::string& arguments) {
  const fixture_tree tree;
  const std::string out = (tree.root() / "out").string(), err = (tree.root() / "err").string();
  const int status = std::system((std::string(TACTUS_PROGRAM) + " " + arguments + " >" + out + " 2>" + err).c_str());
  const auto text = [](const std::string& file) {
    std::ostringstream all;
    all << std::ifstream(file).rdbuf();
    return all.str();
  };
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, text(out), text(err)};
}

namespace {

std::string root_option(const fixture_tree& tree) {
  return "--root " + tree.root().string() + " --run-dir " + (tree.root() / "run").string() + " ";
}

// An error: nothing on standard output, one line on standard error, with the next step.
void check_error(const run_result& r, int code, const std::string& has) {
  CAPTURE(r.err);
  CHECK(r.code == code);
  CHECK(r.out.empty());
  CHECK(std::count(r.err.begin(), r.err.end(), '\n') == 1);
  CHECK(r.err.find("tactus: ") == 0);
  CHECK(r.err.find("next: ") != std::string::npos);
  CHECK(r.err.find(has) != std::string::npos);
}

}  // namespace

TEST_CASE("tactus load: each missing precondition has a line and an exit code") {
  fixture_tree tree;
  put_good_machine(tree);
  SUBCASE("sched_ext") {
    tree.remove("sys/kernel/sched_ext");
    check_error(run_tactus(root_option(tree) + "load"), 10, "kernel 6.18.0-fixture has no sched_ext (CONFIG_SCHED_CLASS_EXT)");
  }
  SUBCASE("another scheduler") {
    tree.put("sys/kernel/sched_ext/state", "enabled\n");
    tree.put("sys/kernel/sched_ext/root/ops", "lavd_1.1.2\n");
    check_error(run_tactus(root_option(tree) + "load"), 11, "lavd_1.1.2");
  }
  SUBCASE("BTF") {
    tree.remove("sys/kernel/btf");
    check_error(run_tactus(root_option(tree) + "load"), 12, "CONFIG_DEBUG_INFO_BTF");
  }
  SUBCASE("rights") {
    tree.put("proc/self/status", "CapEff:\t0\n");
    check_error(run_tactus(root_option(tree) + "load"), 13, "missing CAP_BPF and CAP_PERFMON");
  }
  SUBCASE("bpffs") {
    tree.put("proc/self/mounts", "sysfs /sys sysfs rw 0 0\n");
    check_error(run_tactus(root_option(tree) + "load"), 14, "mount -t bpf");
  }
  SUBCASE("pahole") {
    tree.put("sys/kernel/btf/vmlinux", make_btf({true, true, ""}));
    check_error(run_tactus(root_option(tree) + "load"), 17, "hidden argument of scx_bpf_kick_cpu");
  }
}

TEST_CASE("tactus status answers where nothing is loaded, with code 19") {
  fixture_tree tree;
  put_good_machine(tree);
  const auto r = run_tactus(root_option(tree) + "status --pins /nowhere/tactus");
  CHECK(r.code == 19);
  CHECK(r.out.find("not loaded") != std::string::npos);
  const auto json = run_tactus(root_option(tree) + "status --json --pins /nowhere/tactus");
  CHECK(nlohmann::json::parse(json.out)["loaded"] == false);
  check_error(run_tactus(root_option(tree) + "explain --pins /nowhere/tactus"), 19, "nothing to explain");
}

TEST_CASE("tactus doctor: exit code 2 and JSON for programs") {
  fixture_tree tree;
  put_good_machine(tree);
  CHECK(run_tactus(root_option(tree) + "doctor --pins /sys/fs/bpf/none").code == 1);
  tree.remove("sys/kernel/sched_ext");
  const auto r = run_tactus(root_option(tree) + "doctor --json");
  CHECK(r.code == 2);
  CHECK(nlohmann::json::parse(r.out)["result"] == 2);
}

TEST_CASE("commands to an agent that is not there") {
  for (const char* command : {"mode learned", "learning off", "weight audio 2", "checkpoint"}) {
    CAPTURE(command);
    check_error(run_tactus(std::string(command) + " --control /nowhere/control.sock"), 20, "the agent does not run");
  }
}

TEST_CASE("wrong use is code 64, help is 0 and shows examples") {
  CHECK(run_tactus("").code == 64);
  CHECK(run_tactus("fly").code == 64);
  CHECK(run_tactus("mode sideways").code == 64);
  CHECK(run_tactus("learning").code == 64);
  CHECK(run_tactus("weight audio 300").code == 64);
  CHECK(run_tactus("load --ring-bytes 1000").code == 64);
  for (const char* command : {"", "load", "unload", "status", "explain", "doctor", "mode", "learning", "weight", "checkpoint"}) {
    CAPTURE(command);
    const auto r = run_tactus(std::string(command) + " --help");
    CHECK(r.code == 0);
    CHECK(r.out.find("Examples:") != std::string::npos);
  }
  CHECK(run_tactus("load --help").out.find("Exit codes:") != std::string::npos);
}
