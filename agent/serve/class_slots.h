// SPDX-License-Identifier: Apache-2.0
//
// Which task class has which of the 64 row slots.
//
// A slot belongs to (uid, fingerprint): a pool that comes back finds its slot and the rows learned
// for it, and no user's tasks move another user's rows. Slot 0 is "unknown" and nobody's. When all
// slots are taken, the one unused for longest is recycled; slots of living pools never are.
// Thread-safe (one lock, short). Does not write maps: the publisher does, told by `on_reset`.
#pragma once

#include <tactus/abi/registration.h>
#include <tactus/abi/tag_page.h>

#include <array>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace tactus::agent {

struct slot_class {
  bool taken = false;
  std::uint32_t uid = 0;
  std::array<std::uint64_t, 2> fingerprint{};
  std::string name;
  std::uint8_t priority = 1;
  double weight = 1;           // of a task in the cost; the operator may override the pool's
  bool weight_set = false;     // .. and did
  std::uint32_t deadline_us = 0;
  std::uint32_t declared = 0;  // bit f: features[f] was declared
  std::array<std::uint8_t, TACTUS_NR_FEATURES> features{};
  std::uint32_t users = 0;     // local classes of living pools that map here
  std::uint64_t last_used = 0; // order of use; 0 = never
  std::uint32_t tenancy = 0;   // changes with every new tenant of the slot
};

class class_slots {
 public:
  // `reset` is called, under the lock, when a slot gets a new tenant.
  explicit class_slots(unsigned slots_per_uid, std::function<void(unsigned)> reset = {});

  void set_quota(unsigned slots_per_uid);
  void on_reset(std::function<void(unsigned)> reset);

  // The slot of a user's class, for one more user of it; 0 when there is none to be had.
  unsigned acquire(std::uint32_t uid, const tactus_class_desc& desc);
  // One user less. The class keeps its slot until someone else needs it.
  void release(unsigned slot);
  // Marks use, for recycling by use.
  void touch(unsigned slot);

  std::array<slot_class, TACTUS_MAX_SLOTS> snapshot() const;
  // Sets the weight of every class of this name (any user's when uid is empty); how many there were.
  unsigned set_weight(const std::string& name, double weight, std::optional<std::uint32_t> uid = {});

  // For the checkpoint: slots survive a restart, so that rows and statistics still belong.
  nlohmann::json to_json() const;
  // Replaces all; throws std::exception on a document that is not to_json's.
  void from_json(const nlohmann::json& document);

 private:
  int choose_slot(std::uint32_t uid) const;

  mutable std::mutex mutex_;
  std::array<slot_class, TACTUS_MAX_SLOTS> slots_{};
  unsigned slots_per_uid_;
  std::uint64_t uses_ = 0;
  std::function<void(unsigned)> reset_;
};

// A class name as it may be shown: printable ASCII, at most 31 bytes, never empty.
std::string clean_name(const char* bytes, std::size_t capacity, const char* fallback);

}  // namespace tactus::agent
