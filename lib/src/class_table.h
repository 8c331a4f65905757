// SPDX-License-Identifier: Apache-2.0
//
// The classes of one pool: at most 63 besides class 0 ("unknown"), given local
// numbers at first use. When all are taken, a new class gets the number of the one
// unused for longest, call sites before named classes; what finds none (all are in
// use, or were within `limits.unused_ms`) shares class 0 and asks again later.
//
// Look-ups are lock-free (a load for a named class, a hash probe for a call
// site); adding a class takes a lock, once per class.
//
// Nothing that a look-up returns ever changes or goes: a class that comes in place of
// another is a record of its own. Who still holds the old one (a task_group, a
// timer, a thread between look-up and submission) submits with the old priority,
// deadline and policy; only its counts are the successor's. So it is with a named class
// that is declared again with other options: another record under the same number. Memory is bounded by
// k_records: when so many have been made, nothing is evicted any more.
#ifndef TACTUS_SRC_CLASS_TABLE_H
#define TACTUS_SRC_CLASS_TABLE_H

#include "clock.h"

#include <tactus/abi/registration.h>
#include <tactus/abi/tag_page.h>
#include <tactus/pool.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <source_location>
#include <string>
#include <string_view>

namespace tactus::detail {

// What is counted of a class; exact, never falls.
struct class_counts {
  std::uint64_t submitted = 0, finished = 0, missed = 0, failed = 0, run_units = 0;
  class_counts& operator+=(const class_counts& b) noexcept;
  class_counts& operator-=(const class_counts& b) noexcept;
};

// A class as the pool knows it. Constant once it can be looked up.
struct class_record : class_entry {
  std::string name;
  fingerprint id;
  class_options options;
  bool is_site = false;
};
inline const class_record& record_of(const class_entry& e) noexcept { return static_cast<const class_record&>(e); }

class class_table {
 public:
  class_table();

  // Around fork(): no other thread is in the middle of a change that the child would see half of.
  void before_fork() { lock_.lock(); }
  void after_fork() { lock_.unlock(); }

  const class_entry& named(const task_class& cls) {
    const std::uint32_t index = cls.index();
    if (index < k_named) {
      const class_entry* const seen = by_index_[index].load(std::memory_order_acquire);
      if (seen && seen->local != 0) [[likely]]
        return *seen;
      if (seen && !retry_is_due()) return *seen;
    }
    return add_named(cls);
  }
  const class_entry& at_site(const std::source_location& where, unsigned size_bucket) {
    const std::uint64_t key = site_key(where, size_bucket);
    for (unsigned i = 0; i < k_probes; ++i) {
      const site& s = sites_[(key + i) % k_sites];
      const std::uint64_t seen = s.key.load(std::memory_order_acquire);
      if (seen == key) [[likely]] {
        const class_entry& e = *s.entry.load(std::memory_order_relaxed);
        if (e.local != 0 || !retry_is_due()) [[likely]]
          return e;
        break;
      }
      if (seen == k_free) break;
    }
    return add_site(where, size_bucket, key);
  }

  // The class that has this number now. REQUIRES: local < size().
  const class_record& entry(unsigned local) const noexcept { return *current_[local].load(std::memory_order_acquire); }
  // Numbers 0 .. size() - 1 are taken; they stay so.
  unsigned size() const noexcept { return size_.load(std::memory_order_acquire); }
  static tactus_class_desc describe(const class_record& r) noexcept;
  // Classes in whose queues there may be tasks of this priority, bit = local number: their own, and what is
  // left of records that came before them.
  std::uint64_t of_priority(unsigned priority) const noexcept {
    return of_priority_[priority].load(std::memory_order_seq_cst);
  }
  // By who has put a task of this priority into a queue of the class.
  void has_task_of(unsigned local, unsigned priority) noexcept {
    const std::uint64_t bit = 1ull << local;
    if (!(of_priority(priority) & bit)) of_priority_[priority].fetch_or(bit, std::memory_order_seq_cst);
  }
  // By who found the queues of the class empty: its own priority is the only one, if they still are. As
  // with ready bits, who pushes looks at the bit after it, so one of the two sees the other.
  template <class Nothing>
  void forget_other_priorities(unsigned local, Nothing nothing) noexcept {
    const std::uint64_t bit = 1ull << local;
    for (unsigned p = 0; p < of_priority_.size(); ++p) {
      if (p == entry(local).priority || !(of_priority(p) & bit)) continue;
      of_priority_[p].fetch_and(~bit, std::memory_order_seq_cst);
      if (!nothing()) of_priority_[p].fetch_or(bit, std::memory_order_seq_cst);
    }
  }

