// SPDX-License-Identifier: Apache-2.0
#include "agent/load/kernel_btf.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string_view>

namespace tactus::load {
namespace {

// Present from 6.16 to 7.3 under these very names; what differs between them is bpf/kernel.bpf.h's.
constexpr std::array<std::string_view, 10> k_needed = {
    "scx_bpf_create_dsq",    "scx_bpf_dsq_insert",    "scx_bpf_dsq_move",  "scx_bpf_dsq_move_to_local",
    "scx_bpf_dsq_nr_queued", "scx_bpf_pick_idle_cpu", "scx_bpf_kick_cpu",  "scx_bpf_select_cpu_dfl",
    "bpf_iter_scx_dsq_new",  "scx_bpf_task_cpu"};

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

bool has_hidden_argument(const btf* types, const btf_type* function) {
  const btf_type* proto = btf__type_by_id(types, function->type);
  if (!proto || !btf_is_func_proto(proto)) return false;
  const btf_param* params = btf_params(proto);
  for (unsigned i = 0; i < btf_vlen(proto); ++i) {
    const char* name = btf__name_by_offset(types, params[i].name_off);
    if (name && std::strcmp(name, "aux") == 0) return true;
  }
  return false;
}

kernel_btf walk(const std::filesystem::path& file) {
  kernel_btf out;
  const libbpf_print_fn_t before = libbpf_set_print(nullptr);
  const std::unique_ptr<btf, decltype(&btf__free)> types(btf__parse(file.c_str(), nullptr), &btf__free);
  const int error = errno;
  libbpf_set_print(before);
  if (!types) {
    out.error = std::strerror(error);
    return out;
  }
  const unsigned n = btf__type_cnt(types.get());
  out.nr_types = n - 1;
  std::array<bool, k_needed.size()> found{};
  for (unsigned id = 1; id < n; ++id) {
    const btf_type* t = btf__type_by_id(types.get(), id);
    const char* text = t ? btf__name_by_offset(types.get(), t->name_off) : nullptr;
    const std::string_view name = text ? text : "";
    if (btf_is_func(t)) {
      const bool ours = name.compare(0, 8, "scx_bpf_") == 0;
      if (!ours && name.compare(0, 9, "bpf_iter_") != 0) continue;
      for (std::size_t i = 0; i < k_needed.size(); ++i) found[i] = found[i] || name == k_needed[i];
      if (ours && out.hidden_argument.empty() && !ends_with(name, "_impl") && has_hidden_argument(types.get(), t))
        out.hidden_argument = name;
    } else if (btf_is_struct(t)) {
      out.has_sched_ext = out.has_sched_ext || name == "sched_ext_ops";
    } else if (btf_is_enum64(t)) {
      out.wide_enums = true;
      const struct btf_enum64* e = ::btf_enum64(t);
      for (unsigned i = 0; name == "scx_ops_flags" && i < btf_vlen(t); ++i)
        out.ops_flags[btf__name_by_offset(types.get(), e[i].name_off)] = btf_enum64_value(&e[i]);
    } else if (btf_is_enum(t) && name == "scx_ops_flags") {
      const struct btf_enum* e = ::btf_enum(t);
      for (unsigned i = 0; i < btf_vlen(t); ++i)
        out.ops_flags[btf__name_by_offset(types.get(), e[i].name_off)] = static_cast<std::uint32_t>(e[i].val);
    }
  }
  for (std::size_t i = 0; i < k_needed.size(); ++i)
    if (!found[i]) out.missing.emplace_back(k_needed[i]);
  return out;
}

}  // namespace

kernel_btf read_kernel_btf(const std::filesystem::path& file) {
  static std::mutex lock;
  static std::map<std::filesystem::path, kernel_btf> known;
  const std::lock_guard guard(lock);
  const auto it = known.find(file);
  if (it != known.end()) return it->second;
  return known.emplace(file, walk(file)).first->second;
}

}  // namespace tactus::load
