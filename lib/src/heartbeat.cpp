// SPDX-License-Identifier: Apache-2.0
//
// Heartbeat promotion of deferred forks; see fork_join.hpp. A beat is found out by
// reading the clock, at some of the forks: so many forks lie between two looks that
// about eight looks come to a beat, at most k_most_forks. The first fork of a tree
// always looks.
#include "pool_core.h"

#include <tactus/fork_join.hpp>

#include <algorithm>
#include <new>

namespace tactus::detail {
namespace {

constexpr std::uint32_t k_most_forks = 256;

// Makes f a task; false where the pool takes none, or no memory: it stays what it is.
bool promote(deferred_fork& f) noexcept {
  ::new (static_cast<void*>(&f.join)) join_counter;
  try {
    const class_entry& entry = f.cls ? bind_class(f.core, *f.cls) : bind_site(f.core, f.where, 0);
    task* t = make_task([&f] { f.run(f.callable); }, task_kind::grouped);
    t->join = &f.join;
    f.promoted = true;
    enqueue(f.core, t, entry);
    return true;
  } catch (...) {
    f.promoted = false;
    f.join.~join_counter();
    return false;
  }
}

}  // namespace

void heartbeat(deferred_fork& latest) noexcept {
  fork_list& list = t_state.forks;
  const pool_core& core = latest.core;
  const std::uint64_t now = core.clock.read(), beat = core.heartbeat_ticks;
  const std::uint64_t passed = now - list.looked;
  list.looked = now;
  if (passed < beat / 8)
    list.stride = std::min(list.stride * 2, k_most_forks);
  else if (passed > beat / 4)
    list.stride = passed > beat ? 1 : std::max(1u, list.stride / 2);
  list.looks_in = list.stride;
  if (now - list.beat < beat) return;
  list.beat = now;
  // Off the list first: the task may run, and this thread go on, before promote() returns.
  deferred_fork& oldest = *list.oldest;
  list.oldest = oldest.newer;
  if (list.oldest)
    list.oldest->older = nullptr;
  else
    list.newest = nullptr;
  if (promote(oldest)) return;
  oldest.newer = list.oldest;
  if (list.oldest)
    list.oldest->older = &oldest;
  else
    list.newest = &oldest;
  list.oldest = &oldest;
}

}  // namespace tactus::detail
