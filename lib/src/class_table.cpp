// SPDX-License-Identifier: Apache-2.0
//
// Adding classes to a pool, and describing them to the agent.
#include "class_table.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace tactus::detail {

class_table::class_table() {
  for (auto& local : by_index_) local.store(k_absent, std::memory_order_relaxed);
  entries_[0].tag = tactus_tag_make(0, TACTUS_PRIORITY_NORMAL, 0);
  described_[0].name = "unknown";
  of_priority_[TACTUS_PRIORITY_NORMAL].store(1, std::memory_order_relaxed);
}

unsigned class_table::find_or_add(std::string_view name, const fingerprint& id, const class_options& options) {
  const unsigned size = size_.load(std::memory_order_relaxed);
  for (unsigned local = 1; local < size; ++local)
    if (described_[local].id == id) return local;
  if (size == TACTUS_MAX_LOCAL_CLASSES) return 0;
  description& d = described_[size];
  d.name = std::string(name);
  d.id = id;
  d.options = options;
  class_entry& e = entries_[size];
  e.local = static_cast<std::uint8_t>(size);
  e.priority = static_cast<std::uint8_t>(options.priority);
  e.weight = static_cast<std::uint8_t>(options.weight);
  e.deadline_ns = static_cast<std::uint64_t>(options.deadline.count());
  e.tag = tactus_tag_make(size, e.priority, 0);
  e.watched = watch_all_ || (e.deadline_ns && (options.missed != missed_policy::run || options.on_missed));
  of_priority_[e.priority].fetch_or(1ull << size, std::memory_order_release);
  size_.store(size + 1, std::memory_order_release);
  return size;
}

const class_entry& class_table::add_named(const task_class& cls) {
  unsigned before, after, local;
  {
    std::lock_guard guard(lock_);
    before = size();
    local = find_or_add(cls.name(), cls.id(), cls.options());
    after = size();
    if (cls.index() < k_named)
      by_index_[cls.index()].store(static_cast<std::uint8_t>(local), std::memory_order_release);
  }
  if (after != before && on_new_class) on_new_class();
  return entries_[local];
}

const class_entry& class_table::add_site(const std::source_location& where, unsigned bucket, std::uint64_t key) {
  std::string_view file = where.file_name();
  if (const auto slash = file.find_last_of('/'); slash != std::string_view::npos) file.remove_prefix(slash + 1);
  std::string suffix = ":" + std::to_string(where.line());
  if (bucket) suffix += "/16^" + std::to_string(bucket - 1);
  const std::string name = std::string(file.substr(0, 31 - std::min<std::size_t>(suffix.size(), 31))) + suffix;
  unsigned before, after, local;
  {
    std::lock_guard guard(lock_);
    before = size();
    local = find_or_add(name, fingerprint_of_site(where, bucket), class_options{});
    after = size();
    for (unsigned i = 0; i < k_probes; ++i) {
      site& s = sites_[(key + i) % k_sites];
      const std::uint64_t seen = s.key.load(std::memory_order_relaxed);
      if (seen == key) break;  // another thread was faster
      if (seen) continue;
      s.local.store(static_cast<std::uint8_t>(local), std::memory_order_relaxed);
      s.key.store(key, std::memory_order_release);
      break;
    }
  }
  if (after != before && on_new_class) on_new_class();
  return entries_[local];
}

tactus_class_desc class_table::describe(unsigned local) const noexcept {
  const description& d = described_[local];
  tactus_class_desc out{};
  out.local_class = static_cast<__u16>(local);
  out.priority = entries_[local].priority;
  out.weight = entries_[local].weight;
  out.deadline_us = static_cast<__u32>(std::min<std::uint64_t>(entries_[local].deadline_ns / 1000, UINT32_MAX));
  out.fingerprint[0] = d.id.high;
  out.fingerprint[1] = d.id.low;
  std::memcpy(out.name, d.name.data(), std::min(d.name.size(), sizeof(out.name) - 1));
  const auto declare = [&](tactus_feature feature, const std::optional<float>& value) {
    if (!value || !std::isfinite(*value)) return;
    out.declared |= 1u << feature;
    out.features[feature] = static_cast<__u8>(std::lround(std::clamp(*value, 0.0f, 1.0f) * 255.0f));
  };
  const declared_features& f = d.options.features;
  declare(TACTUS_FEATURE_COMPUTE_INTENSITY, f.compute_intensity);
  declare(TACTUS_FEATURE_SEQUENTIAL_ACCESS, f.sequential_access);
  declare(TACTUS_FEATURE_DATA_SIZE_LOG2, f.data_size_log2);
  declare(TACTUS_FEATURE_CACHE_LOCALITY, f.cache_locality);
  declare(TACTUS_FEATURE_LOOP_DEPTH, f.loop_depth);
  declare(TACTUS_FEATURE_DEPENDENCIES, f.dependencies);
  declare(TACTUS_FEATURE_BRANCH_DIVERGENCE, f.branch_divergence);
  declare(TACTUS_FEATURE_VECTORIZATION, f.vectorization);
  declare(TACTUS_FEATURE_LATENCY_SENSITIVITY, f.latency_sensitivity);
  declare(TACTUS_FEATURE_PREFERRED_NODE, f.preferred_node);
  // what the class's own attributes say
  declare(TACTUS_FEATURE_PRIORITY, static_cast<float>(entries_[local].priority) / 3.0f);
  return out;
}

unsigned size_bucket(std::size_t count) noexcept {
  return count ? 1 + static_cast<unsigned>(std::bit_width(count) - 1) / 4 : 0;
}

}  // namespace tactus::detail
