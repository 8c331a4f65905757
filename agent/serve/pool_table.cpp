// SPDX-License-Identifier: Apache-2.0
//
// pool_table.h's implementation.
#include "agent/serve/pool_table.h"

#include <algorithm>

namespace tactus::agent {

std::deque<std::uint32_t> pool_table::initial_free() {
  std::deque<std::uint32_t> out;
  for (std::uint32_t i = 1; i < TACTUS_MAX_POOLS; i++) out.push_back(i);
  return out;
}

int pool_table::reserve() {
  const std::lock_guard lock(mutex_);
  if (free_.empty()) return -1;
  const std::uint32_t index = free_.front();
  free_.pop_front();
  return static_cast<int>(index);
}

void pool_table::unreserve(std::uint32_t index) {
  const std::lock_guard lock(mutex_);
  if (index != 0 && index < TACTUS_MAX_POOLS && std::find(free_.begin(), free_.end(), index) == free_.end()) {
    free_.push_back(index);
  }
}

void pool_table::refresh(const pool& p) {
  entry& e = entries_[p.index];
  for (std::size_t c = 0; c < p.slot_of.size(); c++) {
    e.slot_of[c].store(p.slot_of[c].load(std::memory_order_relaxed), std::memory_order_relaxed);
  }
  changes_.fetch_add(1, std::memory_order_release);
  e.brief.store(1u | (p.trusted ? 2u : 0u) | static_cast<std::uint32_t>(p.group) << 16, std::memory_order_release);
}

void pool_table::add(std::shared_ptr<pool> p) {
  const std::lock_guard lock(mutex_);
  const pool& added = *p;
  pools_[p->index] = std::move(p);
  count_++;
  refresh(added);
}

void pool_table::remove(std::uint32_t index) {
  const std::lock_guard lock(mutex_);
  if (index >= TACTUS_MAX_POOLS || !pools_[index]) return;
  entries_[index].brief.store(0, std::memory_order_release);
  pools_[index].reset();
  count_--;
  free_.push_back(index);
}

std::shared_ptr<pool> pool_table::find(std::uint32_t index) const {
  const std::lock_guard lock(mutex_);
  return index < TACTUS_MAX_POOLS ? pools_[index] : nullptr;
}

std::vector<std::shared_ptr<pool>> pool_table::all() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<pool>> out;
  for (const auto& p : pools_) {
    if (p) out.push_back(p);
  }
  return out;
}

pool_brief pool_table::brief(std::uint32_t index) const {
  if (index >= TACTUS_MAX_POOLS) return {};
  const std::uint32_t b = entries_[index].brief.load(std::memory_order_acquire);
  return {(b & 1) != 0, (b & 2) != 0, static_cast<std::uint16_t>(b >> 16)};
}

std::uint8_t pool_table::slot_of(std::uint32_t index, unsigned local_class) const {
  if (index >= TACTUS_MAX_POOLS || local_class >= TACTUS_MAX_LOCAL_CLASSES) return 0;
  return entries_[index].slot_of[local_class].load(std::memory_order_relaxed);
}

std::uint16_t pool_table::group_of(std::uint32_t uid) {
  const std::lock_guard lock(mutex_);
  const auto known = std::find(group_uids_.begin(), group_uids_.end(), uid);
  if (known != group_uids_.end()) return static_cast<std::uint16_t>(known - group_uids_.begin());
  if (group_uids_.size() < k_max_groups) {
    group_uids_.push_back(uid);
    return static_cast<std::uint16_t>(group_uids_.size() - 1);
  }
  for (std::size_t g = 0; g < group_uids_.size(); g++) {
    const bool used = std::any_of(pools_.begin(), pools_.end(), [&](const auto& p) { return p && p->group == g; });
    if (!used) {
      group_uids_[g] = uid;
      return static_cast<std::uint16_t>(g);
    }
  }
  return k_max_groups - 1;
}

}  // namespace tactus::agent
