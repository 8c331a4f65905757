// SPDX-License-Identifier: Apache-2.0
#include "agent/sense/topology.h"

#include <hwloc.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <tuple>

#include "agent/sense/files.h"

namespace fs = std::filesystem;

namespace tactus::sense {
namespace {

constexpr unsigned k_cpu_is_place_limit = 16;
constexpr unsigned k_max_core_types = 4;
constexpr unsigned k_full_capacity = 1024;

// What hwloc and the kernel say of one CPU, before grouping.
struct cpu_facts {
  unsigned id = 0;
  unsigned core = 0, cache = 0, node = 0, package = 0;
  unsigned cache_cores = 0;  // cores under its last-level cache
  bool has_cache = false;
  unsigned capacity = k_full_capacity;
  unsigned kind = 0;  // core type as the firmware names it, 0 when it does not
  unsigned type = 0;  // final core type
};

struct topology_deleter {
  void operator()(hwloc_topology_t t) const { hwloc_topology_destroy(t); }
};
using topology_ptr = std::unique_ptr<hwloc_topology, topology_deleter>;

topology_ptr load_hwloc(const topology_options &options) {
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw)) throw topology_error("hwloc cannot be initialised; check that libhwloc is complete");
  topology_ptr t(raw);
  // The loader's own cpuset must not hide CPUs that other threads may use.
  unsigned long flags = HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED;
  if (!options.synthetic.empty()) {
    if (hwloc_topology_set_synthetic(raw, options.synthetic.c_str()))
      throw topology_error("not a synthetic topology: '" + options.synthetic +
                           "'; see the hwloc manual for the syntax");
  } else if (options.root != "/") {
    // hwloc takes the root of another machine's files from its environment only.
    setenv("HWLOC_FSROOT", options.root.c_str(), 1);
    setenv("HWLOC_COMPONENTS", "linux,stop", 1);
  }
  hwloc_topology_set_flags(raw, flags);
  hwloc_topology_set_io_types_filter(raw, HWLOC_TYPE_FILTER_KEEP_NONE);
  const int failed = hwloc_topology_load(raw);
  if (options.synthetic.empty() && options.root != "/") {
    unsetenv("HWLOC_FSROOT");
    unsetenv("HWLOC_COMPONENTS");
  }
  if (failed)
    throw topology_error("the machine's topology cannot be read under " + options.root.string() +
                         "; check /sys/devices/system/cpu");
  return t;
}

unsigned cores_in(hwloc_topology_t t, hwloc_const_cpuset_t set) {
  const int n = hwloc_get_nbobjs_inside_cpuset_by_type(t, set, HWLOC_OBJ_CORE);
  return n > 0 ? static_cast<unsigned>(n) : static_cast<unsigned>(hwloc_bitmap_weight(set));
}

// hwloc's core kinds, where the firmware itself tells them apart.
unsigned kind_of(hwloc_topology_t t, hwloc_const_cpuset_t cpu) {
  const int kind = hwloc_cpukinds_get_by_cpuset(t, cpu, 0);
  if (kind < 0) return 0;
  unsigned nr_infos = 0;
  struct hwloc_info_s *infos = nullptr;
  if (hwloc_cpukinds_get_info(t, kind, nullptr, nullptr, &nr_infos, &infos, 0)) return 0;
  for (unsigned i = 0; i < nr_infos; ++i)  // kinds by frequency only are turbo bins
    if (std::string(infos[i].name) == "CoreType") return static_cast<unsigned>(kind) + 1;
  return 0;
}

std::vector<cpu_facts> read_cpus(hwloc_topology_t t, const topology_options &options) {
  std::vector<cpu_facts> cpus;
  const bool own_files = options.synthetic.empty() || options.root != "/";
  for (hwloc_obj_t pu = nullptr; (pu = hwloc_get_next_obj_by_type(t, HWLOC_OBJ_PU, pu)) != nullptr;) {
    cpu_facts c;
    c.id = pu->os_index;
    if (c.id >= TACTUS_MAX_CPUS)
      throw topology_error("CPU " + std::to_string(c.id) + " is beyond the limit of " +
                           std::to_string(TACTUS_MAX_CPUS) + " CPUs; boot with a lower nr_cpus");
    if (const hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(t, HWLOC_OBJ_CORE, pu))
      c.core = static_cast<unsigned>(hwloc_bitmap_first(core->cpuset));
    else
      c.core = c.id;
    if (const hwloc_obj_t package = hwloc_get_ancestor_obj_by_type(t, HWLOC_OBJ_PACKAGE, pu))
      c.package = package->logical_index;
    for (hwloc_obj_t up = pu->parent; up; up = up->parent)
      if (hwloc_obj_type_is_dcache(up->type)) {  // the outermost wins
        c.has_cache = true;
        c.cache = static_cast<unsigned>(up->gp_index);
        c.cache_cores = cores_in(t, up->cpuset);
      }
    for (hwloc_obj_t node = nullptr; (node = hwloc_get_next_obj_by_type(t, HWLOC_OBJ_NUMANODE, node)) != nullptr;)
      if (hwloc_bitmap_isset(node->cpuset, c.id)) {
        c.node = node->os_index == static_cast<unsigned>(-1) ? node->logical_index : node->os_index;
        break;
      }
    c.kind = kind_of(t, pu->cpuset);
    if (own_files) {
      const auto capacity =
          read_integer(options.root / "sys/devices/system/cpu" / ("cpu" + std::to_string(c.id)) / "cpu_capacity");
      if (capacity && *capacity > 0)
        c.capacity = static_cast<unsigned>(std::min<std::int64_t>(*capacity, k_full_capacity));
    }
    cpus.push_back(c);
  }
  std::sort(cpus.begin(), cpus.end(), [](const cpu_facts &a, const cpu_facts &b) { return a.id < b.id; });
  return cpus;
}

