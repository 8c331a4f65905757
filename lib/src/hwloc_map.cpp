// SPDX-License-Identifier: Apache-2.0
#include "hwloc_map.h"

#ifdef TACTUS_HAVE_HWLOC
#include <dlfcn.h>
#include <hwloc.h>

#include <cstring>
#include <memory>
#include <vector>

namespace tactus::detail {
namespace {

// The functions that are needed, of a library that stays open while this lives.
class hwloc_library {
 public:
  explicit hwloc_library(const char* name) : handle_(dlopen(name, RTLD_NOW | RTLD_LOCAL)) {
    if (!handle_) return;
    find(api_version, "hwloc_get_api_version");
    find(init, "hwloc_topology_init");
    find(destroy, "hwloc_topology_destroy");
    find(set_synthetic, "hwloc_topology_set_synthetic");
    find(set_xml, "hwloc_topology_set_xmlbuffer");
    find(set_flags, "hwloc_topology_set_flags");
    find(set_io_filter, "hwloc_topology_set_io_types_filter");
    find(load, "hwloc_topology_load");
    find(is_this_system, "hwloc_topology_is_thissystem");
    find(type_depth, "hwloc_get_type_depth");
    find(object, "hwloc_get_obj_by_depth");
    find(is_data_cache, "hwloc_obj_type_is_dcache");
    find(first_of, "hwloc_bitmap_first");
    find(is_set, "hwloc_bitmap_isset");
    find(nr_kinds, "hwloc_cpukinds_get_nr");
    find(kind_of, "hwloc_cpukinds_get_by_cpuset");
    find(kind_info, "hwloc_cpukinds_get_info");
    usable_ = complete_ && api_version() >> 16 == HWLOC_API_VERSION >> 16;
  }
  ~hwloc_library() {
    if (handle_) dlclose(handle_);
  }
  hwloc_library(const hwloc_library&) = delete;
  hwloc_library& operator=(const hwloc_library&) = delete;
  bool usable() const noexcept { return usable_; }

  decltype(&hwloc_get_api_version) api_version{};
  decltype(&hwloc_topology_init) init{};
  decltype(&hwloc_topology_destroy) destroy{};
  decltype(&hwloc_topology_set_synthetic) set_synthetic{};
  decltype(&hwloc_topology_set_xmlbuffer) set_xml{};
  decltype(&hwloc_topology_set_flags) set_flags{};
  decltype(&hwloc_topology_set_io_types_filter) set_io_filter{};
  decltype(&hwloc_topology_load) load{};
  decltype(&hwloc_topology_is_thissystem) is_this_system{};
  decltype(&hwloc_get_type_depth) type_depth{};
  decltype(&hwloc_get_obj_by_depth) object{};
  decltype(&hwloc_obj_type_is_dcache) is_data_cache{};
  decltype(&hwloc_bitmap_first) first_of{};
  decltype(&hwloc_bitmap_isset) is_set{};
  decltype(&hwloc_cpukinds_get_nr) nr_kinds{};
  decltype(&hwloc_cpukinds_get_by_cpuset) kind_of{};
  decltype(&hwloc_cpukinds_get_info) kind_info{};

