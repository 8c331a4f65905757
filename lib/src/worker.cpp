// SPDX-License-Identifier: Apache-2.0
//
// The worker's loop: take, run, look around, sleep; and which task comes next.
#include "worker.h"

#include "memory_watch.h"
#include "pool_core.h"
#include "route.h"
#include "spread.h"

#include <tactus/task_group.hpp>

#include <algorithm>
#include <bit>
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

// Aging: every k_age_step_ms without being served count as one priority more;
// at equal rank the truly higher priority goes first, until k_age_limit_ms.
constexpr std::uint32_t k_age_step_ms = 25, k_age_limit_ms = 200;

// Of short tasks a batch is taken from a queue at once, of about so much work.
constexpr unsigned k_batch_us = 5, k_batch = 64, k_pressed_batch = 4;

// So many short tasks of its own deque a worker runs without comparing them with what waits elsewhere.
constexpr unsigned k_quick_picks = 32;

unsigned rank(unsigned priority, std::uint32_t waited_ms) noexcept {
  if (waited_ms >= k_age_limit_ms) return k_priorities;
  return std::min(k_priorities - 1, priority + waited_ms / k_age_step_ms);
}

}  // namespace

void worker::run() {
  nap_after_ticks_ = static_cast<std::uint64_t>(k_nap_after_us * core->clock.ticks_per_us);
  linger_ticks_ = static_cast<std::uint64_t>(k_linger_us * core->clock.ticks_per_us);
  batch_ticks_ = static_cast<std::uint64_t>(k_batch_us * core->clock.ticks_per_us);
  for (;;) {
    if (rests.load(std::memory_order_relaxed)) [[unlikely]]
      rest();
    task* t = next_task(lowest_to_take());
    if (!t) {
      tags.gap();
      idle_since_ = core->clock.read();
      t = search(nullptr, lowest_to_take());
      if (!t) t = linger();
      if (!t) t = nap();
      if (!t) {
        if (const int cpu = sched_getcpu(); crowded(*this, cpu)) {
          stop_searching();  // it may have to wait for the other CPU
          leave_cpu(cpu);
          core->start_searching();
        }
        t = sleep_idle(nullptr, lowest_to_take());
        awake_since_ = core->clock.read();
      }
      if (!t) {
        const auto state = core->state();
        if (state == pool_core::state_kind::stopped || state == pool_core::state_kind::forked) return;
        continue;
      }
      idle_ticks_[1] = idle_ticks_[0];
      idle_ticks_[0] = core->clock.read() - idle_since_;
    }
    if (core->under_pressure() && core->memory->put_aside(t)) [[unlikely]]
      continue;
    execute(t);
  }
}

inline void worker::execute(task* t) {
  if (core->drops_tasks()) [[unlikely]]
    return drop(t);
  tags.begin(t->tag);
  std::exception_ptr error;
  try {
    t->invoke(*t, task_op::run);
  } catch (...) {
    error = std::current_exception();
  }
  // Not inside the handler, which holds the exception too: whoever waits is to be its only owner.
  if (error) [[unlikely]]
    return failed(t, std::move(error));
  // Before the task counts as finished for a join or a future, so that wait() sees it.
  tags.end(t->weight, 0, t->deadline_ticks);
  if (t->kind == task_kind::promised) {
    core->finish(t, nullptr);
    return;
  }
  // the short way of pool_core::finish()
  join_counter* join = t->kind == task_kind::grouped ? t->join : nullptr;
  release_task(t);
  if (join) join->task_ended();
}

void worker::drop(task* t) {
  const unsigned local_class = tactus_tag_class(t->tag), weight = t->weight;
  core->drop(t);
  tags.count_finished(local_class, weight);
}

void worker::failed(task* t, std::exception_ptr error) {
  if (t->kind == task_kind::detached) core->keep_error(error);
  tags.end(t->weight, TACTUS_RECORD_FAILED, t->deadline_ticks);
  core->finish(t, &error);
}

bool worker::run_own(const join_counter& join) {
  const std::uint64_t outer = tags.tag();
  deque& own = deques[tactus_tag_priority(outer)];
  tags.suspend();
  bool done = false;
  while (core->ready_.load(std::memory_order_relaxed) == 0) {
    task* t = own.pop();
    if (!t) break;
    execute(t);
    if ((done = join.done())) break;
    tags.suspend();
  }
  tags.resume(outer);
  return done;
}

