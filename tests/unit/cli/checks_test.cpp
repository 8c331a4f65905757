// SPDX-License-Identifier: Apache-2.0
// Each precondition of loading, good and spoilt.
#include <doctest/doctest.h>

#include "agent/cli/doctor.h"
#include "agent/load/checks.h"
#include "agent/load/kernel_btf.h"
#include "machine_fixture.h"

#include <nlohmann/json.hpp>

using namespace tactus;
using namespace tactus::load;
using tactus::test::fixture_tree;
using tactus::test::make_btf;
using tactus::test::put_good_machine;

namespace {

host host_of(const fixture_tree& tree) { return {tree.root(), "/sys/fs/bpf/tactus", tree.root() / "run/tactus"}; }

exit_code code_of(const host& where) {
  try {
    require(required_checks(where));
  } catch (const load_error& error) {
    const std::string text = error.what();
    CHECK(text.find('\n') == std::string::npos);  // one line ...
    CHECK(text.find("next: ") != std::string::npos);  // .. with the next step
    return error.code();
  }
  return exit_code::ok;
}

}  // namespace

TEST_CASE("a good machine passes every required check") {
  fixture_tree tree;
  put_good_machine(tree);
  for (const check& c : required_checks(host_of(tree))) {
    CAPTURE(c.id);
    CAPTURE(c.fact);
    CHECK(c.result == verdict::ok);
    CHECK(c.consequence.empty());
  }
  CHECK(code_of(host_of(tree)) == exit_code::ok);
}

TEST_CASE("each spoilt precondition gives its own exit code") {
  fixture_tree tree;
  put_good_machine(tree);
  SUBCASE("no sched_ext") {
    tree.remove("sys/kernel/sched_ext");
    CHECK(code_of(host_of(tree)) == exit_code::no_sched_ext);
  }
  SUBCASE("no BTF") {
    tree.remove("sys/kernel/btf/vmlinux");
    CHECK(code_of(host_of(tree)) == exit_code::no_btf);
  }
  SUBCASE("garbage for BTF") {
    tree.put("sys/kernel/btf/vmlinux", "not type information");
    CHECK(code_of(host_of(tree)) == exit_code::no_btf);
  }
  SUBCASE("64-bit enumerators truncated") {
    tree.put("sys/kernel/btf/vmlinux", make_btf({false, false, ""}));
    CHECK(code_of(host_of(tree)) == exit_code::broken_btf);
  }
  SUBCASE("pahole shows the hidden argument") {
    tree.put("sys/kernel/btf/vmlinux", make_btf({true, true, ""}));
    CHECK(code_of(host_of(tree)) == exit_code::broken_btf);
    CHECK(check_kernel_api(host_of(tree)).fact.find("scx_bpf_kick_cpu") != std::string::npos);
  }
  SUBCASE("a kernel function is missing, and named") {
    tree.put("sys/kernel/btf/vmlinux", make_btf({true, false, "scx_bpf_dsq_move"}));
    CHECK(code_of(host_of(tree)) == exit_code::object_rejected);
    CHECK(check_kernel_api(host_of(tree)).fact == "the kernel lacks scx_bpf_dsq_move");
  }
  SUBCASE("no capability") {
    tree.put("proc/self/status", "CapEff:\t0000000000000000\n");
    CHECK(code_of(host_of(tree)) == exit_code::no_rights);
  }
  SUBCASE("CAP_BPF alone is not enough") {
    tree.put("proc/self/status", "CapEff:\t0000008000000000\n");
    CHECK(code_of(host_of(tree)) == exit_code::no_rights);
    CHECK(check_rights(host_of(tree)).fact.find("missing CAP_PERFMON") != std::string::npos);
  }
  SUBCASE("bpffs not mounted") {
    tree.put("proc/self/mounts", "sysfs /sys sysfs rw 0 0\n");
    CHECK(code_of(host_of(tree)) == exit_code::no_bpffs);
    CHECK(check_bpffs(host_of(tree)).command == "sudo mount -t bpf bpf /sys/fs/bpf");
  }
  SUBCASE("a mount point that only begins alike is not it") {
    tree.put("proc/self/mounts", "sysfs /sys sysfs rw 0 0\nbpf /sys/fs/bp bpf rw 0 0\n");
    CHECK(code_of(host_of(tree)) == exit_code::no_bpffs);
  }
  SUBCASE("bpffs covered by another file system") {
    tree.put("proc/self/mounts", "bpf /sys/fs/bpf bpf rw 0 0\ntmpfs /sys/fs/bpf tmpfs rw 0 0\n");
    CHECK(code_of(host_of(tree)) == exit_code::no_bpffs);
  }
  SUBCASE("another scheduler") {
    tree.put("sys/kernel/sched_ext/state", "enabled\n");
    tree.put("sys/kernel/sched_ext/root/ops", "bpfland_1.1\n");
    CHECK(code_of(host_of(tree)) == exit_code::other_scheduler);
    CHECK(check_other_scheduler(host_of(tree)).fact.find("bpfland_1.1") != std::string::npos);
  }
  SUBCASE("a name that only begins like ours is another") {
    tree.put("sys/kernel/sched_ext/state", "enabled\n");
    tree.put("sys/kernel/sched_ext/root/ops", "tactusoid\n");
    CHECK(code_of(host_of(tree)) == exit_code::other_scheduler);
  }
  SUBCASE("our own, loaded already, is fine") {
    tree.put("sys/kernel/sched_ext/state", "enabled\n");
    tree.put("sys/kernel/sched_ext/root/ops", "tactus_0.1\n");
    CHECK(code_of(host_of(tree)) == exit_code::ok);
  }
  SUBCASE("too many CPUs") {
    tree.put("sys/devices/system/cpu/possible", "0-2047\n");
    CHECK(code_of(host_of(tree)) == exit_code::machine_too_big);
  }
}

