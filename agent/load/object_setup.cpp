// SPDX-License-Identifier: Apache-2.0
#include "agent/load/object_setup.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <optional>

#include "agent/load/kernel_btf.h"

namespace tactus::load {
namespace {

load_error unusable(const std::string& what) {
  return load_error(exit_code::object_rejected, "the scheduler object " + what, "next: build Tactus again (make build)");
}

// Byte offset and size of a member of the object's own struct sched_ext_ops.
struct place_of_member {
  std::size_t offset, bytes;
};

std::optional<place_of_member> find_member(const btf* types, const char* struct_name, const char* member) {
  const int id = btf__find_by_name_kind(types, struct_name, BTF_KIND_STRUCT);
  if (id < 0) return std::nullopt;
  const btf_type* t = btf__type_by_id(types, static_cast<__u32>(id));
  const btf_member* m = btf_members(t);
  for (__u32 i = 0; i < btf_vlen(t); ++i) {
    if (std::strcmp(btf__name_by_offset(types, m[i].name_off), member) != 0) continue;
    const __s64 bytes = btf__resolve_size(types, m[i].type);
    return place_of_member{btf_member_bit_offset(t, i) / 8, bytes > 0 ? static_cast<std::size_t>(bytes) : 0};
  }
  return std::nullopt;
}

// A 64-bit member of the struct_ops value; null where this object has none of that name.
std::uint64_t* ops_member(bpf_object* object, const char* member) {
  const auto at = find_member(bpf_object__btf(object), "sched_ext_ops", member);
  bpf_map* ops = bpf_object__find_map_by_name(object, "tactus_ops");
  std::size_t bytes = 0;
  auto* value = ops ? static_cast<char*>(bpf_map__initial_value(ops, &bytes)) : nullptr;
  if (!value) throw unusable("has no struct_ops map tactus_ops");
  if (!at || at->bytes != sizeof(std::uint64_t) || at->offset + at->bytes > bytes) return nullptr;
  return reinterpret_cast<std::uint64_t*>(value + at->offset);
}

void set_constant(bpf_object* object, const char* name, bool value) {
  const btf* types = bpf_object__btf(object);
  const int id = btf__find_by_name_kind(types, ".rodata", BTF_KIND_DATASEC);
  bpf_map* map = nullptr;
  bpf_map* rodata = nullptr;
  bpf_object__for_each_map(map, object) {
    const std::string map_name = bpf_map__name(map);
    if (map_name.size() >= 7 && map_name.compare(map_name.size() - 7, 7, ".rodata") == 0) rodata = map;
  }
  std::size_t bytes = 0;
  auto* memory = rodata ? static_cast<char*>(bpf_map__initial_value(rodata, &bytes)) : nullptr;
  if (id < 0 || !memory) throw unusable("has no read-only variables");
  const btf_type* section = btf__type_by_id(types, static_cast<__u32>(id));
  const btf_var_secinfo* vars = btf_var_secinfos(section);
  for (__u32 i = 0; i < btf_vlen(section); ++i) {
    const btf_type* var = btf__type_by_id(types, vars[i].type);
    if (std::strcmp(btf__name_by_offset(types, var->name_off), name) != 0) continue;
    if (vars[i].size != 1 || vars[i].offset >= bytes) throw unusable(fmt::format("has a strange variable {}", name));
    memory[vars[i].offset] = value ? 1 : 0;
    return;
  }
  throw unusable(fmt::format("has no variable {}", name));
}

}  // namespace

void prepare_object(bpf_object* object, const host& where, const load_options& options, const std::string& hotplug_seq) {
  const kernel_btf kernel = read_kernel_btf(where.root / "sys/kernel/btf/vmlinux");
  std::uint64_t* flags = ops_member(object, "flags");
  if (!flags) throw unusable("has no ops flags");
  // A wake-up need not take the run-queue lock of the CPU it wakes (6.15); the scheduler hands what it
  // decided in ops.select_cpu to ops.enqueue in the task's storage, so it may run elsewhere and later.
  if (const auto queued = kernel.ops_flags.find("SCX_OPS_ALLOW_QUEUED_WAKEUP"); queued != kernel.ops_flags.end())
    *flags |= queued->second;
  if (options.partial) {
    const auto partial = kernel.ops_flags.find("SCX_OPS_SWITCH_PARTIAL");
    if (partial == kernel.ops_flags.end())
      throw load_error(exit_code::object_rejected, "the kernel has no SCX_OPS_SWITCH_PARTIAL",
                       "next: sudo tactus load, without --partial");
    *flags |= partial->second;
  }
  if (std::uint64_t* seq = ops_member(object, "hotplug_seq"))
    *seq = std::strtoull(hotplug_seq.c_str(), nullptr, 10);
  set_constant(object, "tactus_partial", options.partial);
  set_constant(object, "tactus_fallback_only", options.fallback_only);
}

}  // namespace tactus::load
