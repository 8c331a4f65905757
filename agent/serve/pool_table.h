// SPDX-License-Identifier: Apache-2.0
//
// The pools that are registered now: their index in the kernel's map, their user, their pages and
// route table, the slots of their classes.
// The registry adds and removes; the event reader looks users up by index without a lock; the
// publisher writes route tables and reads folds of the pages, which stay mapped while anybody
// holds the pool. Thread-safe.
#pragma once

#include "agent/serve/shared_pages.h"

#include <tactus/abi/decision_map.h>
#include <tactus/abi/registration.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace tactus::agent {

struct pool {
  std::uint32_t index = 0;
  std::uint32_t serial = 0;
  std::uint32_t uid = 0;
  std::int32_t pid = 0;
  std::uint32_t nr_workers = 0;
  std::uint32_t home_domain = 0;
  std::uint16_t group = 0;  // index of the uid, for the learner
  bool trusted = false;
  std::string name;
  pool_pages pages;
  route_memory route;
  std::uint64_t registered_ns = 0;

  // local class -> slot; the registry stores, others load.
  std::array<std::atomic<std::uint8_t>, TACTUS_MAX_LOCAL_CLASSES> slot_of{};
};

// What the event reader needs of a pool at every event.
struct pool_brief {
  bool in_use = false;
  bool trusted = false;
  std::uint16_t group = 0;
};

class pool_table {
 public:
  static constexpr std::uint16_t k_max_groups = 256;

  // A free index, the one free for longest; -1 when all are taken. Index 0 is never given out.
  int reserve();
  void unreserve(std::uint32_t index);

  void add(std::shared_ptr<pool> p);
  // The index becomes free. Unknown indices are ignored.
  void remove(std::uint32_t index);

  std::shared_ptr<pool> find(std::uint32_t index) const;
  std::vector<std::shared_ptr<pool>> all() const;
  pool_brief brief(std::uint32_t index) const;
  std::uint8_t slot_of(std::uint32_t index, unsigned local_class) const;
  // After a change of p->slot_of: lets the event reader see it.
  void refresh(const pool& p);
  // Grows with every add and refresh: who keeps something for each pool looks at this.
  bool empty() const { return count_.load(std::memory_order_relaxed) == 0; }
  std::uint64_t changes() const { return changes_.load(std::memory_order_acquire); }

  // A stable small number for a uid; numbers of users without pools are used again when all are
  // taken, the last one is shared when even that fails.
  std::uint16_t group_of(std::uint32_t uid);

 private:
  struct entry {
    std::atomic<std::uint32_t> brief{0};  // bit 0 in use, bit 1 trusted, bits 16.. group
    std::array<std::atomic<std::uint8_t>, TACTUS_MAX_LOCAL_CLASSES> slot_of{};
  };

  mutable std::mutex mutex_;
  std::deque<std::uint32_t> free_ = initial_free();
  std::array<std::shared_ptr<pool>, TACTUS_MAX_POOLS> pools_{};
  std::array<entry, TACTUS_MAX_POOLS> entries_{};
  std::vector<std::uint32_t> group_uids_;
  std::atomic<std::uint64_t> changes_{0};
  std::atomic<std::size_t> count_{0};

  static std::deque<std::uint32_t> initial_free();
};

}  // namespace tactus::agent
