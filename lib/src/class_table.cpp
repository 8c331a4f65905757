// SPDX-License-Identifier: Apache-2.0
//
// Adding classes to a pool, evicting the one unused for longest, and describing
// classes to the agent.
#include "class_table.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace tactus::detail {

static_assert(static_cast<int>(feature::preferred_node) == TACTUS_FEATURE_PREFERRED_NODE &&
              static_cast<int>(feature::priority) == TACTUS_FEATURE_PRIORITY && k_features <= TACTUS_NR_FEATURES);

class_counts& class_counts::operator+=(const class_counts& b) noexcept {
  submitted += b.submitted;
  finished += b.finished;
  missed += b.missed;
  failed += b.failed;
  run_units += b.run_units;
  return *this;
}

class_counts& class_counts::operator-=(const class_counts& b) noexcept {
  submitted -= b.submitted;
  finished -= b.finished;
  missed -= b.missed;
  failed -= b.failed;
  run_units -= b.run_units;
  return *this;
}

namespace {

// Two callbacks cannot be compared: they count as the same where both are there.
bool same(const class_options& a, const class_options& b) noexcept {
  return a.priority == b.priority && a.weight == b.weight && a.deadline == b.deadline && a.features == b.features &&
         a.missed == b.missed && !a.on_missed == !b.on_missed;
}

}  // namespace

class_table::class_table() {
  class_record& unknown = records_.emplace_back();
  unknown.tag = tactus_tag_make(0, TACTUS_PRIORITY_NORMAL, 0);
  unknown.name = "unknown";
  current_[0].store(&unknown, std::memory_order_relaxed);
  of_priority_[TACTUS_PRIORITY_NORMAL].store(1, std::memory_order_relaxed);
}

// --- finding and adding ------------------------------------------------------

const class_record* class_table::find(const fingerprint& id) const noexcept {
  for (unsigned local = 1, size = size_.load(std::memory_order_relaxed); local < size; ++local)
    if (entry(local).id.key() == id.key()) return &entry(local);
  return nullptr;
}

const class_record& class_table::find_or_add(std::string_view name, const fingerprint& id, const class_options& options,
                                             bool is_site, bool& added_or_changed) {
  added_or_changed = false;
  if (const class_record* const known = find(id)) {
    if (same(options, class_options{}) || same(options, known->options) || records_.size() >= k_records) return *known;
    added_or_changed = true;
    return change(*known, id, options);
  }
  const unsigned size = size_.load(std::memory_order_relaxed);
  const unsigned local = number_for_new();
  if (local == 0) return records_.front();
  added_or_changed = true;
  const class_record& r = make_record(name, id, options, is_site, local);

  usage& u = usage_[local];
  u.base = counted(local);
  u.past = {};
  u.seen = u.base.submitted;
  u.used_ms = coarse_ms();
  const auto earlier = std::find_if(evicted_.begin(), evicted_.end(), [&](const evicted& e) { return e.id.key() == id.key(); });
  if (earlier != evicted_.end()) {
    u.past = earlier->counts;
    evicted_.erase(earlier);
  }
  has_task_of(local, r.priority);
  current_[local].store(&r, std::memory_order_release);
  forget_other_priorities(local, [] { return true; });  // a number is evicted when nothing is outstanding
  if (local == size) size_.store(size + 1, std::memory_order_release);
  return r;
}

const class_record& class_table::make_record(std::string_view name, const fingerprint& id, const class_options& options,
                                             bool is_site, unsigned local) {
  class_record& r = records_.emplace_back();
  r.name = std::string(name);
  r.id = id;
  r.options = options;
  r.is_site = is_site;
  r.local = static_cast<std::uint8_t>(local);
  r.priority = static_cast<std::uint8_t>(options.priority);
  r.weight = static_cast<std::uint8_t>(options.weight);
  r.deadline_ns = static_cast<std::uint64_t>(options.deadline.count());
  r.tag = tactus_tag_make(local, r.priority, 0);
  r.watched = watch_all_ || (r.deadline_ns && (options.missed != missed_policy::run || options.on_missed));
  return r;
}

// What is queued keeps its priority, and stays visible under it (of_priority()).
const class_record& class_table::change(const class_record& old, const fingerprint& id, const class_options& options) {
  const class_record& r = make_record(old.name, id, options, old.is_site, old.local);
  has_task_of(r.local, r.priority);
  current_[r.local].store(&r, std::memory_order_release);
  for (auto& cell : by_index_)
    if (cell.load(std::memory_order_relaxed) == &old) cell.store(&r, std::memory_order_release);
  return r;
}

const class_entry& class_table::add_named(const task_class& cls) {
  bool tell = false;
  const class_record* r;
  {
    std::lock_guard guard(lock_);
    // Without a place in the index it comes here for every task: its options count where the class is new only.
    const class_record* const known = cls.index() < k_named ? nullptr : find(cls.id());
    r = known ? known : &find_or_add(cls.name(), cls.id(), cls.options(), false, tell);
    if (cls.index() < k_named) by_index_[cls.index()].store(r, std::memory_order_release);
  }
  if (tell && on_new_class) on_new_class();
  return *r;
}

