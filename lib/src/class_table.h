// SPDX-License-Identifier: Apache-2.0
//
// The classes of one pool: at most 63 besides class 0 ("unknown"), given local
// numbers at first use and never taken back.
//
// Look-ups are lock-free (a load for a named class, a hash probe for a call
// site); adding a class takes a lock, once per class. What finds no room shares
// class 0.
#ifndef TACTUS_SRC_CLASS_TABLE_H
#define TACTUS_SRC_CLASS_TABLE_H

#include <tactus/abi/registration.h>
#include <tactus/abi/tag_page.h>
#include <tactus/pool.hpp>

#include <array>
#include <atomic>
#include <functional>
#include <mutex>
#include <source_location>
#include <string>
#include <string_view>

namespace tactus::detail {

class class_table {
 public:
  class_table();

  const class_entry& named(const task_class& cls) {
    const std::uint32_t index = cls.index();
    if (index < k_named) {
      const std::uint8_t local = by_index_[index].load(std::memory_order_acquire);
      if (local != k_absent) [[likely]]
        return entries_[local];
    }
    return add_named(cls);
  }
  const class_entry& at_site(const std::source_location& where, unsigned size_bucket) {
    const std::uint64_t key = site_key(where, size_bucket);
    for (unsigned i = 0; i < k_probes; ++i) {
      const site& s = sites_[(key + i) % k_sites];
      const std::uint64_t seen = s.key.load(std::memory_order_acquire);
      if (seen == key) [[likely]]
        return entries_[s.local.load(std::memory_order_relaxed)];
      if (seen == 0) break;
    }
    return add_site(where, size_bucket, key);
  }

  const class_entry& entry(unsigned local) const noexcept { return entries_[local]; }
  // Classes 0 .. size() - 1 exist; their descriptions do not change any more.
  unsigned size() const noexcept { return size_.load(std::memory_order_acquire); }
  const std::string& name(unsigned local) const noexcept { return described_[local].name; }
  const fingerprint& id(unsigned local) const noexcept { return described_[local].id; }
  tactus_class_desc describe(unsigned local) const noexcept;
  // Classes of this priority, bit = local number.
  std::uint64_t of_priority(unsigned priority) const noexcept {
    return of_priority_[priority].load(std::memory_order_acquire);
  }

  // Before first use: an observer sees every class.
  void watch_all() noexcept { watch_all_ = entries_[0].watched = true; }
  const class_options& options(unsigned local) const noexcept { return described_[local].options; }
  std::function<void()> on_new_class;  // set before first use; called unlocked

 private:
  static constexpr std::uint32_t k_named = 1024;  // task_class objects found by index
  static constexpr unsigned k_sites = 1024, k_probes = 16;
  static constexpr std::uint8_t k_absent = 255;
  struct site {
    std::atomic<std::uint64_t> key{0};
    std::atomic<std::uint8_t> local{0};
  };
  struct description {
    std::string name;
    fingerprint id;
    class_options options;
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
  // REQUIRES: lock_. The class of this fingerprint, or a new one, or 0.
  unsigned find_or_add(std::string_view name, const fingerprint& id, const class_options& options);

  std::array<class_entry, TACTUS_MAX_LOCAL_CLASSES> entries_;
  std::array<description, TACTUS_MAX_LOCAL_CLASSES> described_;
  bool watch_all_ = false;
  std::atomic<unsigned> size_{1};
  std::array<std::atomic<std::uint64_t>, 4> of_priority_{};
  std::array<std::atomic<std::uint8_t>, k_named> by_index_;
  std::array<site, k_sites> sites_;
  std::mutex lock_;
};

}  // namespace tactus::detail

#endif