void worker::help(const wait_condition& condition) {
  const std::uint64_t outer = tags.tag();
  // What is awaited must be runnable here, or workers could wait for each other
  // for ever; what is less urgent than that and than the waiting task need not.
  const unsigned lowest = std::min(condition.lowest_priority, tactus_tag_priority(outer));
  tags.suspend();
  while (!condition.done(condition.object)) {
    task* t = next_task(lowest);
    if (!t) {
      tags.gap();
      t = search(&condition, lowest);
      if (!t && condition.done(condition.object)) {
        stop_searching();
        break;
      }
      if (!t) {
        // Nobody else writes next_tag before our idle bit is set.
        __atomic_store_n(&tags.offered()->next_tag, outer, __ATOMIC_RELAXED);
        condition.announce(condition.object, &sleep);
        t = sleep_idle(&condition, lowest);
        condition.announce(condition.object, nullptr);
        if (t && condition.done(condition.object)) {  // for others: we go on with our own task
          const unsigned priority = tactus_tag_priority(t->tag);  // once kept it may be stolen, run and gone
          keep(t);
          core->light_barrier(*this, priority);
          if (core->may_wake()) core->wake_for_visible_work();
          break;
        }
      }
    }
    if (t) {
      execute(t);
      tags.suspend();
    }
  }
  tags.resume(outer);
}

task* worker::next_task(unsigned lowest) {
  if (core->urgent_slots_.load(std::memory_order_relaxed)) [[unlikely]]
    if (task* t = take_urgent_slot(lowest)) return t;
  unsigned own = levels.load(std::memory_order_relaxed) >> lowest << lowest;
  std::uint64_t ready = core->ready_.load(std::memory_order_acquire);
  if (ready && lowest) ready &= core->classes_from(lowest);
  if (ready) {
    // Short tasks of its own that nothing more urgent waits behind: a look at all every so often will do.
    if (!own || !tags.short_tasks() || ++nr_quick_picks_ >= k_quick_picks ||
        (ready & core->classes_from(static_cast<unsigned>(std::bit_width(own)))))
      return select(ready, own);
  }
  while (own) {
    const unsigned priority = static_cast<unsigned>(std::bit_width(own)) - 1;
    if (task* t = pop_level(priority)) return t;
    own &= ~(1u << priority);
  }
  return nullptr;
}

task* worker::pop_level(unsigned priority) {
  task* t = deques[priority].pop();
  if (!t)
    levels.store(static_cast<std::uint8_t>(levels.load(std::memory_order_relaxed) & ~(1u << priority)),
                 std::memory_order_relaxed);
  return t;
}

// Chooses between own deques and inboxes: highest rank first (priority plus
// age), then true priority, then own deque before inbox, then longest not
// served. A class that does not suit this place (route.h) and was served lately
// comes last of all.
task* worker::select(std::uint64_t ready, unsigned own) {
  nr_quick_picks_ = 0;
  if (!own && std::has_single_bit(ready)) return pop_inbox(static_cast<unsigned>(std::countr_zero(ready)));
  const std::uint32_t now = coarse_ms();
  if (now - last_mixed_ms > k_age_step_ms) deque_since_ms.fill(now);
  last_mixed_ms = now;
  std::uint64_t unsuited = 0;
  if (const tactus_route_table* table = core->routes.load(std::memory_order_acquire)) {
    unsuited = unsuited_classes(*table, ready, sched_getcpu());
    for (std::uint64_t rest = unsuited; rest; rest &= rest - 1) {
      const int c = std::countr_zero(rest);
      if (now - core->inboxes[static_cast<unsigned>(c)].since_ms.load(std::memory_order_relaxed) >= k_patience_ms)
        unsuited &= ~(1ull << c);
    }
  }
  while (own || ready) {
    // larger is better: suited, rank, priority, own deque, waited
    std::uint64_t best = 0;
    int best_level = -1, best_class = -1;
    const auto key = [](bool suits, unsigned r, unsigned priority, bool is_own, std::uint32_t waited) {
      return (1ull << 60) | (std::uint64_t{suits} << 59) | (std::uint64_t{r} << 48) |
             (std::uint64_t{priority} << 40) | (std::uint64_t{is_own} << 39) | (waited & 0x7fffffffu);
    };
    for (unsigned rest = own; rest; rest &= rest - 1) {
      const unsigned p = static_cast<unsigned>(std::countr_zero(rest));
      const std::uint32_t waited = now - deque_since_ms[p];
      const std::uint64_t k = key(true, rank(p, waited), p, true, waited);
      if (k > best) best = k, best_level = static_cast<int>(p);
    }
    for (std::uint64_t rest = ready; rest; rest &= rest - 1) {
      const unsigned c = static_cast<unsigned>(std::countr_zero(rest));
      const unsigned p = core->classes.entry(c).priority;
      const std::uint32_t since = core->inboxes[c].since_ms.load(std::memory_order_relaxed);
      // another worker may have stamped it a moment after our reading of `now`
      const std::uint32_t waited = static_cast<std::int32_t>(now - since) < 0 ? 0 : now - since;
      const std::uint64_t k = key(!((unsuited >> c) & 1), rank(p, waited), p, false, waited);
      if (k > best) best = k, best_level = -1, best_class = static_cast<int>(c);
    }
    if (best_level >= 0) {
      const unsigned p = static_cast<unsigned>(best_level);
      own &= ~(1u << p);
      if (task* t = pop_level(p)) {
        deque_since_ms[p] = now;
        return t;
      }
    } else {
      const unsigned c = static_cast<unsigned>(best_class);
      ready &= ~(1ull << c);
      if (task* t = pop_inbox(c)) return t;
    }
  }
  return nullptr;
}