 private:
  template <class Function>
  void find(Function& f, const char* name) noexcept {
    f = reinterpret_cast<Function>(dlsym(handle_, name));
    complete_ = complete_ && f;
  }
  void* const handle_;
  bool complete_ = true, usable_ = false;
};

// What the firmware calls the cores of a kind; "": kinds that differ by frequency alone are turbo bins.
std::string core_type(const hwloc_library& lib, hwloc_topology_t t, unsigned kind) {
  unsigned n = 0;
  hwloc_info_s* infos = nullptr;
  int efficiency = -1;
  if (lib.kind_info(t, kind, nullptr, &efficiency, &n, &infos, 0) || efficiency < 0) return {};
  for (unsigned i = 0; i < n; ++i)
    if (std::strcmp(infos[i].name, "CoreType") == 0) return infos[i].value;
  return {};
}

// By kind, which hwloc sorts slowest first: only the order is known, and given in even steps.
std::vector<std::uint16_t> capacities_of_kinds(const hwloc_library& lib, hwloc_topology_t t) {
  std::vector<unsigned> step;
  std::string last;
  for (int kind = 0, n = lib.nr_kinds(t, 0); kind < n; ++kind) {
    const std::string type = core_type(lib, t, static_cast<unsigned>(kind));
    if (type.empty()) return {};
    step.push_back(step.empty() ? 1 : step.back() + (type != last));
    last = type;
  }
  std::vector<std::uint16_t> out;
  for (const unsigned s : step) out.push_back(static_cast<std::uint16_t>(cpu_map::k_fastest * s / step.back()));
  return out;
}

std::vector<cpu_map::cpu> cpus_of(const hwloc_library& lib, hwloc_topology_t t) {
  const auto lowest = [&](hwloc_obj_t o) { return static_cast<std::int16_t>(lib.first_of(o->cpuset)); };
  const std::vector<std::uint16_t> of_kind = capacities_of_kinds(lib, t);
  std::vector<cpu_map::cpu> out;
  const int depth = lib.type_depth(t, HWLOC_OBJ_PU);
  for (unsigned i = 0; const hwloc_obj_t pu = lib.object(t, depth, i); ++i) {
    if (pu->os_index >= out.size()) out.resize(pu->os_index + 1);
    cpu_map::cpu& me = out[pu->os_index];
    me.core = static_cast<std::int16_t>(pu->os_index);
    for (hwloc_obj_t up = pu->parent; up; up = up->parent) {
      if (up->type == HWLOC_OBJ_CORE) me.core = lowest(up);
      if (lib.is_data_cache(up->type) && up->type != HWLOC_OBJ_L1CACHE) me.cache = lowest(up);  // the outermost wins
      if (me.cache < 0 && !up->parent) me.cache = lowest(up);
    }
    for (unsigned n = 0; const hwloc_obj_t node = lib.object(t, HWLOC_TYPE_DEPTH_NUMANODE, n); ++n)
      if (me.node < 0 && lib.is_set(node->cpuset, pu->os_index)) me.node = lowest(node);
    if (const int kind = lib.kind_of(t, pu->cpuset, 0); kind >= 0 && static_cast<std::size_t>(kind) < of_kind.size())
      me.capacity = of_kind[static_cast<std::size_t>(kind)];
  }
  return out;
}

// Capacities that the kernel states are figures, and not just an order.
void prefer_stated_capacities(std::vector<cpu_map::cpu>& cpus) {
  const cpu_map& stated = machine_cpus(topology_source::sysfs);
  for (std::size_t c = 0; c < cpus.size(); ++c)
    if (const unsigned capacity = stated.capacity(static_cast<int>(c)); capacity != cpu_map::k_fastest)
      cpus[c].capacity = static_cast<std::uint16_t>(capacity);
}

}  // namespace

cpu_map read_by_hwloc(const std::string& machine, const char* library) {
  const hwloc_library lib(library);
  hwloc_topology_t raw = nullptr;
  if (!lib.usable() || lib.init(&raw)) return {};
  const std::unique_ptr<hwloc_topology, decltype(lib.destroy)> t(raw, lib.destroy);
  if (machine.starts_with('<')) {
    if (lib.set_xml(raw, machine.c_str(), static_cast<int>(machine.size() + 1))) return {};
  } else if (!machine.empty() && lib.set_synthetic(raw, machine.c_str())) {
    return {};
  }
  // The caller's own cpuset must not hide CPUs that other threads may use.
  lib.set_flags(raw, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
  lib.set_io_filter(raw, HWLOC_TYPE_FILTER_KEEP_NONE);
  if (lib.load(raw) || (machine.empty() && !lib.is_this_system(raw))) return {};
  std::vector<cpu_map::cpu> cpus = cpus_of(lib, raw);
  if (machine.empty()) prefer_stated_capacities(cpus);
  return cpu_map(std::move(cpus));
}

}  // namespace tactus::detail
#else
namespace tactus::detail {
cpu_map read_by_hwloc(const std::string&, const char*) { return {}; }
}  // namespace tactus::detail
#endif
