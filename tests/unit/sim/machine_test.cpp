// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <set>

#include "agent/sense/topology.h"
#include "sim/machine/machine.h"
#include "sim/machine/shipped.h"

using namespace tactus::sim;

namespace {

std::string error_of(const std::string& text) {
  try {
    parse_machine("m", text);
  } catch (const description_error& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("every shipped machine is within the limits, and its CPUs, places and domains fit together") {
  CHECK(shipped_machines().size() >= 8);
  std::set<unsigned> sizes;
  for (const shipped_file& f : shipped_machines()) {
    INFO(f.name);
    const machine m = load_machine(std::string(f.name));
    const machine_topology t = topology_of(m);
    sizes.insert(static_cast<unsigned>(m.cpus.size()));
    CHECK(!m.what.empty());
    CHECK(t.nr_places <= TACTUS_MAX_PLACES);
    CHECK(t.nr_domains <= TACTUS_MAX_DOMAINS);
    unsigned in_places = 0, in_domains = 0;
    for (const tactus_place& p : t.places) in_places += p.nr_cpus;
    for (const std::uint32_t n : t.domain_cpus) in_domains += n;
    CHECK(in_places == m.cpus.size());
    CHECK(in_domains == m.cpus.size());
    CHECK(usable_speed(m) > 0);
  }
  CHECK(sizes.count(4) == 1);
  CHECK(sizes.count(1024) == 1);
}

TEST_CASE("places and domains are those that the loader would make of the same machine") {
  struct pair {
    const char *synthetic, *text;
  };
  const pair pairs[] = {
      {"pack:1 l3:1 core:8 pu:2", "[[cpus]]\ncores_per_cache = 8\nthreads_per_core = 2\nsiblings_adjacent = true\n"},
      {"pack:1 l3:1 core:4 pu:1", "[[cpus]]\ncores_per_cache = 4\n"},
      {"pack:2 numa:1 l3:1 core:32 pu:1", "[[cpus]]\nsockets = 2\ncores_per_cache = 32\n"},
      {"pack:1 l3:12 core:8 pu:1", "[[cpus]]\ncaches_per_node = 12\ncores_per_cache = 8\n"},
      {"pack:2 numa:4 l3:4 core:8 pu:1", "[[cpus]]\nsockets = 2\nnodes_per_socket = 4\ncaches_per_node = 4\ncores_per_cache = 8\n"},
      {"pack:8 numa:2 l3:16 core:4 pu:1", "[[cpus]]\nsockets = 8\nnodes_per_socket = 2\ncaches_per_node = 16\ncores_per_cache = 4\n"},
  };
  for (const pair& p : pairs) {
    INFO(p.synthetic);
    tactus::sense::topology_options o;
    o.synthetic = p.synthetic;
    const tactus::sense::topology theirs = tactus::sense::read_topology(o);
    const machine_topology ours = topology_of(parse_machine("m", p.text));
    REQUIRE(ours.nr_places == theirs.nr_places);
    REQUIRE(ours.nr_domains == theirs.nr_domains);
    CHECK(ours.smt == theirs.smt);
    for (unsigned c = 0; c < ours.cpus.size(); ++c) {
      CHECK(ours.cpus[c].place == theirs.cpus[c].place);
      CHECK(ours.cpus[c].domain == theirs.cpus[c].domain);
      CHECK(ours.cpus[c].core == theirs.cpus[c].core);
    }
    for (unsigned k = 0; k < ours.nr_places; ++k) {
      CHECK(ours.places[k].nr_cpus == theirs.places[k].nr_cpus);
      CHECK(ours.places[k].first_cpu == theirs.places[k].first_cpu);
      for (int d = 0; d < 4; ++d) CHECK(ours.places[k].near[d] == theirs.places[k].near[d]);
    }
  }
}

TEST_CASE("a hybrid's core types are places of their own") {
  const machine m = load_machine("laptop");
  CHECK(m.cpus.size() == 20);
  const machine_topology t = topology_of(m);
  CHECK(t.nr_places == 2);
  CHECK(t.nr_domains == 1);
  CHECK(t.places[0].nr_cpus == 12);
  CHECK(t.places[1].nr_cpus == 8);
  CHECK(t.places[1].core_type == 1);
  CHECK(t.smt);
}

TEST_CASE("without the CPUs that are offline places are made anew") {
  const machine m = load_machine("demo");
  const machine_topology t = topology_of(m, {true, false, true, true});
  CHECK(t.nr_places == 3);
  CHECK(t.cpus[1].present == 0);
  CHECK(t.places[1].first_cpu == 2);
  CHECK_THROWS_AS(topology_of(m, {false, false, false, false}), description_error);
}

TEST_CASE("a machine that cannot be read is refused with the key and what was expected") {
  CHECK(error_of("[[cpus]]\ncores_per_cache = 0\n").find("cores_per_cache: expected a number from 1") != std::string::npos);
  CHECK(error_of("[[cpus]]\ncorse = 4\n").find("unknown key 'corse'") != std::string::npos);
  CHECK(error_of("").find("at least one [[cpus]] block") != std::string::npos);
  CHECK(error_of("[[cpus]\n").find("line 1") != std::string::npos);
  CHECK(error_of("[[cpus]]\nsockets = 1024\ncores_per_cache = 2\n").find("more than 1024") != std::string::npos);
  CHECK_THROWS_AS(load_machine("no-such-machine"), description_error);
}

TEST_CASE("this machine can be read") {
  const machine m = load_machine("host");
  CHECK(!m.cpus.empty());
  CHECK(topology_of(m).nr_places >= 1);
}
