// SPDX-License-Identifier: Apache-2.0
// machine.h: the TOML format. Unknown keys are errors, so that a typing mistake is no silent default.
#include <fmt/format.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "sim/machine/machine.h"
#include "sim/machine/shipped.h"
#include "sim/machine/toml_reader.h"

namespace tactus::sim {
namespace {

// One block of alike CPUs: sockets > nodes > caches > cores > threads.
struct numbering {
  unsigned cache = 0, core = 0, node = 0, socket = 0;
};

void add_cpus(toml_reader& in, machine& m, numbering& next) {
  const auto count = [&](const char* key) { return static_cast<unsigned>(in.number(key, 1, 1, TACTUS_MAX_CPUS)); };
  const unsigned sockets = count("sockets"), nodes = count("nodes_per_socket"), caches = count("caches_per_node");
  const unsigned cores = count("cores_per_cache"), threads = count("threads_per_core");
  // Another block under the cache, node and socket of the one before: the slow cores of a hybrid.
  const bool joined = in.flag("joined", false);
  // Siblings numbered side by side, or all first threads before all second ones.
  const bool adjacent = in.flag("siblings_adjacent", false);
  const std::string type = in.text("type", "core");
  unsigned type_nr = 0;
  while (type_nr < m.types.size() && m.types[type_nr] != type) ++type_nr;
  if (type_nr == m.types.size()) m.types.push_back(type);

  cpu_spec s;
  s.type = type_nr;
  s.speed = in.number("speed", 1, 0.001, 1000);
  s.capacity = static_cast<unsigned>(in.number("capacity", 1024, 1, 1024));
  const double period_ms = in.number("bandwidth_period_ms", 5, 0.1, 1000);
  const std::vector<double> percents = in.numbers("bandwidth_percent", 0.1, 100);
  s.steal_share = in.number("steal_percent", 0, 0, 95) / 100;
  s.steal_burst_ns = static_cast<std::uint64_t>(in.number("steal_burst_ms", 2, 0.001, 10'000) * 1e6);
  in.end();

  if (joined && m.cpus.empty()) in.fail("joined", "the first block has nothing to join");
  const unsigned total = sockets * nodes * caches * cores * threads;
  if (m.cpus.size() + total > TACTUS_MAX_CPUS) in.fail("cores_per_cache", "more than 1024 CPUs in all");
  const unsigned rounds = adjacent ? 1 : threads, per_core = adjacent ? threads : 1;
  const unsigned first_core = next.core;
  const std::size_t first = m.cpus.size();
  for (unsigned round = 0; round < rounds; ++round) {
    unsigned core = first_core;
    unsigned cache = joined ? m.cpus[first - 1].cache : next.cache;
    unsigned node = joined ? m.cpus[first - 1].node : next.node;
    unsigned socket = joined ? m.cpus[first - 1].socket : next.socket;
    for (unsigned a = 0; a < sockets; ++a, ++socket)
      for (unsigned b = 0; b < nodes; ++b, ++node)
        for (unsigned c = 0; c < caches; ++c, ++cache)
          for (unsigned d = 0; d < cores; ++d, ++core)
            for (unsigned e = 0; e < per_core; ++e) {
              s.core = core;
              s.cache = cache;
              s.node = node;
              s.socket = socket;
              if (!percents.empty()) {
                const double percent = percents[(m.cpus.size() - first) % percents.size()];
                s.period_ns = percent < 100 ? std::llround(period_ms * 1e6) : 0;
                s.quota_ns = percent < 100 ? std::llround(period_ms * 1e4 * percent) : 0;
              }
              m.cpus.push_back(s);
            }
    next.core = core;
    if (!joined && round + 1 == rounds) next = {cache, core, node, socket};
  }
}

void read_costs(toml_reader in, machine_costs& c) {
  const auto us = [&](const char* key) { return static_cast<std::uint64_t>(in.number(key, 0, 0, 1e6) * 1000); };
  c.wake_ns = us("wake_us");
  c.switch_ns = us("switch_us");
  c.migrate_core_ns = us("migrate_core_us");
  c.migrate_cache_ns = us("migrate_cache_us");
  c.migrate_node_ns = us("migrate_node_us");
  c.migrate_far_ns = us("migrate_far_us");
  c.remote_memory_ratio = in.number("remote_memory_ratio", 1, 1, 10);
  in.end();
}

void read_heat(toml_reader in, machine_heat& h) {
  h.present = true;
  h.idle_c = in.number("idle_c", h.idle_c, -50, 200);
  h.full_load_c = in.number("full_load_c", h.full_load_c, -50, 300);
  h.limit_c = in.number("limit_c", h.limit_c, -50, 200);
  h.hysteresis_c = in.number("hysteresis_c", h.hysteresis_c, 0, 100);
  h.critical_c = in.number("critical_c", h.critical_c, 0, 200);
  h.capped_speed = in.number("capped_speed", h.capped_speed, 0.01, 1);
  h.tau_ns = static_cast<std::uint64_t>(in.number("tau_s", 5, 0.01, 10'000) * 1e9);
  in.end();
}

machine_event read_event(toml_reader& in, std::size_t nr_cpus) {
  machine_event e;
  e.at_ns = static_cast<std::uint64_t>(in.number("at_s", 0, 0, 1e6) * 1e9);
  const std::string what = in.text("what", "speed");
  if (what == "offline") e.kind = machine_event::what::offline;
  else if (what == "online") e.kind = machine_event::what::online;
  else if (what != "speed") in.fail("what", "'offline', 'online' or 'speed'");
  e.speed = in.number("speed", 1, 0.001, 1000);
  for (const double c : in.numbers("cpus", 0, static_cast<double>(nr_cpus) - 1)) e.cpus.push_back(static_cast<unsigned>(c));
  in.end();
  return e;
}

neighbour_spec read_neighbour(toml_reader& in) {
  neighbour_spec n;
  n.threads_per_cpu = in.number("threads_per_cpu", 0.25, 0.0001, 100);
  n.run_ns = static_cast<std::uint64_t>(in.number("run_ms", 2, 0.001, 1e5) * 1e6);
  n.sleep_ns = static_cast<std::uint64_t>(in.number("sleep_ms", 20, 0.001, 1e5) * 1e6);
  n.weight = static_cast<unsigned>(in.number("weight", 100, 1, 10'000));
  in.end();
  return n;
}

}  // namespace

machine parse_machine(const std::string& name, const std::string& text) {
  const toml_document document(name, text);
  toml_reader in = document.root();
  machine m;
  m.name = name;
  m.what = in.text("what", "");
  m.tick_hz = static_cast<unsigned>(in.number("tick_hz", 250, 10, 10'000));
  m.smt_speed = in.number("smt_speed", 1, 0.01, 1);
  numbering next;
  for (toml_reader& block : in.tables("cpus")) add_cpus(block, m, next);
  if (m.cpus.empty()) in.fail("cpus", "at least one [[cpus]] block");
  if (in.has("costs")) read_costs(in.table("costs"), m.costs);
  if (in.has("heat")) read_heat(in.table("heat"), m.heat);
  for (toml_reader& event : in.tables("event")) m.events.push_back(read_event(event, m.cpus.size()));
  for (toml_reader& n : in.tables("neighbour")) m.neighbours.push_back(read_neighbour(n));
  in.end();
  return m;
}

machine load_machine(const std::string& name) {
  if (name == "host") {
#ifdef TACTUS_SIM_HOST
    return host_machine();
#else
    throw description_error("machine host: this build has no hwloc; name a file or one of tactus-sim list");
#endif
  }
  for (const shipped_file& f : shipped_machines())
    if (f.name == name) return parse_machine(name, std::string(f.text));
  std::ifstream file(name);
  std::stringstream text;
  if (name.find('.') == std::string::npos || !(text << file.rdbuf()))
    throw description_error(fmt::format("machine {}: neither shipped nor a file that can be read; see tactus-sim list", name));
  return parse_machine(name, text.str());
}

}  // namespace tactus::sim