TEST_CASE("the flag for --partial is read from the kernel, not compiled in") {
  fixture_tree tree;
  tree.put("wide", make_btf());
  tree.put("narrow", make_btf({false, false, ""}));
  CHECK(read_kernel_btf(tree.root() / "wide").ops_flags.at("SCX_OPS_SWITCH_PARTIAL") == 8);
  CHECK(read_kernel_btf(tree.root() / "narrow").ops_flags.at("SCX_OPS_SWITCH_PARTIAL") == 8);
  CHECK_FALSE(read_kernel_btf(tree.root() / "absent").error.empty());
}

TEST_CASE("doctor: failures outrank warnings, and each comes with a command") {
  fixture_tree tree;
  put_good_machine(tree);
  auto checks = cli::examine(host_of(tree));
  CHECK(cli::doctor_code(checks) == cli::k_doctor_warnings);  // at least: not loaded
  tree.remove("sys/kernel/sched_ext");
  checks = cli::examine(host_of(tree));
  CHECK(cli::doctor_code(checks) == cli::k_doctor_cannot_run);
  for (const check& c : checks) {
    CAPTURE(c.id);
    CHECK_FALSE(c.fact.empty());
    CHECK(c.consequence.empty() == (c.result == verdict::ok));
    CHECK(c.command.empty() == (c.result == verdict::ok));
  }
  const auto json = cli::doctor_json(checks);
  CHECK(json["result"] == 2);
  CHECK(json["checks"][0]["id"] == "sched_ext");
  CHECK(json["checks"][0]["result"] == "failure");
  CHECK(json["checks"][0]["exit_code"] == 10);
  CHECK(cli::doctor_code({{"a", verdict::ok, "f", "", "", exit_code::ok}}) == cli::k_doctor_good);
}

TEST_CASE("doctor warns of unlimited real-time threads and a slow clock") {
  fixture_tree tree;
  put_good_machine(tree);
  tree.put("proc/sys/kernel/sched_rt_runtime_us", "-1\n");
  tree.put("sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n");
  unsigned seen = 0;
  for (const check& c : advisory_checks(host_of(tree)))
    if (c.id == "realtime" || c.id == "clock") {
      CHECK(c.result == verdict::warning);
      ++seen;
    }
  CHECK(seen == 2);
}
