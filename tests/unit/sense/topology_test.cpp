// SPDX-License-Identifier: Apache-2.0
// Places, domains and distances on machines of 1 to 1024 CPUs.
#include "agent/sense/topology.h"

#include <doctest/doctest.h>

#include <bit>
#include <string>

#include "fixture_tree.h"

using namespace tactus::sense;
using tactus::test::fixture_tree;

namespace {

topology synthetic(const std::string &text) { return read_topology({"/", text}); }

// What must hold on every machine.
void check_invariants(const topology &t) {
  unsigned present = 0, members = 0, in_domains = 0;
  REQUIRE(t.nr_places >= 1);
  REQUIRE(t.nr_places <= TACTUS_MAX_PLACES);
  REQUIRE(t.nr_domains >= 1);
  REQUIRE(t.nr_domains <= TACTUS_MAX_DOMAINS);
  REQUIRE(t.cpus.size() == TACTUS_MAX_CPUS);
  REQUIRE(t.places.size() == TACTUS_MAX_PLACES);
  for (unsigned id = 0; id < TACTUS_MAX_CPUS; ++id) {
    const tactus_cpu &cpu = t.cpus[id];
    if (!cpu.present) {
      REQUIRE(cpu.place == TACTUS_NO_PLACE);
      continue;
    }
    ++present;
    REQUIRE(cpu.place < t.nr_places);
    REQUIRE(cpu.domain < t.nr_domains);
    REQUIRE(cpu.capacity >= 1);
    REQUIRE(cpu.capacity <= 1024);
    const tactus_place &place = t.places[cpu.place];
    REQUIRE(place.domain == cpu.domain);  // every place lies in one domain
    REQUIRE((place.cpus[id / 64] >> (id % 64) & 1));
  }
  REQUIRE(present == t.nr_cpus);
  for (unsigned p = 0; p < TACTUS_MAX_PLACES; ++p) {
    const tactus_place &place = t.places[p];
    unsigned bits = 0;
    for (__u64 word : place.cpus) bits += static_cast<unsigned>(std::popcount(word));
    REQUIRE(bits == place.nr_cpus);
    members += bits;
    REQUIRE((place.nr_cpus > 0) == (p < t.nr_places));
    if (!place.nr_cpus) continue;
    for (unsigned i = 0; i < 4; ++i) {
      REQUIRE((place.near[i] >> p & 1));
      if (i) REQUIRE((place.near[i] & place.near[i - 1]) == place.near[i - 1]);
    }
    REQUIRE(std::popcount(place.near[3]) == static_cast<int>(t.nr_places));
  }
  REQUIRE(members == t.nr_cpus);
  for (unsigned d = 0; d < TACTUS_MAX_DOMAINS; ++d) {
    REQUIRE((t.domain_cpus[d] > 0) == (d < t.nr_domains));
    in_domains += t.domain_cpus[d];
  }
  REQUIRE(in_domains == t.nr_cpus);
}

}  // namespace

TEST_CASE("up to 16 CPUs each CPU is a place") {
  for (const char *text :
       {"pack:1 l3:1 core:1 pu:1", "pack:1 l3:1 core:2 pu:1", "pack:1 l3:1 core:4 pu:2", "pack:2 l3:1 core:8 pu:1"}) {
    CAPTURE(text);
    const topology t = synthetic(text);
    check_invariants(t);
    CHECK(t.nr_places == t.nr_cpus);
    for (unsigned id = 0; id < t.nr_cpus; ++id) CHECK(t.cpus[id].place == id);
  }
}

