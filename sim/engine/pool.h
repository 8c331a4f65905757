// SPDX-License-Identifier: Apache-2.0
// The thread pool between tasks and workers, modelled simply after lib/src/pool_core.cpp and
// worker.cpp: a task goes to the idle worker of lowest number; an urgent one wakes a spare when a
// worker runs something less urgent; else it waits in the inbox of its priority. A worker that has
// ended a task takes an urgent task from a worker that was woken and got no CPU yet, then the inboxes
// by priority, then any task of such a worker.
// Not modelled: deques of tasks that tasks submit, aging, batches, routing by published rows, the
// search before sleeping.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "sim/scheduler/kernel.h"
#include "sim/workload/driver.h"

namespace tactus::sim {

// A ring that grows by doubling.
class task_queue {
 public:
  bool empty() const { return head_ == tail_; }
  std::size_t size() const { return tail_ - head_; }
  void push(const sim_task& t) {
    if (tail_ - head_ == ring_.size()) grow();
    ring_[tail_++ & (ring_.size() - 1)] = t;
  }
  sim_task pop() { return ring_[head_++ & (ring_.size() - 1)]; }

 private:
  void grow() {
    std::vector<sim_task> larger(ring_.empty() ? 64 : 2 * ring_.size());
    const std::size_t n = size();
    for (std::size_t i = 0; i < n; ++i) larger[i] = ring_[(head_ + i) & (ring_.size() - 1)];
    ring_ = std::move(larger);
    head_ = 0;
    tail_ = n;
  }
  std::vector<sim_task> ring_;
  std::size_t head_ = 0, tail_ = 0;
};

// Bits by worker number; the lowest one set is found in a few steps.
class worker_set {
 public:
  void reset(std::size_t n) {
    word_.assign((n + 63) / 64, 0);
    count_ = 0;
  }
  void add(std::uint32_t i) {
    word_[i / 64] |= 1ull << (i % 64);
    ++count_;
  }
  void remove(std::uint32_t i) {
    word_[i / 64] &= ~(1ull << (i % 64));
    --count_;
  }
  bool has(std::uint32_t i) const { return (word_[i / 64] >> (i % 64) & 1) != 0; }
  bool empty() const { return count_ == 0; }
  std::uint32_t lowest() const {  // REQUIRES: not empty
    std::size_t w = 0;
    while (word_[w] == 0) ++w;
    return static_cast<std::uint32_t>(w * 64) + static_cast<std::uint32_t>(std::countr_zero(word_[w]));
  }

 private:
  std::vector<std::uint64_t> word_;
  std::uint32_t count_ = 0;
};

// A worker, or a neighbour's thread.
struct sim_thread : kernel_thread {
  std::uint64_t work_left = 0;  // in 2^-16 ns at speed 1
  sim_task task;
  bool has_task = false;   // executes one
  bool slot_full = false;  // was woken for `task` and has not started it
  bool is_idle = false;    // asleep and in the pool's set
  bool spare = false;
  bool neighbour = false;   // no worker: its work is its own
  std::int32_t source = -1;  // of a driver thread: what it submits
  std::uint32_t pool = 0, index = 0;     // of the pool
  std::uint32_t event = 0;               // neighbour: its entry in the event heap
  std::uint64_t task_started_ns = 0;
};

struct sim_pool {
  static constexpr unsigned k_first_urgent = 2, k_priorities = 4;

  std::vector<sim_thread*> workers;  // spares last
  std::uint32_t nr_workers = 0;      // without spares
  bool steals = true;
  worker_set idle, idle_spares, slots, urgent_slots;
  task_queue inbox[k_priorities];
  std::uint32_t running_at[k_priorities] = {};  // workers, not spares, that execute a task of a priority
  cpu_mask allowed;
  bool restricted = false;

  // The worker to wake for a task of this priority; null: none.
  sim_thread* claim_for(unsigned priority) {
    if (!idle.empty()) return take(idle);
    if (priority < k_first_urgent || idle_spares.empty()) return nullptr;
    for (unsigned p = 0; p < priority; ++p)
      if (running_at[p] != 0) return take(idle_spares);
    return nullptr;
  }
  void sleeps(sim_thread& w) {
    (w.spare ? idle_spares : idle).add(w.index);
    w.is_idle = true;
  }
  void fill_slot(sim_thread& w, const sim_task& t, unsigned priority) {
    w.task = t;
    w.slot_full = true;
    slots.add(w.index);
    if (priority >= k_first_urgent) urgent_slots.add(w.index);
  }
  sim_task take_slot(sim_thread& w) {
    w.slot_full = false;
    slots.remove(w.index);
    if (urgent_slots.has(w.index)) urgent_slots.remove(w.index);
    return w.task;
  }
  // What a worker does next; false: nothing.
  bool next_task(sim_thread& w, sim_task& out) {
    if (w.slot_full) {
      out = take_slot(w);
      return true;
    }
    if (steals && !urgent_slots.empty()) {
      out = take_slot(*workers[urgent_slots.lowest()]);
      return true;
    }
    const unsigned lowest = w.spare ? k_first_urgent : 0;
    for (unsigned p = k_priorities; p-- > lowest;)
      if (!inbox[p].empty()) {
        out = inbox[p].pop();
        return true;
      }
    if (!steals || w.spare || slots.empty()) return false;
    out = take_slot(*workers[slots.lowest()]);
    return true;
  }

 private:
  sim_thread* take(worker_set& from) {
    const std::uint32_t i = from.lowest();
    from.remove(i);
    workers[i]->is_idle = false;
    return workers[i];
  }
};

}  // namespace tactus::sim
