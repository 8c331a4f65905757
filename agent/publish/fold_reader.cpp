// SPDX-License-Identifier: Apache-2.0
//
// fold_reader.h's implementation.
#include "agent/publish/fold_reader.h"

namespace tactus::agent {
namespace {

// More tasks of one class by one worker between two reads (about a second) is no honest count.
constexpr std::uint32_t k_most_tasks = 200'000'000;

}  // namespace

std::uint64_t fold_reader::read(const pool_table& pools, const tick_clock& clock, class_stats& stats, std::uint64_t now) {
  std::uint64_t tasks = 0;
  const auto living = pools.all();
  for (auto it = pools_.begin(); it != pools_.end();) {
    const auto p = pools.find(it->first);
    it = p && p->registered_ns == it->second.registered_ns ? std::next(it) : pools_.erase(it);
  }
  for (const auto& p : living) {
    auto& mine = pools_[p->index];
    if (mine.registered_ns != p->registered_ns) {
      mine.registered_ns = p->registered_ns;
      mine.folds.assign(static_cast<std::size_t>(p->nr_workers) * TACTUS_MAX_LOCAL_CLASSES, {});
    }
    for (std::uint32_t w = 0; w < p->nr_workers; w++) {
      const tactus_tag_page* page = p->pages.worker_page(w);
      const std::uint64_t used = __atomic_load_n(&page->folded_classes, __ATOMIC_RELAXED);
      const std::uint32_t kind = __atomic_load_n(&page->clock, __ATOMIC_RELAXED);
      for (unsigned c = 0; used != 0 && c < TACTUS_MAX_LOCAL_CLASSES; c++) {
        if ((used >> c & 1) == 0) continue;
        const tactus_fold* f = &page->fold[c];
        last_fold& last = mine.folds[w * TACTUS_MAX_LOCAL_CLASSES + c];
        const last_fold seen{__atomic_load_n(&f->run_units, __ATOMIC_RELAXED), __atomic_load_n(&f->count, __ATOMIC_RELAXED),
                             __atomic_load_n(&f->missed, __ATOMIC_RELAXED)};
        const std::uint32_t count = seen.count - last.count;
        const std::uint64_t units = seen.run_units - last.run_units;
        const std::uint32_t missed = seen.missed - last.missed;
        last = seen;
        if (count == 0 || count > k_most_tasks) continue;
        const double ns = clock.ticks_to_ns(static_cast<double>(units) * (1u << TACTUS_RUN_UNIT_TICKS_LOG2), kind);
        stats.on_fold(pools.slot_of(p->index, c), count, missed <= count ? missed : 0, ns, now);
        tasks += count;
      }
    }
  }
  return tasks;
}

}  // namespace tactus::agent
