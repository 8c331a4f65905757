// SPDX-License-Identifier: Apache-2.0
//
// class_slots.h's implementation. 64 entries: plain loops are the fastest index.
#include "agent/serve/class_slots.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <stdexcept>

namespace tactus::agent {

std::string clean_name(const char* bytes, std::size_t capacity, const char* fallback) {
  std::string out;
  for (std::size_t i = 0; i < capacity && bytes[i] != '\0' && out.size() < 31; i++) {
    const auto c = static_cast<unsigned char>(bytes[i]);
    out += c > 0x20 && c < 0x7f && c != '"' && c != '\\' ? static_cast<char>(c) : '_';
  }
  return out.empty() ? fallback : out;
}

class_slots::class_slots(unsigned slots_per_uid, std::function<void(unsigned)> reset)
    : slots_per_uid_(slots_per_uid), reset_(std::move(reset)) {
  slots_[0].taken = true;
  slots_[0].name = "unknown";
  slots_[0].users = 1;  // never recycled
}

void class_slots::set_quota(unsigned slots_per_uid) {
  const std::lock_guard lock(mutex_);
  slots_per_uid_ = slots_per_uid;
}

void class_slots::on_reset(std::function<void(unsigned)> reset) {
  const std::lock_guard lock(mutex_);
  reset_ = std::move(reset);
}

// A free slot while the user is below his quota; else the one unused for longest: of the user's own
// at the quota, of anybody's below it. -1: all are in use.
int class_slots::choose_slot(std::uint32_t uid) const {
  unsigned own = 0;
  int free = -1, oldest_own = -1, oldest_any = -1;
  for (int s = 1; s < TACTUS_MAX_SLOTS; s++) {
    const slot_class& c = slots_[static_cast<std::size_t>(s)];
    if (!c.taken) {
      if (free < 0) free = s;
      continue;
    }
    own += c.uid == uid;
    if (c.users != 0) continue;
    const auto older = [&](int than) {
      return than < 0 || c.last_used < slots_[static_cast<std::size_t>(than)].last_used;
    };
    if (c.uid == uid && older(oldest_own)) oldest_own = s;
    if (older(oldest_any)) oldest_any = s;
  }
  if (own >= slots_per_uid_) return oldest_own;
  return free >= 0 ? free : oldest_any;
}

unsigned class_slots::acquire(std::uint32_t uid, const tactus_class_desc& desc) {
  const std::lock_guard lock(mutex_);
  int found = -1;
  for (int s = 1; s < TACTUS_MAX_SLOTS && found < 0; s++) {
    const slot_class& c = slots_[static_cast<std::size_t>(s)];
    if (c.taken && c.uid == uid && c.fingerprint[0] == desc.fingerprint[0] &&
        c.fingerprint[1] == desc.fingerprint[1]) {
      found = s;
    }
  }
  const bool fresh = found < 0;
  if (fresh) found = choose_slot(uid);
  if (found < 0) return 0;
  slot_class& c = slots_[static_cast<std::size_t>(found)];
  if (fresh) {
    const std::uint32_t tenancy = c.tenancy + 1;
    c = {};
    c.taken = true;
    c.tenancy = tenancy;
    c.uid = uid;
    c.fingerprint = {desc.fingerprint[0], desc.fingerprint[1]};
  }
  c.name = clean_name(desc.name, sizeof(desc.name), "unnamed");
  c.priority = std::min<std::uint8_t>(desc.priority, TACTUS_PRIORITY_URGENT);
  if (!c.weight_set) c.weight = std::max<std::uint8_t>(desc.weight, 1);
  c.deadline_us = desc.deadline_us;
  c.declared = desc.declared & ((1u << TACTUS_NR_FEATURES) - 1);
  std::copy(std::begin(desc.features), std::end(desc.features), c.features.begin());
  c.users++;
  c.last_used = ++uses_;
  if (fresh && reset_) reset_(static_cast<unsigned>(found));
  return static_cast<unsigned>(found);
}

void class_slots::release(unsigned slot) {
  const std::lock_guard lock(mutex_);
  if (slot == 0 || slot >= TACTUS_MAX_SLOTS) return;
  if (slots_[slot].users > 0) slots_[slot].users--;
  slots_[slot].last_used = ++uses_;
}

void class_slots::touch(unsigned slot) {
  const std::lock_guard lock(mutex_);
  if (slot > 0 && slot < TACTUS_MAX_SLOTS && slots_[slot].taken) slots_[slot].last_used = ++uses_;
}

std::array<slot_class, TACTUS_MAX_SLOTS> class_slots::snapshot() const {
  const std::lock_guard lock(mutex_);
  return slots_;
}

unsigned class_slots::set_weight(const std::string& name, double weight, std::optional<std::uint32_t> uid) {
  const std::lock_guard lock(mutex_);
  unsigned n = 0;
  for (std::size_t s = 1; s < slots_.size(); s++) {
    slot_class& c = slots_[s];
    if (!c.taken || c.name != name || (uid && c.uid != *uid)) continue;
    c.weight = weight;
    c.weight_set = true;
    n++;
  }
  return n;
}

nlohmann::json class_slots::to_json() const {
  const std::lock_guard lock(mutex_);
  nlohmann::json out = nlohmann::json::array();
  for (std::size_t s = 1; s < slots_.size(); s++) {
    const slot_class& c = slots_[s];
    if (!c.taken) continue;
    out.push_back({{"slot", s},
                   {"uid", c.uid},
                   {"fingerprint", c.fingerprint},
                   {"name", c.name},
                   {"priority", c.priority},
                   {"weight", c.weight},
                   {"weight_set", c.weight_set},
                   {"deadline_us", c.deadline_us},
                   {"declared", c.declared},
                   {"features", c.features},
                   {"last_used", c.last_used}});
  }
  return out;
}

void class_slots::from_json(const nlohmann::json& document) {
  std::array<slot_class, TACTUS_MAX_SLOTS> read{};
  std::uint64_t uses = 0;
  for (const auto& entry : document) {
    const auto s = entry.at("slot").get<std::size_t>();
    if (s == 0 || s >= read.size() || read[s].taken) throw std::out_of_range("slot number of a class");
    slot_class& c = read[s];
    c.taken = true;
    c.tenancy = 1;
    c.uid = entry.at("uid").get<std::uint32_t>();
    c.fingerprint = entry.at("fingerprint").get<std::array<std::uint64_t, 2>>();
    const auto name = entry.at("name").get<std::string>();
    c.name = clean_name(name.c_str(), name.size() + 1, "unnamed");
    c.priority = std::min<std::uint8_t>(entry.at("priority").get<std::uint8_t>(), TACTUS_PRIORITY_URGENT);
    c.weight = std::clamp(entry.at("weight").get<double>(), 0.0, 255.0);
    c.weight_set = entry.at("weight_set").get<bool>();
    c.deadline_us = entry.at("deadline_us").get<std::uint32_t>();
    c.declared = entry.at("declared").get<std::uint32_t>();
    c.features = entry.at("features").get<std::array<std::uint8_t, TACTUS_NR_FEATURES>>();
    c.last_used = entry.at("last_used").get<std::uint64_t>();
    uses = std::max(uses, c.last_used);
  }
  const std::lock_guard lock(mutex_);
  read[0] = slots_[0];
  slots_ = read;
  uses_ = uses;
}

}  // namespace tactus::agent
