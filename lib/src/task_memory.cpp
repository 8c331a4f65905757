// SPDX-License-Identifier: Apache-2.0
//
// Task nodes: a free list per thread, and batches of k_batch nodes that threads
// exchange through one global stack, so that a thread that only submits and one
// that only runs do not allocate for ever. The lock is taken once per k_batch
// nodes. Slabs are kept until the process ends (flat at the high-water mark).
#include "parker.h"
#include "thread_state.h"

#include <mutex>
#include <vector>

namespace tactus::detail {

constinit thread_local thread_state t_state;

namespace {

constexpr unsigned k_batch = 64;
constexpr unsigned k_nr_shards = 8;

struct exchange {
  std::mutex lock;
  std::vector<task_link*> batches;  // heads of chains of k_batch nodes
  std::vector<void*> slabs;         // only so that leak checkers see them
  std::vector<parker*> parkers;
  std::vector<parker*> all_parkers;
  unsigned next_shard = 0;
};

// Never destroyed: threads may end after static destructors have run.
exchange& shared() {
  static exchange* const instance = new exchange;
  return *instance;
}

// Gives a thread's nodes and parker back when it ends.
struct thread_end {
  bool armed = false;
  ~thread_end() {
    exchange& x = shared();
    std::lock_guard guard(x.lock);
    // A chain may be shorter than k_batch: refill() counts what it gets.
    if (t_state.free_nodes) x.batches.push_back(t_state.free_nodes);
    if (t_state.sleep) x.parkers.push_back(t_state.sleep);
    t_state.free_nodes = nullptr;
    t_state.nr_free_nodes = 0;
    t_state.sleep = nullptr;
  }
};
thread_local thread_end t_end;

void refill() {
  t_end.armed = true;
  exchange& x = shared();
  {
    std::lock_guard guard(x.lock);
    if (!x.batches.empty()) {
      task_link* head = x.batches.back();
      x.batches.pop_back();
      unsigned count = 0;
      for (task_link* n = head; n; n = n->next.load(std::memory_order_relaxed)) ++count;
      t_state.free_nodes = head;
      t_state.nr_free_nodes = count;
      return;
    }
  }
  task* slab = static_cast<task*>(::operator new(sizeof(task) * k_batch, std::align_val_t{alignof(task)}));
  {
    std::lock_guard guard(x.lock);
    try {
      x.slabs.push_back(slab);
      // room for every batch there can be, so that giving back never allocates
      x.batches.reserve(x.slabs.size() * 2 + 1024);
    } catch (...) {
      ::operator delete(slab, std::align_val_t{alignof(task)});
      throw;
    }
  }
  task_link* head = nullptr;
  for (unsigned i = k_batch; i-- > 0;) {
    task* node = ::new (static_cast<void*>(slab + i)) task;
    node->next.store(head, std::memory_order_relaxed);
    head = node;
  }
  t_state.free_nodes = head;
  t_state.nr_free_nodes = k_batch;
}

// Keeps the k_batch nodes used last (warm), gives the others away.
void give_back() noexcept {
  t_end.armed = true;
  task_link* last_kept = t_state.free_nodes;
  for (unsigned i = 1; i < k_batch; ++i) last_kept = last_kept->next.load(std::memory_order_relaxed);
  task_link* rest = last_kept->next.load(std::memory_order_relaxed);
  last_kept->next.store(nullptr, std::memory_order_relaxed);
  t_state.nr_free_nodes = k_batch;
  exchange& x = shared();
  std::lock_guard guard(x.lock);
  x.batches.push_back(rest);
}

}  // namespace

task* allocate_task() {
  thread_state& ts = t_state;
  if (!ts.free_nodes) [[unlikely]]
    refill();
  task_link* node = ts.free_nodes;
  ts.free_nodes = node->next.load(std::memory_order_relaxed);
  --ts.nr_free_nodes;
  return static_cast<task*>(node);
}

void release_task(task* t) noexcept {
  thread_state& ts = t_state;
  t->next.store(ts.free_nodes, std::memory_order_relaxed);
  ts.free_nodes = t;
  if (++ts.nr_free_nodes >= 2 * k_batch) [[unlikely]]
    give_back();
}

void drop_reference(task* t) noexcept {
  if (t->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  t->invoke(*t, task_op::drop_result);
  release_task(t);
}

parker* thread_parker() {
  if (!t_state.sleep) {
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
    t_state.shard = x.next_shard++ % k_nr_shards;
  }
  return t_state.sleep;
}

void task_memory_before_fork() noexcept { shared().lock.lock(); }
void task_memory_after_fork() noexcept { shared().lock.unlock(); }

}  // namespace tactus::detail