TEST_CASE("above 16 CPUs a place is a last-level cache") {
  const topology t = synthetic("pack:2 numa:1 l3:4 core:8 pu:2");
  check_invariants(t);
  CHECK(t.nr_cpus == 128);
  CHECK(t.nr_places == 8);
  CHECK(t.nr_domains == 8);
  CHECK(t.nr_nodes == 2);
  CHECK(t.smt);
  CHECK(t.places[0].nr_cpus == 16);
  CHECK(std::popcount(t.places[0].near[0]) == 1);
  CHECK(std::popcount(t.places[0].near[1]) == 4);
  CHECK(std::popcount(t.places[0].near[2]) == 4);
  CHECK(t.cpus[0].core == t.cpus[1].core);  // SMT siblings
  CHECK(t.cpus[1].core != t.cpus[2].core);
}

TEST_CASE("1024 CPUs: 64 caches fit, more are merged into their node") {
  topology t = synthetic("pack:8 numa:1 l3:8 core:8 pu:2");
  check_invariants(t);
  CHECK(t.nr_cpus == 1024);
  CHECK(t.nr_places == 64);
  t = synthetic("pack:8 numa:1 l3:16 core:4 pu:2");  // 128 caches
  check_invariants(t);
  CHECK(t.nr_cpus == 1024);
  CHECK(t.nr_places == 8);
  CHECK(t.nr_domains == 8);
}

TEST_CASE("more nodes than places: neighbouring nodes are merged") {
  const topology t = synthetic("pack:4 numa:32 l3:1 core:4 pu:1");  // 128 nodes, 512 CPUs
  check_invariants(t);
  CHECK(t.nr_nodes == 128);
  CHECK(t.nr_places == 64);
  CHECK(t.cpus[0].place == t.cpus[7].place);
  CHECK(t.cpus[7].place != t.cpus[8].place);
}

TEST_CASE("machines of many sizes keep the invariants") {
  for (unsigned packages : {1u, 2u, 3u, 8u})
    for (unsigned caches : {1u, 3u, 5u})
      for (unsigned cores : {1u, 2u, 7u, 16u})
        for (unsigned threads : {1u, 2u}) {
          if (packages * caches * cores * threads > 1024) continue;
          check_invariants(synthetic("pack:" + std::to_string(packages) + " numa:1 l3:" + std::to_string(caches) +
                                     " core:" + std::to_string(cores) + " pu:" + std::to_string(threads)));
        }
}

TEST_CASE("a last-level cache of one core is no group: the package is the domain") {
  const topology t = synthetic("pack:2 l2:4 core:1 pu:2");
  check_invariants(t);
  CHECK(t.nr_domains == 2);
  CHECK(t.cpus[0].domain == t.cpus[7].domain);
  CHECK(t.cpus[7].domain != t.cpus[8].domain);
  CHECK(synthetic("pack:1 core:4 pu:1").nr_domains == 1);  // no caches known
}

TEST_CASE("core types come from the kernel's capacities, within 5 %") {
  fixture_tree tree;
  const auto capacity = [&](unsigned cpu, unsigned value) {
    tree.put("sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/cpu_capacity", std::to_string(value) + "\n");
  };
  for (unsigned cpu = 0; cpu < 32; ++cpu)  // fast 1024 and 1000 (one type), middle 700, slow 300
    capacity(cpu, cpu < 4 ? 1024 : cpu < 8 ? 1000 : cpu < 24 ? 700 : 300);
  const topology t = read_topology({tree.root(), "pack:1 l3:1 core:32 pu:1"});
  check_invariants(t);
  CHECK(t.nr_core_types == 3);
  CHECK(t.nr_domains == 1);
  REQUIRE(t.nr_places == 3);
  CHECK(t.places[0].nr_cpus == 8);
  CHECK(t.places[0].core_type == 0);
  CHECK(t.places[1].nr_cpus == 16);
  CHECK(t.places[1].core_type == 1);
  CHECK(t.places[2].core_type == 2);
  CHECK(t.cpus[5].capacity == 1000);
  CHECK(t.cpus[31].capacity == 300);
}

