// SPDX-License-Identifier: Apache-2.0
// Parts of the loader that need no kernel: reload budget, exits, notes, logs, ring sizes.
#include <doctest/doctest.h>

#include <cstring>

#include "agent/load/kernel_log.h"
#include "agent/load/object.h"
#include "agent/load/pins.h"
#include "agent/load/run_files.h"
#include "agent/load/stay.h"
#include "machine_fixture.h"

using namespace tactus::load;
using tactus::test::fixture_tree;
using namespace std::chrono_literals;

namespace {

tactus_exit left_as(std::uint32_t kind, std::int64_t code, const char* reason, const char* message) {
  tactus_exit e{};
  e.kind = kind;
  e.code = code;
  std::strncpy(e.reason, reason, sizeof(e.reason));
  std::strncpy(e.message, message, sizeof(e.message) - 1);
  return e;
}

}  // namespace

TEST_CASE("at most two reloads in 30 s, then again later") {
  reload_budget budget;
  const reload_budget::clock::time_point start{};
  CHECK(budget.take(start));
  CHECK(budget.take(start + 1s));
  CHECK_FALSE(budget.take(start + 2s));
  CHECK_FALSE(budget.take(start + 29s));
  CHECK(budget.taken(start + 29s) == 2);
  CHECK(budget.take(start + 30s));  // the first one is 30 s ago
  CHECK_FALSE(budget.take(start + 30s));
  CHECK(budget.take(start + 31s));
}

TEST_CASE("hotplug is reloaded at once, an error within the budget, an operator's wish never") {
  const exit_reason hotplug = describe(left_as(66, (1ll << 48) | (1ll << 32), "unregistered from the main kernel", "cpu 3 going offline"));
  CHECK(hotplug.hotplug);
  CHECK(decide_after_exit(hotplug, false) == after_exit::reload);
  const exit_reason stall = describe(left_as(1026, 0, "runnable task stall", "x[17] failed to run for 30.1s"));
  CHECK_FALSE(stall.hotplug);
  CHECK(stall.text() == "runnable task stall: x[17] failed to run for 30.1s");
  CHECK(decide_after_exit(stall, false) == after_exit::reload_counted);
  CHECK(decide_after_exit(stall, true) == after_exit::reload_counted);  // an error stays an error
  CHECK(decide_after_exit(describe(left_as(67, 0, "disabled by sysrq-S", "")), false) == after_exit::end);
  CHECK(decide_after_exit(describe(left_as(64, 0, "unregistered from user space", "")), false) == after_exit::end);
  CHECK(decide_after_exit({}, true) == after_exit::reload);  // nothing recorded, but a CPU came or went
  CHECK(decide_after_exit({}, false) == after_exit::reload_counted);
}

TEST_CASE("a reason that fills its field without a zero is read to its end only") {
  tactus_exit e{};
  e.kind = 1025;
  std::memset(e.reason, 'r', sizeof(e.reason));
  std::memset(e.message, 'm', sizeof(e.message));
  CHECK(describe(e).name.size() == sizeof(e.reason));
  CHECK(describe(e).message.size() == sizeof(e.message));
}

TEST_CASE("notes under /run survive a round trip; damaged ones are none") {
  fixture_tree tree;
  host where;
  where.run = tree.root() / "run";
  CHECK_FALSE(read_hint(where).has_value());
  write_hint(where, {true, false, "abc"});
  CHECK(read_hint(where) == load_hint{true, false, "abc"});
  write_ejection(where, {123, "runnable task stall: x", true, 2});
  REQUIRE(read_ejection(where).has_value());
  CHECK(read_ejection(where)->reason == "runnable task stall: x");
  CHECK(read_ejection(where)->stays_out);
  tree.put("run/loaded.json", "{\"partial\": 3");
  CHECK_FALSE(read_hint(where).has_value());
  tree.put("run/ejected.json", "{\"reason\": 5}");
  CHECK_FALSE(read_ejection(where).has_value());
  forget_hint(where);
  forget_ejection(where);
  forget_ejection(where);  // twice is fine
  CHECK_FALSE(std::filesystem::exists(where.run / "ejected.json"));
}

TEST_CASE("the telling line of a log") {
  CHECK(telling_line("") == "");
  CHECK(telling_line("libbpf: prog 'x': BPF program load failed: -22\n"
                     "libbpf: prog 'x': -- BEGIN PROG LOAD LOG --\n0: (85) call\n"
                     "kfunc 'scx_bpf_foo' is referenced but wasn't resolved\n-- END PROG LOAD LOG --\n") ==
        "the kernel has no function scx_bpf_foo");
  CHECK(telling_line("libbpf: prog 'x': BPF program load failed: Permission denied\n"
                     "libbpf: prog 'x': -- BEGIN PROG LOAD LOG --\n12: (79) r1 = *(u64 *)(r2 +8)\n"
                     "R2 invalid mem access 'scalar'\n"
                     "processed 13 insns (limit 1000000) max_states_per_insn 0\n-- END PROG LOAD LOG --\n"
                     "libbpf: prog 'x': failed to load: -13\n") == "R2 invalid mem access 'scalar'");
  CHECK(telling_line("libbpf: struct_ops init_kern: struct sched_ext_ops is not found in kernel BTF\n") ==
        "struct_ops init_kern: struct sched_ext_ops is not found in kernel BTF");
  CHECK(telling_line("libbpf: extern (func ksym) 'scx_bpf_now': func_proto [12] incompatible with vmlinux [99]\n") ==
        "scx_bpf_now: func_proto [12] incompatible with vmlinux [99]");
}

TEST_CASE("ring sizes: powers of two from a page to 1 GiB") {
  for (std::uint64_t good : {4096ull, 65536ull, 1ull << 20, 1ull << 30}) CHECK_NOTHROW(require_ring_bytes(good));
  for (std::uint64_t bad : {1ull, 2048ull, 5000ull, (1ull << 20) + 1, 1ull << 31, ~0ull}) {
    CAPTURE(bad);
    CHECK_THROWS_AS(require_ring_bytes(bad), load_error);
  }
}

TEST_CASE("timers and scratch maps are never kept over a load, registrations and rings are") {
  for (const char* kept : {"tactus_control", "tactus_rows", "tactus_workers", "tactus_rings", "tactus_domains"})
    CHECK(is_kept(kept));
  for (const char* anew : {"tactus_timers", "tactus_scratch", "tactus_place_masks", "tactus_ops", "tactus.bss", ""})
    CHECK_FALSE(is_kept(anew));
}

TEST_CASE("the program carries a BPF object, and its fingerprint depends on every byte") {
  const object_bytes object = embedded_object();
  REQUIRE(object.size > 64);
  CHECK(std::memcmp(object.data, "\177ELF", 4) == 0);
  CHECK(object.data[18] == 247);  // EM_BPF
  std::string copy(reinterpret_cast<const char*>(object.data), object.size);
  const std::string before = fingerprint(object);
  CHECK(before == fingerprint(embedded_object()));
  copy.back() ^= 1;
  CHECK(before != fingerprint({reinterpret_cast<const unsigned char*>(copy.data()), copy.size()}));
}