// Takes turns among the queues of the class. Of short tasks a batch, which goes
// into the own deque; that it was served is then not noted, to save the clock.
task* worker::pop_inbox(unsigned local_class) {
  task* batch[k_batch];
  const std::uint64_t mean = tags.mean_ticks(local_class);
  unsigned most = 1;
  if (mean && core->classes.entry(local_class).priority < k_first_urgent)
    most = static_cast<unsigned>(
        std::clamp<std::uint64_t>(batch_ticks_ / mean, 1, core->under_pressure() ? k_pressed_batch : k_batch));
  unsigned count = core->take(local_class, batch, most, next_guest_);
  if (!count) return nullptr;
  if (most == 1) core->inboxes[local_class].since_ms.store(coarse_ms(), std::memory_order_relaxed);
  if (count > 1) {
    while (--count) keep(batch[count]);  // so that the oldest comes off first
    core->light_barrier(*this, core->classes.entry(local_class).priority);
    if (core->may_wake()) core->wake_for_visible_work();
  }
  return batch[0];
}

task* worker::steal(unsigned lowest, bool slots) {
  random = random * 1664525u + 1013904223u;
  return victims_.visit(random, [&](unsigned i) { return i == index ? nullptr : steal_from(core->workers[i], lowest, slots); });
}

task* worker::steal_from(worker& victim, unsigned lowest, bool slots) {
  for (unsigned rest = victim.levels.load(std::memory_order_acquire) >> lowest << lowest; rest;) {
    const unsigned priority = static_cast<unsigned>(std::bit_width(rest)) - 1;
    if (task* t = victim.deques[priority].steal()) {
      bump(nr_stolen);
      return t;
    }
    rest &= ~(1u << priority);
  }
  return slots ? steal_slot(victim, lowest) : nullptr;
}

void worker::arrange_victims() noexcept {
  if (core->cpus.flat()) return;
  const int here = sched_getcpu();
  seen_on.store(here, std::memory_order_relaxed);
  victims_.arrange(core->cpus, here, [this](unsigned i) { return core->workers[i].seen_on.load(std::memory_order_relaxed); });
}

// Left for a worker that has not started yet. Its next_tag says what it is
// (a guess: it may change under us, and then this is one odd choice).
task* worker::steal_slot(worker& victim, unsigned lowest) {
  if (!victim.slot.load(std::memory_order_relaxed)) return nullptr;
  const std::uint64_t tag = __atomic_load_n(&victim.tags.offered()->next_tag, __ATOMIC_RELAXED);
  if (tactus_tag_priority(tag) < lowest) return nullptr;
  const tactus_route_table* table = core->routes.load(std::memory_order_acquire);
  if (table && unsuited_classes(*table, 1ull << tactus_tag_class(tag), sched_getcpu())) return nullptr;
  task* t = victim.slot.exchange(nullptr, std::memory_order_acq_rel);
  if (t) bump(nr_stolen);
  return t;
}

// The bit is cleared first: who fills the slot again sets it again, and before the slot.
task* worker::take_urgent_slot(unsigned lowest) {
  for (std::uint64_t rest = core->urgent_slots_.load(std::memory_order_relaxed); rest; rest &= rest - 1) {
    worker& victim = core->workers[static_cast<unsigned>(std::countr_zero(rest))];
    if (!victim.slot.load(std::memory_order_relaxed)) {
      core->urgent_slots_.fetch_and(~(rest & -rest), std::memory_order_relaxed);
      continue;
    }
    if (task* t = steal_slot(victim, lowest)) return t;
  }
  return nullptr;
}

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

// After search() has found nothing: where the last two waits were short, the next
// may be as well, and to be found awake saves a wake-up. Only where no other
// worker runs, and for 0.3 ms at most.
task* worker::linger() {
  if (spare || core->another_runs(*this)) return nullptr;
  const std::uint64_t longest = std::max(idle_ticks_[0], idle_ticks_[1]);
  if (longest > linger_ticks_) return nullptr;
  const std::uint64_t limit = longest + longest / 4 + linger_ticks_ / 4;
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
  if (core->clock.read() - awake_since_ > nap_after_ticks_) return nullptr;
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
  core->set_idle(*this);                                                     // (3) of pool_core.h
  if (!spare) core->searching_.fetch_sub(1, std::memory_order_seq_cst);
  if (spare && lowest >= k_first_urgent)
    core->full_barrier();  // what it may take was pushed with a fence
  else if (!core->all_idle())
    core->heavy_barrier();
  if (core->has_waiters()) core->notify_if_quiescent();
  const auto state = core->state();
  const bool stay = state < pool_core::state_kind::stopped && !core->work_visible(*this, lowest) &&  // (4)
                    !(condition && condition->done(condition->object));
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
  // Claimed after all: what it saw is not what it gets, and others relied on its looking.
  if (!stay && !spare && core->may_wake()) core->wake_for_visible_work();
  return slot.exchange(nullptr, std::memory_order_acq_rel);
}

}  // namespace tactus::detail