// Core types: by the firmware's kind, then by capacity in steps of 5 %; type 0
// is the fastest. Beyond four the slow ones share the last type.
unsigned assign_types(std::vector<cpu_facts> &cpus) {
  std::vector<const cpu_facts *> order;
  for (const cpu_facts &c : cpus) order.push_back(&c);
  std::sort(order.begin(), order.end(), [](const cpu_facts *a, const cpu_facts *b) {
    return std::make_tuple(b->capacity, b->kind, a->id) < std::make_tuple(a->capacity, a->kind, b->id);
  });
  std::map<unsigned, unsigned> type_of;  // CPU id -> type
  struct type {
    unsigned kind, capacity;
  };
  std::vector<type> types;
  for (const cpu_facts *c : order) {
    unsigned found = 0;
    while (found < types.size() && !(types[found].kind == c->kind && c->capacity * 100 >= types[found].capacity * 95))
      ++found;
    if (found == types.size()) types.push_back({c->kind, c->capacity});
    type_of[c->id] = std::min(found, k_max_core_types - 1);
  }
  for (cpu_facts &c : cpus) c.type = type_of[c.id];
  return std::min(static_cast<unsigned>(types.size()), k_max_core_types);
}

using key = std::array<unsigned, 3>;

// Numbers groups in the order of their first CPU.
std::vector<unsigned> number_groups(const std::vector<cpu_facts> &cpus,
                                    const std::function<key(const cpu_facts &)> &group, unsigned *count) {
  std::map<key, unsigned> ids;
  std::vector<unsigned> numbers;
  for (const cpu_facts &c : cpus)
    numbers.push_back(ids.try_emplace(group(c), static_cast<unsigned>(ids.size())).first->second);
  *count = static_cast<unsigned>(ids.size());
  return numbers;
}

struct grouping {
  std::vector<unsigned> domain, place;  // by index into the CPUs
  unsigned nr_domains = 0, nr_places = 0;
};

grouping group_cpus(const std::vector<cpu_facts> &cpus) {
  // Domains by cache; a cache of one core only (or none known) says nothing
  // about sharing, so there the package within the node is taken.
  const auto by_cache = [](const cpu_facts &c) {
    if (c.has_cache && c.cache_cores > 1) return key{1, c.cache, 0};
    return key{0, c.node, c.package};
  };
  const auto try_grouping = [&](const std::function<key(const cpu_facts &)> &domain_of) {
    grouping g;
    g.domain = number_groups(cpus, domain_of, &g.nr_domains);
    if (cpus.size() <= k_cpu_is_place_limit)
      g.place = number_groups(
          cpus,
          [](const cpu_facts &c) {
            return key{c.id, 0, 0};
          },
          &g.nr_places);
    else
      g.place = number_groups(
          cpus,
          [&](const cpu_facts &c) {
            const auto at = static_cast<std::size_t>(&c - cpus.data());
            return key{g.domain[at], c.type, 0};
          },
          &g.nr_places);
    return g;
  };
  const auto fits = [](const grouping &g) {
    return g.nr_domains <= TACTUS_MAX_DOMAINS && g.nr_places <= TACTUS_MAX_PLACES;
  };

  grouping g = try_grouping(by_cache);
  if (fits(g)) return g;
  // Node ids may have holes: rank them, so that merging takes neighbours.
  std::map<unsigned, unsigned> rank;
  for (const cpu_facts &c : cpus) rank[c.node] = 0;
  unsigned next = 0;
  for (auto &[node, r] : rank) r = next++;
  for (unsigned merged = 1;; merged *= 2) {  // 1: the caches of a node; 2: two nodes ...
    g = try_grouping([&](const cpu_facts &c) { return key{rank.at(c.node) / merged, 0, 0}; });
    if (fits(g) || merged >= rank.size()) return g;  // one domain of at most 4 types always fits
  }
}

}  // namespace