  // Before first use: an observer sees every class.
  void watch_all() noexcept { watch_all_ = records_.front().watched = true; }
  // Counts of the class that has this number now, those of its earlier times included.
  class_counts counts(unsigned local) const;
  // Of all classes that have no number any more, and how often one lost it.
  class_counts evicted_counts() const;
  std::uint64_t evictions() const noexcept { return evictions_.load(std::memory_order_relaxed); }

  // Set before first use.
  std::function<void()> on_new_class;                      // called unlocked
  std::function<class_counts(unsigned local)> count_local;  // all that was ever counted under a number; null: nothing
  struct {
    std::uint32_t retry_ms = 100;    // how often what shares class 0 looks for a number again
    std::uint32_t unused_ms = 2000;  // a class with a task within this time keeps its number
  } limits;

 private:
  static constexpr std::uint32_t k_named = 1024;  // task_class objects found by index
  static constexpr unsigned k_sites = 1024, k_probes = 16;
  static constexpr std::size_t k_records = 16384;
  static constexpr std::uint64_t k_free = 0, k_removed = 2;  // no site_key(), which are odd
  struct site {
    std::atomic<std::uint64_t> key{k_free};
    std::atomic<const class_entry*> entry{nullptr};
  };
  // Of a number; under lock_.
  struct usage {
    class_counts base;            // what was counted under it for classes before this one
    class_counts past;            // this class's, under numbers that it had before
    std::uint64_t seen = 0;       // tasks submitted at the last look
    std::uint32_t used_ms = 0;    // at the latest look that saw more of them
  };
  struct evicted {
    fingerprint id;
    class_counts counts;
  };

  static std::uint64_t site_key(const std::source_location& where, unsigned bucket) noexcept {
    // The file name's address tells call sites apart within one run.
    std::uint64_t h = reinterpret_cast<std::uintptr_t>(where.file_name()) ^
                      (std::uint64_t{where.line()} << 40) ^ (std::uint64_t{where.column()} << 20) ^ bucket;
    h *= 0x9E3779B97F4A7C15ull;
    return (h ^ (h >> 29)) | 1;
  }
  const class_entry& add_named(const task_class& cls);
  const class_entry& add_site(const std::source_location& where, unsigned bucket, std::uint64_t key);
  bool retry_is_due() const noexcept;

  // REQUIRES for all below: lock_.
  const class_record* find(const fingerprint& id) const noexcept;  // null: it has no number
  // The class of this fingerprint, with these options if it is given any, or a new one, or class 0; added or
  // changed: the agent should be told.
  const class_record& find_or_add(std::string_view name, const fingerprint& id, const class_options& options, bool is_site,
                                  bool& added_or_changed);
  const class_record& make_record(std::string_view name, const fingerprint& id, const class_options& options, bool is_site,
                                  unsigned local);
  const class_record& change(const class_record& old, const fingerprint& id, const class_options& options);
  unsigned number_for_new();  // 0: none to be had
  void evict(unsigned local);
  class_counts counted(unsigned local) const { return count_local ? count_local(local) : class_counts{}; }

  std::deque<class_record> records_;  // the first is class 0
  std::array<std::atomic<const class_record*>, TACTUS_MAX_LOCAL_CLASSES> current_{};
  std::array<usage, TACTUS_MAX_LOCAL_CLASSES> usage_{};
  std::deque<evicted> evicted_;
  bool watch_all_ = false;
  std::atomic<unsigned> size_{1};
  std::atomic<std::uint64_t> evictions_{0};
  std::atomic<std::uint32_t> last_try_ms_{0};
  std::array<std::atomic<std::uint64_t>, 4> of_priority_{};
  std::array<std::atomic<const class_entry*>, k_named> by_index_{};
  std::array<site, k_sites> sites_;
  mutable std::mutex lock_;
};

}  // namespace tactus::detail

#endif
