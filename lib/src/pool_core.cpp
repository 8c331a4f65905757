// SPDX-License-Identifier: Apache-2.0
//
// Submitting, waking and finishing: see the argument in pool_core.h.
#include "pool_core.h"

#include "memory_watch.h"
#include "registration.h"
#include "spread.h"
#include "route.h"
#include "thread_state.h"

#include <tactus/task_group.hpp>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace tactus::detail {
namespace {

int membarrier(int command) noexcept { return static_cast<int>(syscall(SYS_membarrier, command, 0, 0)); }

bool register_membarrier() noexcept {
  const int supported = membarrier(MEMBARRIER_CMD_QUERY);
  return supported > 0 && (supported & MEMBARRIER_CMD_PRIVATE_EXPEDITED) &&
         membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
}

}  // namespace

namespace {
std::atomic<std::uint64_t> next_pool_id{1};
}

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

// --- idle workers ----------------------------------------------------------

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
    w.last_cpu.store(goes_on_running() ? sched_getcpu() : -1, std::memory_order_relaxed);
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
  if (!anything_ready(0)) {
    bool any = false;
    for (unsigned i = 0; i < nr_threads() && !any; ++i) any = workers[i].levels.load(std::memory_order_acquire) != 0;
    if (!any) return;
  }
  worker* w = claim_idle(false);
  if (!w) return;
  task* t = take_for_outside();
  hand_over(*w, t, t ? t->tag : tactus_tag_make(0, TACTUS_PRIORITY_NORMAL, 0));
}

bool pool_core::work_visible(const worker&, unsigned lowest) const noexcept {
  if (anything_ready(lowest)) return true;
  for (unsigned i = 0; i < nr_threads(); ++i)
    for (unsigned rest = workers[i].levels.load(std::memory_order_acquire) >> lowest << lowest; rest; rest &= rest - 1)
      if (!workers[i].deques[static_cast<unsigned>(std::countr_zero(rest))].empty()) return true;
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
