// SPDX-License-Identifier: Apache-2.0
//
// The worker's loop: take, run, sleep; and which task comes next. What it does when there is none is in
// worker_idle.cpp.
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
        if (const int cpu = sched_getcpu(); crowded(*this, cpu)) leave_while_awake(cpu);
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

}  // namespace tactus::detail
