// SPDX-License-Identifier: Apache-2.0
// machine.h: places, domains and distances, by the rules of agent/sense/topology.cpp. A test holds
// the two against each other.
#include <algorithm>
#include <array>
#include <functional>
#include <map>

#include "sim/machine/machine.h"

namespace tactus::sim {
namespace {

constexpr unsigned k_cpu_is_place_limit = 16;
constexpr double k_same_type = 0.05;  // capacities within 5 % are one core type

using key = std::array<unsigned, 3>;

struct grouping {
  std::map<key, unsigned> domains, places;
  std::vector<unsigned> domain, place;  // by position in the list of online CPUs
};

// Types by capacity, 0 the fastest; at most 4.
std::vector<unsigned> kernel_types(const machine& m, const std::vector<unsigned>& online) {
  std::vector<unsigned> capacities;
  for (const unsigned c : online) capacities.push_back(m.cpus[c].capacity);
  std::sort(capacities.rbegin(), capacities.rend());
  std::vector<unsigned> largest;  // of each type
  for (const unsigned c : capacities)
    if (largest.empty() || (c < largest.back() * (1 - k_same_type) && largest.size() < 4)) largest.push_back(c);
  std::vector<unsigned> type;
  for (const unsigned c : online) {
    unsigned t = 0;
    while (t + 1 < largest.size() && m.cpus[c].capacity < largest[t] * (1 - k_same_type)) ++t;
    type.push_back(t);
  }
  return type;
}

unsigned number(std::map<key, unsigned>& ids, const key& k) {
  return ids.try_emplace(k, static_cast<unsigned>(ids.size())).first->second;
}

grouping group(const machine& m, const std::vector<unsigned>& online, const std::vector<unsigned>& type,
               const std::function<key(const cpu_spec&)>& domain_of) {
  grouping g;
  for (std::size_t i = 0; i < online.size(); ++i) {
    const unsigned d = number(g.domains, domain_of(m.cpus[online[i]]));
    g.domain.push_back(d);
    g.place.push_back(number(g.places, online.size() <= k_cpu_is_place_limit ? key{online[i], 0, 0} : key{d, type[i], 0}));
  }
  return g;
}

grouping group(const machine& m, const std::vector<unsigned>& online, const std::vector<unsigned>& type) {
  std::map<unsigned, std::map<unsigned, bool>> cores;  // of each cache
  std::map<unsigned, unsigned> rank;                   // of each node
  for (const unsigned c : online) {
    cores[m.cpus[c].cache][m.cpus[c].core] = true;
    rank[m.cpus[c].node] = 0;
  }
  unsigned next = 0;
  for (auto& [node, r] : rank) r = next++;
  const auto fits = [](const grouping& g) {
    return g.domains.size() <= TACTUS_MAX_DOMAINS && g.places.size() <= TACTUS_MAX_PLACES;
  };
  grouping g = group(m, online, type, [&](const cpu_spec& c) {
    return cores[c.cache].size() > 1 ? key{1, c.cache, 0} : key{0, c.node, c.socket};
  });
  for (unsigned merged = 1; !fits(g); merged *= 2) {
    g = group(m, online, type, [&](const cpu_spec& c) { return key{rank[c.node] / merged, 0, 0}; });
    if (merged >= rank.size()) break;
  }
  return g;
}

}  // namespace

machine_topology topology_of(const machine& m) { return topology_of(m, std::vector<bool>(m.cpus.size(), true)); }

machine_topology topology_of(const machine& m, const std::vector<bool>& is_online) {
  std::vector<unsigned> online;
  for (unsigned c = 0; c < m.cpus.size(); ++c)
    if (is_online[c]) online.push_back(c);
  if (online.empty()) throw description_error("machine " + m.name + ": no CPU is online; leave at least one");
  const std::vector<unsigned> type = kernel_types(m, online);
  const grouping g = group(m, online, type);

  machine_topology out;
  out.nr_places = static_cast<unsigned>(g.places.size());
  out.nr_domains = static_cast<unsigned>(g.domains.size());
  out.cpus.resize(m.cpus.size());
  out.places.resize(out.nr_places);
  out.domain_cpus.resize(out.nr_domains);
  for (tactus_cpu& c : out.cpus) c.place = TACTUS_NO_PLACE;
  std::vector<unsigned> socket(out.nr_places);
  std::map<unsigned, unsigned> lowest;  // CPU of each core
  for (const unsigned c : online) lowest.try_emplace(m.cpus[c].core, c);
  for (std::size_t i = 0; i < online.size(); ++i) {
    const unsigned id = online[i];
    const cpu_spec& s = m.cpus[id];
    tactus_cpu& c = out.cpus[id];
    c.place = static_cast<__u16>(g.place[i]);
    c.domain = static_cast<__u16>(g.domain[i]);
    c.node = static_cast<__u16>(s.node);
    c.core = static_cast<__u16>(lowest[s.core]);
    c.capacity = static_cast<__u16>(s.capacity);
    c.present = 1;
    out.smt |= c.core != id;
    ++out.domain_cpus[g.domain[i]];
    tactus_place& p = out.places[g.place[i]];
    if (p.nr_cpus++ == 0) {
      p.domain = c.domain;
      p.node = c.node;
      p.core_type = static_cast<__u16>(type[i]);
      p.first_cpu = static_cast<__u16>(id);
      socket[g.place[i]] = s.socket;
    }
    p.cpus[id / 64] |= 1ull << (id % 64);
  }
  for (unsigned a = 0; a < out.nr_places; ++a) {
    tactus_place& p = out.places[a];
    for (unsigned b = 0; b < out.nr_places; ++b) {
      const tactus_place& q = out.places[b];
      const bool domain = p.domain == q.domain, node = domain || p.node == q.node;
      p.near[0] |= domain ? 1ull << b : 0;
      p.near[1] |= node ? 1ull << b : 0;
      p.near[2] |= node || socket[a] == socket[b] ? 1ull << b : 0;
      p.near[3] |= 1ull << b;
    }
  }
  return out;
}

double usable_speed(const machine& m) {
  std::map<unsigned, unsigned> siblings;
  for (const cpu_spec& c : m.cpus) ++siblings[c.core];
  double sum = 0;
  for (const cpu_spec& c : m.cpus) {
    double speed = c.speed * (siblings[c.core] > 1 ? m.smt_speed : 1);
    if (c.quota_ns != 0) speed *= static_cast<double>(c.quota_ns) / static_cast<double>(c.period_ns);
    sum += speed * (1 - c.steal_share);
  }
  return sum;
}

}  // namespace tactus::sim
