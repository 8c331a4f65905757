// SPDX-License-Identifier: Apache-2.0
// Pins in a real bpf file system: ABI, shapes, rights, snapshot, explain, unload.
// Where the test may not mount one or make maps (no root), it says so and checks nothing.
#include <bpf/bpf.h>
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "agent/cli/explain.h"
#include "agent/cli/snapshot.h"
#include "agent/load/loader.h"
#include "agent/load/pins.h"
#include "agent/load/run_files.h"
#include "machine_fixture.h"

using namespace tactus;
using namespace tactus::load;
using tactus::test::bpf_mount;
using tactus::test::fixture_tree;
using tactus::test::put_good_machine;
using tactus::test::run_tactus;

namespace {

struct pinned_machine {
  bpf_mount bpffs;
  fixture_tree tree;
  host where;
  bool usable = false;

  pinned_machine() {
    if (!bpffs.mounted()) {
      MESSAGE("not checked: no right to mount a bpf file system");
      return;
    }
    put_good_machine(tree, bpffs.root().string());
    where = {tree.root(), bpffs.pins(), tree.root() / "run"};
    make_pin_folder(where);
    const unique_fd probe(bpf_map_create(BPF_MAP_TYPE_ARRAY, "probe", 4, 8, 1, nullptr));
    if (!probe) {
      MESSAGE("not checked: no right to make BPF maps");
      return;
    }
    usable = true;
  }

  unique_fd make(const char* name, std::uint32_t value_bytes, std::uint32_t entries, bool mmapable = true,
                 bpf_map_type type = BPF_MAP_TYPE_ARRAY) {
    LIBBPF_OPTS(bpf_map_create_opts, options);
    options.map_flags = mmapable ? BPF_F_MMAPABLE : 0;
    unique_fd fd(bpf_map_create(type, name, 4, value_bytes, entries, &options));
    REQUIRE(fd);
    pin(where, fd.get(), name, k_map_mode);
    return fd;
  }

  void put_all_maps(std::uint32_t abi_version) {
    tactus_control control{};
    control.abi_version = abi_version;
    control.bank = 1;
    control.version = 7;
    control.generation = 2;
    const std::uint32_t zero = 0;
    const unique_fd control_fd = make("tactus_control", sizeof(control), 1);
    REQUIRE(bpf_map_update_elem(control_fd.get(), &zero, &control, 0) == 0);
    const unique_fd rows = make("tactus_rows", sizeof(tactus_row), TACTUS_NR_ROWS);
    tactus_row row{};
    row.version_begin = row.version_end = 7;
    for (auto& c : row.cdf) c = TACTUS_CDF_ONE;  // all on place 0
    for (std::uint32_t s = 0; s < TACTUS_NR_SITUATIONS; ++s) {
      const std::uint32_t at = tactus_row_index(1, 5, s);
      REQUIRE(bpf_map_update_elem(rows.get(), &at, &row, 0) == 0);
    }
    const unique_fd classes = make("tactus_classes", sizeof(tactus_class_conf), 2 * TACTUS_MAX_SLOTS);
    tactus_class_conf conf{};
    conf.in_use = 1;
    conf.tier[1] = 1;
    std::strcpy(conf.name, "audio");
    const std::uint32_t slot = TACTUS_MAX_SLOTS + 5;
    REQUIRE(bpf_map_update_elem(classes.get(), &slot, &conf, 0) == 0);
    const unique_fd places = make("tactus_places", sizeof(tactus_place), TACTUS_MAX_PLACES, false);
    for (std::uint32_t p = 0; p < 2; ++p) {
      tactus_place place{};
      place.nr_cpus = 1;
      place.cpus[0] = 1ull << p;
      REQUIRE(bpf_map_update_elem(places.get(), &p, &place, 0) == 0);
    }
    const unique_fd domains = make("tactus_domains", sizeof(tactus_domain), TACTUS_MAX_DOMAINS);
    tactus_domain domain{};
    domain.nr_cpus = 2;
    domain.lost = 9;
    REQUIRE(bpf_map_update_elem(domains.get(), &zero, &domain, 0) == 0);
    make("tactus_exit", sizeof(tactus_exit), 1, false);
    make("tactus_stats", sizeof(tactus_stats), 1, false, BPF_MAP_TYPE_PERCPU_ARRAY);
  }
};

std::string options_of(const pinned_machine& m) {
  return "--root " + m.where.root.string() + " --pins " + m.where.pins.string() + " --run-dir " + m.where.run.string() + " ";
}

}  // namespace

TEST_CASE("the folder and the pins have the modes that keep others out") {
  pinned_machine m;
  if (!m.usable) return;
  m.make("tactus_control", sizeof(tactus_control), 1);
  struct stat info {};
  REQUIRE(stat(m.where.pins.c_str(), &info) == 0);
  CHECK((info.st_mode & 07777) == 0750);
  REQUIRE(stat((m.where.pins / "tactus_control").c_str(), &info) == 0);
  CHECK((info.st_mode & 07777) == 0660);
}

