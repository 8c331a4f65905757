// SPDX-License-Identifier: Apache-2.0
// machine.h: this machine, as agent/sense reads it for the loader. Speeds are what the kernel states;
// costs are usual values, since nothing is measured here.
#include "agent/sense/topology.h"
#include "sim/machine/machine.h"

namespace tactus::sim {

machine host_machine() {
  const sense::topology t = sense::read_topology();
  machine m;
  m.name = "host";
  m.what = "this machine, by hwloc";
  m.types.resize(t.nr_core_types == 0 ? 1 : t.nr_core_types);
  for (std::size_t i = 0; i < m.types.size(); ++i) m.types[i] = std::to_string(i);
  for (unsigned id = 0; id <= t.highest_cpu; ++id) {
    const tactus_cpu& c = t.cpus[id];
    if (c.present == 0) continue;
    const tactus_place& p = t.places[c.place];
    unsigned socket = 0;  // first place of its socket
    while ((p.near[2] >> socket & 1) == 0) ++socket;
    cpu_spec s;
    s.core = c.core;
    s.cache = c.domain;
    s.node = c.node;
    s.socket = socket;
    s.type = p.core_type;
    s.capacity = c.capacity;
    s.speed = c.capacity / 1024.0;
    m.cpus.push_back(s);
  }
  if (t.smt) m.smt_speed = 0.62;
  m.costs = {3000, 1500, 1000, 10'000, 30'000, 60'000, 1.5};
  return m;
}

}  // namespace tactus::sim
