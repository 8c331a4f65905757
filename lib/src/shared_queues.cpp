// SPDX-License-Identifier: Apache-2.0
//
// pool_core's queues that all workers take from: those of threads that are no workers (guests), and one
// inbox per class for whoever has none. The ready bits say of which classes there may be something.
#include "pool_core.h"

#include "thread_state.h"

#include <algorithm>
#include <bit>

namespace tactus::detail {

// settle_ready() clears the bit, then looks into the queues; this looks at the
// bit after the last push, which is a full barrier: one of the two sees the other.
void pool_core::push_shared(task* first, task* last, unsigned local_class) noexcept {
  const unsigned priority = tactus_tag_priority(first->tag);  // read before others may run it
  if (!push_to_own_queue(first, last, local_class)) inboxes[local_class].push(first, last);
  if (!((ready_classes() & classes.of_priority(priority)) >> local_class & 1)) [[unlikely]]
    make_ready(local_class, priority);
}

bool pool_core::push_to_own_queue(task*& first, task* last, unsigned local_class) noexcept {
  if (t_state.self) return false;
  guest& g = my_guest();
  if (g.shared) return false;
  try {
    deque* queue = g.queues[local_class].load(std::memory_order_relaxed);
    if (!queue) {
      queue = new deque;
      g.queues[local_class].store(queue, std::memory_order_release);
    }
    while (first != last) {
      task* next = static_cast<task*>(first->next.load(std::memory_order_relaxed));
      queue->push(first);
      first = next;
    }
    queue->push_shared(first);
    return true;
  } catch (...) {  // std::bad_alloc: the inbox needs no memory
    return false;
  }
}

void pool_core::make_ready(unsigned local_class, unsigned priority) noexcept {
  classes.has_task_of(local_class, priority);
  const std::uint64_t bit = 1ull << local_class;
  if (ready_classes() & bit) return;
  inboxes[local_class].since_ms.store(coarse_ms(), std::memory_order_relaxed);
  ready_.fetch_or(bit, std::memory_order_seq_cst);
}

bool pool_core::nothing_of(unsigned local_class) const noexcept {
  for (unsigned i = 0, n = nr_guests_.load(std::memory_order_seq_cst); i < n; ++i)
    if (const deque* queue = guests[i].queues[local_class].load(std::memory_order_acquire); queue && !queue->empty())
      return false;
  return inboxes[local_class].empty();
}

bool pool_core::anything_ready(unsigned lowest) const noexcept {
  for (std::uint64_t rest = ready_classes() & (lowest ? classes_from(lowest) : ~0ull); rest; rest &= rest - 1)
    if (!nothing_of(static_cast<unsigned>(std::countr_zero(rest)))) return true;
  return false;
}

void pool_core::settle_ready(unsigned local_class) noexcept {
  if (!nothing_of(local_class)) return;
  const std::uint64_t bit = 1ull << local_class;
  ready_.fetch_and(~bit, std::memory_order_seq_cst);
  classes.forget_other_priorities(local_class, [&] { return nothing_of(local_class); });
  if (nothing_of(local_class)) return;
  ready_.fetch_or(bit, std::memory_order_seq_cst);  // (1) again: a worker may have looked
  const class_entry& e = classes.entry(local_class);  // in between, and be asleep now
  if (worker* w = claim_for(e)) hand_over(*w, nullptr, e.tag);
}

unsigned pool_core::take(unsigned local_class, task** out, unsigned most, unsigned& where) noexcept {
  const unsigned n = nr_guests_.load(std::memory_order_acquire);
  inbox& box = inboxes[local_class];
  for (unsigned i = 0; i <= n; ++i) {
    const unsigned at = where > n ? 0 : where;
    where = at + 1;
    unsigned got = 0;
    if (at < n) {
      deque* queue = guests[at].queues[local_class].load(std::memory_order_acquire);
      if (queue) got = queue->steal_some(out, most);
    } else if (!box.empty() && box.try_lock()) {
      while (got < most && (out[got] = box.pop())) ++got;
      box.unlock();
    }
    if (got) return got;
  }
  settle_ready(local_class);
  return 0;
}

guest& pool_core::find_guest() {
  thread_state& ts = t_state;
  for (guest_ref& ref : ts.guests)
    if (ref.pool_id == id) {
      std::swap(ref, ts.guests[0]);
      return *ts.guests[0].place;
    }
  arm_thread_end();
  give_back_guest(ts.guests[std::size(ts.guests) - 1]);
  std::move_backward(std::begin(ts.guests), std::end(ts.guests) - 1, std::end(ts.guests));
  unsigned i = 0;
  while (i < k_guests && guests[i].taken.exchange(true, std::memory_order_acq_rel)) ++i;
  ts.guests[0] = {id, &guests[i]};
  for (unsigned n = nr_guests_.load(); i < k_guests && n <= i && !nr_guests_.compare_exchange_weak(n, i + 1);) {
  }
  return guests[i];
}

task* pool_core::take_for_outside() noexcept {
  for (unsigned p = k_priorities; p-- > 0;)
    for (std::uint64_t rest = ready_classes() & classes.of_priority(p); rest; rest &= rest - 1) {
      task* t = nullptr;
      unsigned where = 0;
      if (take(static_cast<unsigned>(std::countr_zero(rest)), &t, 1, where)) return t;
    }
  for (unsigned i = 0; i < nr_threads(); ++i)
    for (unsigned p = k_priorities; p-- > 0;)
      if (task* t = workers[i].deques[p].steal()) return t;
  return nullptr;
}

}  // namespace tactus::detail