TEST_CASE("maps of another ABI are refused by load and by status, with the way out") {
  pinned_machine m;
  if (!m.usable) return;
  m.put_all_maps(TACTUS_ABI_VERSION + 1);
  CHECK(pinned_abi(m.where) == TACTUS_ABI_VERSION + 1);
  for (const char* command : {"load", "status"}) {
    CAPTURE(command);
    const auto r = run_tactus(options_of(m) + command);
    CHECK(r.code == 15);
    CHECK(r.err.find("maps of ABI version 2, this program has 1") != std::string::npos);
    CHECK(r.err.find("tactus unload --all") != std::string::npos);
  }
  const auto r = run_tactus(options_of(m) + "doctor");
  CHECK(r.code == 2);
}

TEST_CASE("a control map that a dying loader left without a version counts as none") {
  pinned_machine m;
  if (!m.usable) return;
  m.make("tactus_control", sizeof(tactus_control), 1);
  CHECK_FALSE(pinned_abi(m.where).has_value());
  CHECK_NOTHROW(require_same_abi(m.where));
}

TEST_CASE("load refuses a pinned map of another shape") {
  pinned_machine m;
  if (!m.usable) return;
  m.make("tactus_rows", 8, 1);
  const auto r = run_tactus(options_of(m) + "load");
  CHECK(r.code == 15);
  CHECK(r.err.find("pinned map tactus_rows has another shape") != std::string::npos);
}

TEST_CASE("what the kernel rejects is told in one line, with a code of its own") {
  pinned_machine m;
  if (!m.usable) return;
  if (access("/sys/kernel/sched_ext/state", F_OK) == 0) {
    MESSAGE("not checked: this kernel has sched_ext and might take the object");
    return;
  }
  const auto r = run_tactus(options_of(m) + "load");
  CHECK(r.code == 16);
  CHECK(r.err.find("the kernel rejects the scheduler object: ") != std::string::npos);
  CHECK(r.err.find("sched_ext_ops") != std::string::npos);
}

TEST_CASE("status and explain read the maps without any agent") {
  pinned_machine m;
  if (!m.usable) return;
  m.put_all_maps(TACTUS_ABI_VERSION);
  m.tree.put("sys/kernel/sched_ext/state", "enabled\n");
  m.tree.put("sys/kernel/sched_ext/root/ops", "tactus\n");
  const cli::snapshot s = cli::take_snapshot(m.where);
  CHECK(s.has_maps);
  CHECK(s.control.version == 7);
  REQUIRE(s.domains.size() == 1);
  CHECK(s.domains[0].lost == 9);
  CHECK(s.places.size() == 2);
  CHECK(s.classes[5].in_use == 1);  // of bank 1

  auto r = run_tactus(options_of(m) + "status --json");
  CHECK(r.code == 0);
  const auto status = nlohmann::json::parse(r.out);
  CHECK(status["loaded"] == true);
  CHECK(status["in_force"] == "fallback");
  CHECK(status["rows"]["version"] == 7);
  CHECK(status["domains"][0]["lost"] == 9);

  r = run_tactus(options_of(m) + "explain audio");
  CHECK(r.code == 0);
  CHECK(r.out.find("audio:  100 % CPU 0; never holds (confidence 0.00)") != std::string::npos);
  r = run_tactus(options_of(m) + "explain 5 --json --full");
  const auto explained = nlohmann::json::parse(r.out);
  CHECK(explained["classes"][0]["name"] == "audio");
  CHECK(explained["classes"][0]["situations"].size() == 32);
  r = run_tactus(options_of(m) + "explain physics");
  CHECK(r.code == 24);

  m.tree.put("sys/kernel/sched_ext/state", "disabled\n");
  CHECK(run_tactus(options_of(m) + "status").code == 19);
}

TEST_CASE("unload removes the link, and with --all every pin and the folder; twice is fine") {
  pinned_machine m;
  if (!m.usable) return;
  m.put_all_maps(TACTUS_ABI_VERSION);
  const unique_fd stand_in(bpf_map_create(BPF_MAP_TYPE_ARRAY, "x", 4, 8, 1, nullptr));
  pin(m.where, stand_in.get(), k_link_pin, k_link_mode);
  write_ejection(m.where, {1, "runnable task stall", true, 2});
  CHECK(run_tactus(options_of(m) + "unload").code == 0);
  CHECK_FALSE(pin_exists(m.where, k_link_pin));
  CHECK(pin_exists(m.where, "tactus_control"));
  // It had left before: taking its link away does not wipe out why.
  CHECK(run_tactus(options_of(m) + "status").out.find("runnable task stall (not loaded again after 2 reloads") != std::string::npos);
  const auto r = run_tactus(options_of(m) + "unload --all");
  CHECK(r.code == 0);
  CHECK(r.out.find("was not loaded; 7 pins removed") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(m.where.pins));
  CHECK(run_tactus(options_of(m) + "unload --all").code == 0);
}
