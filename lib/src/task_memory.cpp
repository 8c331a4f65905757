// SPDX-License-Identifier: Apache-2.0
//
// Task nodes: two magazines per thread, exchanged for full or empty ones at a
// global list, so that a thread that only submits and one that only runs do not
// allocate for ever (after Bonwick and Adams, USENIX 2001). The lock is taken
// once per 64 nodes. Slabs are kept until the process ends: memory stays at the
// highest number of tasks that ever waited at once.
#include "parker.h"
#include "thread_state.h"

#include <mutex>
#include <utility>
#include <vector>

namespace tactus::detail {

constinit thread_local thread_state t_state;

namespace {

struct exchange {
  std::mutex lock;
  magazine* filled = nullptr;  // with at least one node
  magazine* empty = nullptr;
  std::vector<void*> slabs;    // only so that leak checkers see them
  std::vector<parker*> parkers;
  std::vector<parker*> all_parkers;

  static magazine* pop(magazine*& list) noexcept {
    return list ? std::exchange(list, list->next) : nullptr;
  }
  void put(magazine* m) noexcept {
    if (m->capacity == 0) return;
    magazine*& list = m->count ? filled : empty;
    m->next = list;
    list = m;
  }
};

// Never destroyed: threads may end after static destructors have run.
exchange& shared() {
  static exchange* const instance = new exchange;
  return *instance;
}

// Gives a thread's nodes, parker and places in pools back when it ends.
struct thread_end {
  bool armed = false;
  ~thread_end() {
    for (guest_ref& ref : t_state.guests) give_back_guest(std::exchange(ref, guest_ref{}));
    exchange& x = shared();
    std::lock_guard guard(x.lock);
    x.put(std::exchange(t_state.loaded, &no_magazine));
    x.put(std::exchange(t_state.other, &no_magazine));
    parker* sleep = std::exchange(t_state.sleep, nullptr);
    if (sleep && !t_state.self) x.parkers.push_back(sleep);  // a worker's is its own
  }
};
thread_local thread_end t_end;

}  // namespace

void refill_nodes(thread_state& ts) {
  if (ts.other->count) {
    std::swap(ts.loaded, ts.other);
    return;
  }
  t_end.armed = true;
  exchange& x = shared();
  {
    std::lock_guard guard(x.lock);
    if (magazine* full = exchange::pop(x.filled)) {
      x.put(std::exchange(ts.loaded, full));
      return;
    }
  }
  if (ts.loaded->capacity == 0) ts.loaded = new magazine;
  task* slab = static_cast<task*>(
      ::operator new(sizeof(task) * k_magazine_nodes, std::align_val_t{alignof(task)}));
  try {
    std::lock_guard guard(x.lock);
    x.slabs.push_back(slab);
  } catch (...) {
    ::operator delete(slab, std::align_val_t{alignof(task)});
    throw;
  }
  for (unsigned i = k_magazine_nodes; i-- > 0;)
    ts.loaded->nodes[ts.loaded->count++] = ::new (static_cast<void*>(slab + i)) task;
}

// Makes room in ts.loaded; false where there is no memory for it.
bool make_room_for_nodes(thread_state& ts) noexcept {
  if (ts.other->count < ts.other->capacity) {
    std::swap(ts.loaded, ts.other);
    return true;
  }
  t_end.armed = true;
  exchange& x = shared();
  {
    std::lock_guard guard(x.lock);
    if (magazine* room = exchange::pop(x.empty)) {
      x.put(std::exchange(ts.other, std::exchange(ts.loaded, room)));
      return true;
    }
  }
  magazine* room = new (std::nothrow) magazine;
  if (!room) return false;
  magazine* full = std::exchange(ts.other, std::exchange(ts.loaded, room));
  std::lock_guard guard(x.lock);
  x.put(full);
  return true;
}

void arm_thread_end() { t_end.armed = true; }

void drop_reference(task* t) noexcept {
  if (t->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  t->invoke(*t, task_op::drop_result);
  release_task(t);
}

parker* make_thread_parker() {
  t_end.armed = true;
  exchange& x = shared();
  std::lock_guard guard(x.lock);
  if (x.parkers.empty()) {
    x.all_parkers.push_back(new parker);
    x.parkers.reserve(x.all_parkers.size());
    t_state.sleep = x.all_parkers.back();
  } else {
    t_state.sleep = x.parkers.back();
    x.parkers.pop_back();
  }
  return t_state.sleep;
}

void task_memory_before_fork() noexcept { shared().lock.lock(); }
void task_memory_after_fork() noexcept { shared().lock.unlock(); }

}  // namespace tactus::detail
