// SPDX-License-Identifier: Apache-2.0
//
// pool_core's idle workers: the mask, whom to wake of them, and the barriers of falling asleep. The argument
// is in pool_core.h.
#include "pool_core.h"

#include "membarrier.h"
#include "route.h"
#include "spread.h"

#include <algorithm>
#include <array>
#include <bit>
#include <sched.h>

namespace tactus::detail {

void pool_core::heavy_barrier() noexcept {
  if (fences_.load(std::memory_order_seq_cst)) {
    full_barrier();
    return;
  }
  fences_.store(true, std::memory_order_seq_cst);
  membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
}

void pool_core::stop_fences(worker& w) noexcept {
  w.nr_fenced_pushes_ = 0;
  if (!have_membarrier_ || !fences_.load(std::memory_order_relaxed)) return;
  fences_.store(false, std::memory_order_seq_cst);
  if (nr_idle_.load(std::memory_order_seq_cst) == 0) return;
  fences_.store(true, std::memory_order_seq_cst);
  membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
  wake_for_visible_work();
}

// The count goes up before the bit is set and down after it is cleared, so a
// zero count means that no bit was visible.
void pool_core::set_idle(worker& w) noexcept {
  const int cpu = sched_getcpu();
  w.last_cpu.store(cpu, std::memory_order_relaxed);
  w.seen_on.store(cpu, std::memory_order_relaxed);
  (w.spare ? nr_idle_spares_ : nr_idle_).fetch_add(1, std::memory_order_seq_cst);
  idle_[w.index / 64].fetch_or(1ull << (w.index % 64), std::memory_order_seq_cst);
}

bool pool_core::all_idle() const noexcept {
  return nr_threads() <= 64 && idle_[0].load(std::memory_order_seq_cst) == ~0ull >> (64 - nr_threads());
}

bool pool_core::unset_idle(worker& w) noexcept {
  const std::uint64_t bit = 1ull << (w.index % 64);
  if (!(idle_[w.index / 64].fetch_and(~bit, std::memory_order_seq_cst) & bit)) return false;
  (w.spare ? nr_idle_spares_ : nr_idle_).fetch_sub(1, std::memory_order_seq_cst);
  return true;
}

bool pool_core::another_runs(const worker& w) const noexcept {
  for (unsigned i = 0; i < nr_workers && nr_idle() + 1 < active_workers(); ++i) {
    const worker& other = workers[i];
    if (&other == &w || other.rests.load(std::memory_order_relaxed)) continue;
    if (idle_[i / 64].load(std::memory_order_relaxed) >> (i % 64) & 1) continue;
    if (other.tid.load(std::memory_order_relaxed) != 0 && !other.delivered.load(std::memory_order_relaxed)) return true;
  }
  return false;
}

worker* pool_core::claim_idle(bool spare, unsigned local_class) noexcept {
  const unsigned from = spare ? nr_workers : 0, to = spare ? nr_threads() : nr_workers;
  for (;;) {
    std::array<candidate, k_candidates> found;
    std::size_t n = 0;
    for (unsigned word = from / 64; word * 64 < to && n < found.size(); ++word) {
      std::uint64_t bits = idle_[word].load(std::memory_order_seq_cst);
      if (word * 64 < from) bits &= ~0ull << (from % 64);
      if (to - word * 64 < 64) bits &= (1ull << (to - word * 64)) - 1;
      for (; bits && n < found.size(); bits &= bits - 1)
        found[n++].worker = word * 64 + static_cast<unsigned>(std::countr_zero(bits));
    }
    if (n == 0) return nullptr;
    const selection s = n == 1 ? selection{found[0].worker, selection_reason::only_one}
                               : select_idle({found.data(), n}, local_class);
    worker& w = workers[s.worker];
    if (!unset_idle(w)) continue;  // another thread was faster
    const int here = sched_getcpu();
    w.woken_from.store(here, std::memory_order_relaxed);
    w.last_cpu.store(goes_on_running() ? here : -1, std::memory_order_relaxed);
    nr_selections_[static_cast<std::size_t>(s.reason)].fetch_add(1, std::memory_order_relaxed);
    return &w;
  }
}

// Where a worker that runs is now is not known: where it last ran out of work is taken for it. The CPU of a
// submitter that goes on running counts as in use (spread.h).
selection pool_core::select_idle(std::span<candidate> candidates, unsigned local_class) const noexcept {
  constexpr unsigned k_most_looked_at = 64;
  const int here = sched_getcpu();
  const tactus_route_table* table = routes.load(std::memory_order_acquire);
  for (candidate& c : candidates) {
    const int cpu = workers[c.worker].last_cpu.load(std::memory_order_relaxed);
    c.distance = cpus.distance(here, cpu);
    if (classes.entry(local_class).priority >= k_first_urgent) c.capacity = cpus.capacity(cpu);
    c.queued = cpu == here && goes_on_running();
    if (table) c.suit = suit_of(*table, local_class, cpu);
    for (unsigned i = 0; i < std::min(nr_threads(), k_most_looked_at); ++i)
      if (!(idle_[0].load(std::memory_order_relaxed) >> i & 1) && !workers[i].rests.load(std::memory_order_relaxed) &&
          workers[i].seen_on.load(std::memory_order_relaxed) == cpu)
        ++c.queued;
  }
  return selector_for(options.selection).choose(candidates);
}

void pool_core::hand_over(worker& w, task* t, std::uint64_t next_tag) noexcept {
  if (t && tactus_tag_priority(next_tag) >= k_first_urgent && w.index < 64)
    urgent_slots_.fetch_or(1ull << w.index, std::memory_order_relaxed);
  w.slot.store(t, std::memory_order_release);
  __atomic_store_n(&w.tags.offered()->next_tag, next_tag, __ATOMIC_RELAXED);
  w.delivered.store(true, std::memory_order_seq_cst);
  w.sleep.unpark();
}

void pool_core::wake_for_visible_work() noexcept {
  if (!work_visible(0)) return;
  worker* w = claim_idle(false);
  if (!w) return;
  task* t = take_for_outside();
  hand_over(*w, t, t ? t->tag : tactus_tag_make(0, TACTUS_PRIORITY_NORMAL, 0));
}

bool pool_core::work_visible(unsigned lowest) const noexcept {
  if (anything_ready(lowest)) return true;
  for (unsigned i = 0; i < nr_threads(); ++i)
    for (unsigned rest = workers[i].levels.load(std::memory_order_acquire) >> lowest << lowest; rest; rest &= rest - 1)
      if (!workers[i].deques[static_cast<unsigned>(std::countr_zero(rest))].empty()) return true;
  return false;
}

}  // namespace tactus::detail