const class_entry& class_table::add_site(const std::source_location& where, unsigned bucket, std::uint64_t key) {
  std::string_view file = where.file_name();
  if (const auto slash = file.find_last_of('/'); slash != std::string_view::npos) file.remove_prefix(slash + 1);
  std::string suffix = ":" + std::to_string(where.line());
  if (bucket) suffix += "/16^" + std::to_string(bucket - 1);
  const std::string name = std::string(file.substr(0, 31 - std::min<std::size_t>(suffix.size(), 31))) + suffix;
  bool tell = false;
  const class_record* r;
  {
    std::lock_guard guard(lock_);
    r = &find_or_add(name, fingerprint_of_site(where, bucket), class_options{}, true, tell);
    site* room = nullptr;
    for (unsigned i = 0; i < k_probes; ++i) {
      site& s = sites_[(key + i) % k_sites];
      const std::uint64_t seen = s.key.load(std::memory_order_relaxed);
      if (seen == key) {
        room = &s;
        break;
      }
      if (!room && (seen == k_free || seen == k_removed)) room = &s;
      if (seen == k_free) break;
    }
    if (room) {
      // A reader that found the cell's last owner may get this one: call sites differ in their name alone.
      room->entry.store(r, std::memory_order_relaxed);
      room->key.store(key, std::memory_order_release);
    }
  }
  if (tell && on_new_class) on_new_class();
  return *r;
}

// --- eviction ----------------------------------------------------------------

bool class_table::retry_is_due() const noexcept {
  return coarse_ms() - last_try_ms_.load(std::memory_order_relaxed) >= limits.retry_ms;
}

unsigned class_table::number_for_new() {
  const unsigned size = size_.load(std::memory_order_relaxed);
  if (size < TACTUS_MAX_LOCAL_CLASSES) return size;
  if (records_.size() >= k_records || !retry_is_due()) return 0;
  const std::uint32_t now = coarse_ms();
  last_try_ms_.store(now, std::memory_order_relaxed);
  unsigned chosen = 0;
  std::uint64_t best = 0;
  for (unsigned local = 1; local < size; ++local) {
    usage& u = usage_[local];
    const class_counts counts = counted(local);
    if (counts.submitted != u.seen) {
      u.seen = counts.submitted;
      u.used_ms = now;
    }
    const std::uint32_t unused_ms = now - u.used_ms;
    if (counts.submitted != counts.finished || unused_ms < limits.unused_ms) continue;
    const std::uint64_t rank = (std::uint64_t{entry(local).is_site} << 33) + unused_ms + 1;
    if (rank > best) best = rank, chosen = local;
  }
  if (chosen) evict(chosen);
  return chosen;
}

void class_table::evict(unsigned local) {
  const class_record& r = entry(local);
  for (auto& cell : by_index_)
    if (cell.load(std::memory_order_relaxed) == &r) cell.store(nullptr, std::memory_order_relaxed);
  for (site& s : sites_)
    if (s.key.load(std::memory_order_relaxed) != k_removed && s.entry.load(std::memory_order_relaxed) == &r)
      s.key.store(k_removed, std::memory_order_relaxed);
  class_counts mine = counted(local);
  mine -= usage_[local].base;
  mine += usage_[local].past;
  evicted_.push_back({r.id, mine});
  evictions_.fetch_add(1, std::memory_order_relaxed);
}

class_counts class_table::counts(unsigned local) const {
  std::lock_guard guard(lock_);
  class_counts out = counted(local);
  out -= usage_[local].base;
  out += usage_[local].past;
  return out;
}

class_counts class_table::evicted_counts() const {
  std::lock_guard guard(lock_);
  class_counts out;
  for (const evicted& e : evicted_) out += e.counts;
  return out;
}

// --- describing --------------------------------------------------------------

tactus_class_desc class_table::describe(const class_record& r) noexcept {
  tactus_class_desc out{};
  out.local_class = r.local;
  out.priority = r.priority;
  out.weight = r.weight;
  out.deadline_us = static_cast<__u32>(std::min<std::uint64_t>(r.deadline_ns / 1000, UINT32_MAX));
  out.fingerprint[0] = r.id.key().high;
  out.fingerprint[1] = r.id.key().low;
  std::memcpy(out.name, r.name.data(), std::min(r.name.size(), sizeof(out.name) - 1));
  for (unsigned f = 0; f < k_features; ++f) {
    const std::optional<float> value = declared_value(r.options, static_cast<feature>(f));
    if (!value || !std::isfinite(*value)) continue;
    out.declared |= 1u << f;
    out.features[f] = static_cast<__u8>(std::lround(std::clamp(*value, 0.0f, 1.0f) * 255.0f));
  }
  return out;
}

unsigned size_bucket(std::size_t count) noexcept {
  return count ? 1 + static_cast<unsigned>(std::bit_width(count) - 1) / 4 : 0;
}

}  // namespace tactus::detail