TEST_CASE("many different capacities: at most four types, the slow ones together") {
  fixture_tree tree;
  for (unsigned cpu = 0; cpu < 20; ++cpu)
    tree.put("sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/cpu_capacity",
             std::to_string(1024 - 50 * cpu) + "\n");
  const topology t = read_topology({tree.root(), "pack:1 l3:1 core:20 pu:1"});
  check_invariants(t);
  CHECK(t.nr_core_types == 4);
  CHECK(t.nr_places == 4);
  CHECK(t.cpus[19].capacity == 74);
}

TEST_CASE("places by cache and type that are too many are merged by node") {
  fixture_tree tree;
  for (unsigned cpu = 0; cpu < 320; ++cpu)
    tree.put("sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/cpu_capacity", cpu % 2 ? "500\n" : "1024\n");
  const topology t = read_topology({tree.root(), "pack:2 numa:1 l3:20 core:8 pu:1"});  // 40 x 2
  check_invariants(t);
  CHECK(t.nr_domains == 2);
  CHECK(t.nr_places == 4);
}

TEST_CASE("a machine from files: offline CPUs are not present") {
  fixture_tree tree;
  tree.put("sys/devices/system/cpu/online", "0,2-3\n");
  tree.put("sys/devices/system/cpu/possible", "0-3\n");
  tree.put("sys/devices/system/cpu/present", "0-3\n");
  for (unsigned cpu : {0u, 2u, 3u}) {
    const std::string dir = "sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/";
    tree.put(dir + "online", "1\n");
    tree.put(dir + "topology/core_id", std::to_string(cpu) + "\n");
    tree.put(dir + "topology/physical_package_id", "0\n");
    tree.put(dir + "topology/core_cpus", cpu == 0 ? "1\n" : cpu == 2 ? "4\n" : "8\n");
    tree.put(dir + "topology/package_cpus", "d\n");
    tree.put(dir + "topology/thread_siblings", cpu == 0 ? "1\n" : cpu == 2 ? "4\n" : "8\n");
    tree.put(dir + "topology/core_siblings", "d\n");
  }
  tree.put("sys/devices/system/cpu/cpu1/online", "0\n");
  tree.put("proc/cpuinfo", "processor : 0\n\nprocessor : 2\n\nprocessor : 3\n\n");
  tree.put("proc/meminfo", "MemTotal: 100000 kB\n");
  const topology t = read_topology({tree.root(), ""});
  check_invariants(t);
  CHECK(t.nr_cpus == 3);
  CHECK(t.highest_cpu == 3);
  CHECK(t.cpus[1].present == 0);
  CHECK(t.cpus[1].place == TACTUS_NO_PLACE);
  CHECK(t.cpus[2].place == 1);
}

TEST_CASE("this machine is read and keeps the invariants") { check_invariants(read_topology()); }

TEST_CASE("what is no topology is refused with its text") {
  CHECK_THROWS_WITH_AS(synthetic("nonsense:x"), doctest::Contains("not a synthetic topology: 'nonsense:x'"),
                       topology_error);
  CHECK_THROWS_WITH_AS(synthetic("pack:1 core:1025 pu:1"), doctest::Contains("beyond the limit of 1024"),
                       topology_error);
}

TEST_CASE("means over places and over SMT siblings") {
  const topology t = synthetic("pack:1 l3:2 core:5 pu:2");  // 20 CPUs, 2 places
  std::vector<float> load(20, 0.f);
  for (unsigned cpu = 0; cpu < 10; ++cpu) load[cpu] = cpu % 2 ? 1.f : 0.f;
  const std::vector<float> mean = mean_by_place(t, load);
  REQUIRE(mean.size() == 2);
  CHECK(mean[0] == doctest::Approx(0.5));
  CHECK(mean[1] == 0.f);
  const std::vector<float> siblings = sibling_mean_by_place(t, load);
  CHECK(siblings[0] == doctest::Approx(0.5));
  CHECK(siblings[1] == 0.f);
  CHECK(sibling_mean_by_place(synthetic("pack:1 l3:1 core:2 pu:1"), {1.f, 1.f})[0] == 0.f);
}