topology read_topology(const topology_options &options) {
  const topology_ptr t = load_hwloc(options);
  std::vector<cpu_facts> cpus = read_cpus(t.get(), options);
  if (cpus.empty()) throw topology_error("no CPU found; check /sys/devices/system/cpu/online");

  topology out;
  out.cpus.resize(TACTUS_MAX_CPUS);
  out.places.resize(TACTUS_MAX_PLACES);
  out.domain_cpus.resize(TACTUS_MAX_DOMAINS);
  for (tactus_cpu &c : out.cpus) c.place = TACTUS_NO_PLACE;
  out.nr_core_types = assign_types(cpus);
  const grouping g = group_cpus(cpus);
  out.nr_cpus = static_cast<unsigned>(cpus.size());
  out.highest_cpu = cpus.back().id;
  out.nr_places = g.nr_places;
  out.nr_domains = g.nr_domains;

  std::map<unsigned, unsigned> nodes, cores;
  std::vector<unsigned> package_of(TACTUS_MAX_PLACES, 0);
  for (std::size_t i = 0; i < cpus.size(); ++i) {
    const cpu_facts &c = cpus[i];
    tactus_cpu &cpu = out.cpus[c.id];
    cpu.place = static_cast<__u16>(g.place[i]);
    cpu.domain = static_cast<__u16>(g.domain[i]);
    cpu.node = static_cast<__u16>(c.node);
    cpu.core = static_cast<__u16>(c.core);
    cpu.capacity = static_cast<__u16>(c.capacity);
    cpu.present = 1;
    ++nodes[c.node];
    out.smt = out.smt || ++cores[c.core] > 1;
    ++out.domain_cpus[g.domain[i]];

    tactus_place &place = out.places[g.place[i]];
    if (place.nr_cpus++ == 0) {  // the first CPU speaks for a merged place
      place.domain = cpu.domain;
      place.node = cpu.node;
      place.core_type = static_cast<__u16>(c.type);
      place.first_cpu = static_cast<__u16>(c.id);
      package_of[g.place[i]] = c.package;
    }
    place.cpus[c.id / 64] |= 1ull << (c.id % 64);
  }
  out.nr_nodes = static_cast<unsigned>(nodes.size());
  for (unsigned a = 0; a < out.nr_places; ++a) {
    tactus_place &place = out.places[a];
    for (unsigned b = 0; b < out.nr_places; ++b) {
      const tactus_place &other = out.places[b];
      const bool domain = place.domain == other.domain;
      const bool node = domain || place.node == other.node;
      const bool socket = node || package_of[a] == package_of[b];
      place.near[0] |= domain ? 1ull << b : 0;
      place.near[1] |= node ? 1ull << b : 0;
      place.near[2] |= socket ? 1ull << b : 0;
      place.near[3] |= 1ull << b;
    }
  }
  return out;
}

std::vector<float> mean_by_place(const topology &machine, const std::vector<float> &per_cpu) {
  std::vector<float> mean(machine.nr_places, 0.f);
  for (std::size_t cpu = 0; cpu < machine.cpus.size() && cpu < per_cpu.size(); ++cpu)
    if (machine.cpus[cpu].present) mean[machine.cpus[cpu].place] += per_cpu[cpu];
  for (unsigned p = 0; p < machine.nr_places; ++p) mean[p] /= static_cast<float>(machine.places[p].nr_cpus);
  return mean;
}

std::vector<float> sibling_mean_by_place(const topology &machine, const std::vector<float> &per_cpu) {
  std::map<unsigned, std::pair<float, unsigned>> cores;  // sum, CPUs
  const auto value = [&](std::size_t cpu) { return cpu < per_cpu.size() ? per_cpu[cpu] : 0.f; };
  for (std::size_t cpu = 0; cpu < machine.cpus.size(); ++cpu)
    if (machine.cpus[cpu].present) {
      auto &core = cores[machine.cpus[cpu].core];
      core.first += value(cpu);
      ++core.second;
    }
  std::vector<float> siblings(machine.cpus.size(), 0.f);
  for (std::size_t cpu = 0; cpu < machine.cpus.size(); ++cpu)
    if (machine.cpus[cpu].present) {
      const auto &core = cores[machine.cpus[cpu].core];
      if (core.second > 1) siblings[cpu] = (core.first - value(cpu)) / static_cast<float>(core.second - 1);
    }
  return mean_by_place(machine, siblings);
}

}  // namespace tactus::sense
