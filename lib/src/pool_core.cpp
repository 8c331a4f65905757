// SPDX-License-Identifier: Apache-2.0
//
// The pool's life, submitting and finishing: see the argument in pool_core.h. Its queues are in
// shared_queues.cpp, its idle workers in idle_workers.cpp, waiting and stopping in waiting.cpp.
#include "pool_core.h"

#include "membarrier.h"
#include "memory_watch.h"
#include "registration.h"
#include "thread_state.h"

#include <tactus/task_group.hpp>

#include <algorithm>
#include <bit>
#include <cstdio>

namespace tactus::detail {
namespace {

std::atomic<std::uint64_t> next_pool_id{1};

}  // namespace

pool_core::pool_core(const pool_options& given)
    : options(given), cpus(machine_cpus(given.topology)), id(next_pool_id.fetch_add(1, std::memory_order_relaxed)) {
  guests[k_guests].shared = true;
  options.name.resize(std::min<std::size_t>(options.name.size(), 31));
  constexpr unsigned k_most = TACTUS_MAX_WORKERS - 64u;
  const unsigned active =
      std::clamp(options.workers ? options.workers : workers_for(read_cpu_budget(), options.rounding), 1u, k_most);
  nr_workers = std::clamp(options.max_workers, active, k_most);
  active_workers_.store(active, std::memory_order_relaxed);
  nr_spares = static_cast<unsigned>(
      std::clamp(options.spares < 0 ? static_cast<int>(std::min(active, 4u)) : options.spares, 0, 64));
  clock = process_clock();
  if (options.look_around.count() > 0)
    look_around_ticks = static_cast<std::uint64_t>(static_cast<double>(options.look_around.count()) * clock.ticks_per_us);
  heartbeat_ticks = static_cast<std::uint64_t>(
      static_cast<double>(std::max<std::int64_t>(0, options.heartbeat.count())) * clock.ticks_per_us);
  if (options.observer) classes.watch_all();
  have_membarrier_ = register_membarrier();
  pages.init(nr_threads());
  workers = std::make_unique<worker[]>(nr_threads());
  for (unsigned i = 0; i < nr_threads(); ++i) {
    worker& w = workers[i];
    w.core = this;
    w.index = i;
    w.spare = i >= nr_workers;
    w.rests.store(i >= active && i < nr_workers, std::memory_order_relaxed);
    w.victims_.init(nr_threads());
    w.random = i * 2654435761u + 1;
    w.tags.init(pages.private_page(i), clock);
  }
  classes.count_local = [this](unsigned local) { return count(local); };
  agent = std::make_unique<registration>(*this);
  classes.on_new_class = [this] { agent->classes_changed(); };
  memory = std::make_unique<memory_watch>(*this, under_pressure_);
  remember_pool(*this);
  try {
    start_threads();
    agent->start();
    memory->start();
  } catch (...) {
    stop_threads();
    forget_pool(*this);
    throw;
  }
}

pool_core::~pool_core() {
  try {
    shutdown(stop_mode::drain);
  } catch (...) {  // only from a task of this pool, which is the caller's mistake
    std::fprintf(stderr, "tactus: pool \"%s\" destroyed from one of its own tasks; terminating\n", options.name.c_str());
    std::terminate();
  }
  forget_pool(*this);
  if (first_error_ && state() != state_kind::forked) {
    const char* what = "unknown exception";
    try {
      std::rethrow_exception(first_error_);
    } catch (const std::exception& e) {
      std::fprintf(stderr, "tactus: a detached task of pool \"%s\" failed and nobody waited: %s\n",
                   options.name.c_str(), e.what());
      return;
    } catch (...) {
    }
    std::fprintf(stderr, "tactus: a detached task of pool \"%s\" failed and nobody waited: %s\n",
                 options.name.c_str(), what);
  }
}

class_counts pool_core::count(unsigned local_class) const noexcept {
  class_counts out;
  const auto of = [&](unsigned i) -> const class_counters& { return workers[i].tags.counters(local_class); };
  // All `finished` before any `submitted`: where both are equal nothing was outstanding in between.
  for (unsigned i = 0; i < nr_threads(); ++i) out.finished += of(i).finished.load(std::memory_order_acquire);
  for (const guest& g : guests) out.finished += g.finished[local_class].load(std::memory_order_acquire);
  const auto rest = [&](const auto& submitted, const auto& missed, const auto& failed, const auto& run_units) {
    out.submitted += submitted.load(std::memory_order_acquire);
    out.missed += missed.load(std::memory_order_relaxed);
    out.failed += failed.load(std::memory_order_relaxed);
    out.run_units += run_units.load(std::memory_order_relaxed);
  };
  for (unsigned i = 0; i < nr_threads(); ++i)
    rest(of(i).submitted, of(i).missed, of(i).failed, of(i).run_units);
  for (const guest& g : guests)
    rest(g.submitted[local_class], g.missed[local_class], g.failed[local_class], g.run_units[local_class]);
  return out;
}

void pool_core::stamp_deadline(task* t, const class_entry& e) const noexcept {
  const std::uint64_t now_ns = tick_clock::now_ns();
  t->tag = tactus_tag_make(e.local, e.priority, now_ns + e.deadline_ns);
  t->deadline_ticks = clock.recorded() && clock.reads_tsc
                          ? clock.read() + static_cast<std::uint64_t>(static_cast<double>(e.deadline_ns) *
                                                                      clock.ticks_per_us / 1000.0)
                          : now_ns + e.deadline_ns;
}

inline void pool_core::submit_from_worker(worker& w, task* t, const class_entry& e) {
  w.tags.submitted(e.local, e.weight);
  place_here(w, t, e);
}

void pool_core::place_from_worker(worker& w, task* t, const class_entry& e) { place_here(w, t, e); }

inline void pool_core::place_here(worker& w, task* t, const class_entry& e) {
  // Tasks of the running task's own priority stay here, newest first (depth
  // first, so that a recursion stays small); others go where all can see them.
  if (e.priority != tactus_tag_priority(w.tags.tag())) {
    place_shared(t, e);
    return;
  }
  keep_and_wake(w, t, e);
}

inline void pool_core::keep_and_wake(worker& w, task* t, const class_entry& e) {
  w.keep(t);         // (1)
  light_barrier(w, e.priority);
  if (may_wake() || e.priority >= k_first_urgent) [[unlikely]]
    wake_for_own(w, e);  // (2)
}

void pool_core::wake_for_own(worker& w, const class_entry& e) noexcept {
  worker* idle = claim_for(e);
  if (!idle) return;
  task* oldest = w.deques[e.priority].steal();
  hand_over(*idle, oldest, oldest ? oldest->tag : e.tag);
}

void enqueue(pool_core& core, task* t, const class_entry& e) {
  core.stamp(t, e);
  if (t->kind == task_kind::grouped) t->join->task_started(e.priority);
  worker* w = t_state.self;
  if (w && w->core == &core) [[likely]]
    core.submit_from_worker(*w, t, e);
  else
    core.submit_from_outside(t, e);
}

// A tag equal to the running task's means: same class, no deadline, so what
// enqueue() would find out is known, but that somebody looks on.
void fork(pool_core& core, task* t, const class_entry& e) {
  worker* w = t_state.self;
  if (!w || w->core != &core || w->tags.tag() != e.tag || e.watched) [[unlikely]]
    return enqueue(core, t, e);
  t->weight = e.weight;
  t->tag = e.tag;
  t->deadline_ticks = 0;
  t->join->task_started(e.priority);
  w->tags.submitted(e.local, e.weight);
  core.keep_and_wake(*w, t, e);
}

const class_entry& bind_class(pool_core& core, const task_class& cls) { return core.classes.named(cls); }
const class_entry& bind_site(pool_core& core, const std::source_location& where, unsigned bucket) {
  return core.classes.at_site(where, bucket);
}

void pool_core::submit_from_outside(task* t, const class_entry& e) {
  const state_kind now = state();
  if (now != state_kind::running) [[unlikely]] {
    const bool from_task = t_state.helping == this;
    if (now != state_kind::forked && !(from_task && now < state_kind::stopped)) {
      t->invoke(*t, task_op::drop);
      if (t->kind == task_kind::promised) {  // its future never reaches the caller
        store<std::exception_ptr>(*t, std::make_exception_ptr(pool_stopped()));
        t->state.store(k_failed, std::memory_order_release);
        drop_reference(t);
      } else {
        if (t->kind == task_kind::grouped) t->join->task_ended();
        release_task(t);
      }
      throw pool_stopped();
    }
  }
  count_external_submit(my_guest(), e);
  if (now == state_kind::forked) [[unlikely]] {
    execute_outside(t);
    return;
  }
  place_shared(t, e);
  if (state_.load(std::memory_order_seq_cst) == state_kind::stopped) [[unlikely]]  // stopped meanwhile: nobody else would run it
    run_leftovers();
}

// For whom to wake: a worker that searches finds the task itself, but an urgent
// one does not rely on that, since a searcher may be waiting for a CPU.
worker* pool_core::claim_sleeping(const class_entry& e) noexcept {
  const bool urgent = e.priority >= k_first_urgent;
  if (urgent ? nr_idle_.load(std::memory_order_relaxed) != 0 : may_wake())
    if (worker* w = claim_idle(false, e.local)) return w;
  if (urgent && wants_spare(e.priority))
    if (worker* w = claim_idle(true, e.local)) {
      nr_spare_wakeups_.fetch_add(1, std::memory_order_relaxed);
      return w;
    }
  return nullptr;
}

void pool_core::place_shared(task* t, const class_entry& e) noexcept {
  if (worker* w = claim_for(e)) {
    hand_over(*w, t, t->tag);
    return;
  }
  const std::uint64_t tag = t->tag;
  push_shared(t, e.local);                                              // (1), and the barrier: its exchange
  if (worker* w = claim_for(e)) hand_over(*w, nullptr, tag);   // (2)
}

bool pool_core::wants_spare(unsigned priority) const noexcept {
  if (nr_idle_spares_.load(std::memory_order_relaxed) == 0) return false;
  for (unsigned i = 0; i < nr_workers; ++i) {
    const std::uint64_t tag = __atomic_load_n(&workers[i].tags.active()->tag, __ATOMIC_RELAXED);
    if ((tag & TACTUS_TAG_VALID) && tactus_tag_priority(tag) < priority) return true;
  }
  return false;
}

// --- finishing -------------------------------------------------------------

void pool_core::finish(task* t, std::exception_ptr* error) noexcept {
  switch (t->kind) {
    case task_kind::detached:
      release_task(t);
      break;
    case task_kind::grouped: {
      join_counter* join = t->join;
      release_task(t);
      if (error) join->keep(std::move(*error));
      join->task_ended();
      break;
    }
    case task_kind::promised: {
      if (error) store<std::exception_ptr>(*t, std::move(*error));
      end_promised(t, error != nullptr);
      break;
    }
    case task_kind::called:  // never in a queue
      break;
  }
}

void pool_core::keep_error(std::exception_ptr error) noexcept {
  std::lock_guard guard(error_lock_);
  if (!first_error_) first_error_ = std::move(error);
}

void pool_core::drop(task* t) noexcept {
  t->invoke(*t, task_op::drop);
  if (t->kind == task_kind::detached) {
    finish(t, nullptr);
    return;
  }
  std::exception_ptr error = std::make_exception_ptr(cancelled());
  finish(t, &error);
}

void pool_core::execute_outside(task* t) noexcept {
  const unsigned local = tactus_tag_class(t->tag), weight = t->weight;
  guest& g = my_guest();
  if (drops_tasks()) {
    drop(t);
  } else {
    const std::uint64_t deadline = t->deadline_ticks;
    const void* outer = std::exchange(t_state.helping, this);
    std::exception_ptr error;
    const std::uint64_t start = clock.recorded() ? clock.read() : 0;
    try {
      t->invoke(*t, task_op::run);
    } catch (...) {
      error = std::current_exception();
    }
    const std::uint64_t end = clock.recorded() ? clock.read() : deadline ? tick_clock::now_ns() : 0;
    t_state.helping = outer;
    if (clock.recorded()) g.add(g.run_units[local], (end - start) >> TACTUS_RUN_UNIT_TICKS_LOG2);
    if (deadline && end > deadline) g.add(g.missed[local], 1);
    const bool failed = error != nullptr;
    if (failed) g.add(g.failed[local], 1);
    if (failed && t->kind == task_kind::detached) keep_error(std::move(error));
    finish(t, failed ? &error : nullptr);
  }
  count_external_finish(g, local, weight);
}

void pool_core::help_is_over(unsigned waiters) noexcept {
  // A full barrier that thread sanitizers understand: as in quiescent().
  quiescence_checks_.fetch_add(1, std::memory_order_seq_cst);
  if (waiters_.load(std::memory_order_seq_cst) > waiters) notify_if_quiescent();
}

void pool_core::count_external_submit(guest& g, const class_entry& e, std::uint64_t count) noexcept {
  g.add(g.submitted[e.local], count);
  if (tactus_pool_page* page = shared_pool_page.load(std::memory_order_acquire)) {
    __atomic_fetch_add(&page->submitted[e.local], static_cast<__u32>(count), __ATOMIC_RELAXED);
    __atomic_fetch_add(&page->weight_submitted, static_cast<__u64>(e.weight) * count, __ATOMIC_RELAXED);
  }
}

void pool_core::count_external_finish(guest& g, unsigned local, unsigned weight) noexcept {
  g.add(g.finished[local], 1);
  if (tactus_pool_page* page = shared_pool_page.load(std::memory_order_acquire)) {
    __atomic_fetch_add(&page->finished[local], 1u, __ATOMIC_RELAXED);
    __atomic_fetch_add(&page->weight_finished, static_cast<__u64>(weight), __ATOMIC_RELAXED);
  }
}

}  // namespace tactus::detail
