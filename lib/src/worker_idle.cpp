// SPDX-License-Identifier: Apache-2.0
//
// A worker that has no task: it looks around, lingers or naps, and sleeps until it is woken.
#include "worker.h"

#include "pool_core.h"
#include "spread.h"

#include <algorithm>
#include <ctime>
#include <sched.h>

namespace tactus::detail {
namespace {

// How long a worker looks around before it sleeps: rounds with pauses, a few us
// together. Short, since on a machine whose CPUs are all in use it takes them
// from who has work; and never by sched_yield: while a worker that counts as
// searching waits for a CPU, submitters would rely on it and wake nobody.
constexpr int k_quiet_rounds = 3, k_search_rounds = 22, k_pauses_per_round = 24, k_rounds_before_slots = 12;

// See linger() and nap().
constexpr unsigned k_linger_us = 200;
constexpr int k_naps = 8;
constexpr long k_nap_ns = 50'000;
constexpr unsigned k_nap_after_us = 200;

std::uint64_t ticks_of(const pool_core& core, unsigned us) noexcept { return static_cast<std::uint64_t>(us * core.clock.ticks_per_us); }

}  // namespace

task* worker::search(const wait_condition* condition, unsigned lowest) {
  if (spare) {
    arrange_victims();
    return steal(lowest, false);
  }
  // First unannounced: where tasks come and go all the time, those who submit
  // them would pay for every change of the count.
  for (int round = 0; round < k_quiet_rounds; ++round) {
    for (int i = 0; i < k_pauses_per_round / 2; ++i) cpu_pause();
    if (condition && condition->done(condition->object)) break;
    if (task* t = next_task(lowest)) return t;
  }
  core->start_searching();
  arrange_victims();
  // The task that ran last may have been the last of all.
  if (core->has_waiters()) core->notify_if_quiescent();
  const std::uint64_t limit = core->look_around_ticks;
  const std::uint64_t begin = limit ? core->clock.read() : 0;
  const int rounds = core->options.look_around.count() == 0 ? 1 : k_search_rounds;
  for (int round = 0; round < rounds || (limit && core->clock.read() - begin < limit); ++round) {
    if (condition && condition->done(condition->object)) return nullptr;
    task* t = next_task(lowest);
    if (!t) t = steal(lowest, round >= k_rounds_before_slots);
    if (t) {
      stop_searching();
      return t;
    }
    for (int i = 0; i < k_pauses_per_round; ++i) cpu_pause();
  }
  return nullptr;
}

// While it may have to wait for the other CPU, nobody is to rely on its looking around.
void worker::leave_while_awake(int cpu) noexcept {
  stop_searching();
  leave_cpu(cpu);
  core->start_searching();
}

// After search() has found nothing: where the last two waits were short, the next
// may be as well, and to be found awake saves a wake-up. Only where no other
// worker runs, and for 0.3 ms at most.
task* worker::linger() {
  if (spare || core->another_runs(*this)) return nullptr;
  const std::uint64_t longest = std::max(idle_ticks_[0], idle_ticks_[1]);
  const std::uint64_t most = ticks_of(*core, k_linger_us);
  if (longest > most) return nullptr;
  if (const int cpu = sched_getcpu(); in_the_way(*this, cpu)) {
    woken_from.store(-1, std::memory_order_relaxed);  // once per wake-up, whether there is another CPU or not
    leave_while_awake(cpu);
  }
  const std::uint64_t limit = longest + longest / 4 + most / 4;
  while (core->clock.read() - idle_since_ < limit) {
    for (int i = 0; i < k_pauses_per_round / 2; ++i) cpu_pause();
    task* t = next_task(0);
    if (!t) t = steal(0, true);
    if (t) {
      stop_searching();
      return t;
    }
    if (core->state() >= pool_core::state_kind::stopped) break;
  }
  return nullptr;
}

// After search() has found nothing. A worker that has hardly been awake, since
// others keep up with what comes, would be woken for the next task and find
// nothing again; so it looks again a few times before it can be woken, in short
// sleeps by the clock. Only while another worker runs, and one at a time: so
// the delay of a task that all others are too busy for is one such sleep.
task* worker::nap() {
  if (spare || core->active_workers() < 2) return nullptr;
  if (core->clock.read() - awake_since_ > ticks_of(*core, k_nap_after_us)) return nullptr;
  if (core->napping_.exchange(true, std::memory_order_relaxed)) return nullptr;
  task* t = nullptr;
  bool searching = true;
  for (int i = 0; i < k_naps && !t; ++i) {
    // The other may fall asleep while this one naps: then it is the one to wake.
    if (!core->another_runs(*this) || core->state() >= pool_core::state_kind::stopped) break;
    if (searching) {
      stop_searching();
      searching = false;
      tags.park();
    }
    const timespec length{0, k_nap_ns};
    nanosleep(&length, nullptr);
    t = next_task(0);
    if (!t) t = steal(0, true);
  }
  core->napping_.store(false, std::memory_order_relaxed);
  if (!searching && !t) core->start_searching();
  awake_since_ = core->clock.read();
  return t;
}

void worker::stop_searching() noexcept {
  if (spare) return;
  if (core->searching_.fetch_sub(1, std::memory_order_seq_cst) == 1 && core->may_wake())
    core->wake_for_visible_work();
}

task* worker::sleep_idle(const wait_condition* condition, unsigned lowest) {
  tags.park();
  // Whoever submitted something less urgent relied on this searcher too, which does not look for such.
  const bool passes_on = !spare && lowest > 0;
  if (passes_on) stop_searching();
  core->set_idle(*this);                                                     // (3) of pool_core.h
  if (!spare && !passes_on) core->searching_.fetch_sub(1, std::memory_order_seq_cst);
  if (spare && lowest >= k_first_urgent)
    core->full_barrier();  // what it may take was pushed with a fence
  else if (!core->all_idle())
    core->heavy_barrier();
  if (core->has_waiters()) core->notify_if_quiescent();
  const auto state = core->state();
  const bool is_done = condition && condition->done(condition->object);
  // resize() sets it and then looks for idle workers; one that waits inside a task goes on until that has ended
  const bool is_to_rest = !condition && rests.load(std::memory_order_seq_cst);
  const bool stay = state < pool_core::state_kind::stopped && !core->work_visible(lowest) && !is_done && !is_to_rest;  // (4)
  if (stay) {
    bump(nr_parked);
    while (!delivered.load(std::memory_order_acquire) && !(condition && condition->done(condition->object)))
      sleep.park();                                                          // (5)
  }
  if (!delivered.load(std::memory_order_acquire)) {
    if (core->unset_idle(*this)) {
      // Something is visible that cannot be had again and again: somebody lost
      // the CPU while it held a queue. Give it ours.
      if (stay) {
        nr_false_alarms = 0;
        return nullptr;
      }
      if (is_to_rest) return nullptr;
      if (++nr_false_alarms > 2) sched_yield();
      if (spare) return nullptr;
      // Who submitted while this one counted as searching relied on it: it takes
      // one task, and what else is visible is for the next to wake.
      core->start_searching();
      task* t = condition && condition->done(condition->object) ? nullptr : next_task(lowest);
      stop_searching();
      if (t) nr_false_alarms = 0;
      return t;
    }
    while (!delivered.load(std::memory_order_acquire)) sleep.park();  // claimed: the waker is on its way
  }
  delivered.store(false, std::memory_order_relaxed);
  task* t = slot.exchange(nullptr, std::memory_order_acq_rel);
  const bool takes = condition ? !condition->done(condition->object) : !rests.load(std::memory_order_relaxed);
  if (!t && takes) t = next_task(lowest);  // it was woken to look, or somebody was faster with what it was given
  // Whoever submitted more while somebody searched relied on the searcher, and that one on this worker, which
  // has its hands full now. And one that was claimed after all does not get what it saw.
  if ((t || !stay) && !spare && core->may_wake()) core->wake_for_visible_work();
  return t;
}

}  // namespace tactus::detail
