// SPDX-License-Identifier: Apache-2.0
//
// parallel_for: the caller and up to one task per other worker take parts of the
// range from one counter.
//
// A loop whose cost per iteration is known from before (class_entry::loop_cost)
// and that is over sooner than waking anybody pays, runs in the caller alone, in
// a few parts so that a wrong guess is noticed. The caller does not wait for
// helper tasks that have not started: the loop is over when all iterations are
// done, and its state lives until the last helper has looked at it.
//
// There are as many threads as workers, the caller from outside being one of them. A
// loop long enough that the kernel's scheduler has a say (expected from before, or seen
// after the caller's first part) gets all workers besides: where other threads are
// busy, the one helper of a pool of two is often woken on the caller's CPU.
#include "pool_core.h"
#include "spread.h"
#include "thread_state.h"

#include <tactus/task_group.hpp>

#include <algorithm>
#include <climits>

namespace tactus::detail {
namespace {

constexpr double k_alone_below_us = 8;   // shorter loops are not worth a wake-up
constexpr double k_part_us = 2;          // a part lasts at least about this
constexpr std::size_t k_alone_parts = 4; // looks at the clock in a loop run alone
constexpr std::size_t k_shares_per_thread = 3, k_finer_under_pressure = 4;
constexpr double k_long_us = 2000;       // from here on a caller from outside is one thread more
constexpr double k_spin_us = 50;         // how long the caller spins for the others' last parts
constexpr double k_look_us = 3;          // see let_others_look()

struct loop_state {
  std::atomic<std::size_t> next{0};
  std::atomic<std::size_t> completed{0};  // iterations; k_sleeping while the caller sleeps
  std::atomic<std::uint32_t> references{1};
  std::atomic<int> error_state{0};        // as in join_counter
  std::size_t count;
  std::size_t least;   // iterations of a part
  std::size_t shares;  // a part is this share of what is left
  loop_body body;
  parker* caller;
  std::exception_ptr error{};

  static constexpr std::size_t k_sleeping = std::size_t{1} << 63;

  static bool done(const void* o) {
    const auto& s = *static_cast<const loop_state*>(o);
    return (s.completed.load(std::memory_order_acquire) & ~k_sleeping) == s.count;
  }
  static void announce(void* o, parker* p) {
    auto& s = *static_cast<loop_state*>(o);
    if (p)
      s.completed.fetch_or(k_sleeping, std::memory_order_seq_cst);
    else
      s.completed.fetch_and(~k_sleeping, std::memory_order_seq_cst);
  }
  void complete(std::size_t n) noexcept {
    const std::size_t before = completed.fetch_add(n, std::memory_order_seq_cst);
    if ((before & k_sleeping) && (before & ~k_sleeping) + n == count) caller->unpark();
  }
  // Takes parts until none is left, or so many; returns how many iterations it ran.
  // Parts get smaller towards the end, so that all end at about the same time. The
  // caller's body is touched only with a part in hand, hence before the loop ends.
  std::size_t work(unsigned parts = UINT_MAX) noexcept {
    std::size_t mine = 0;
    std::size_t from = next.load(std::memory_order_relaxed);
    for (;;) {
      if (from >= count || parts == 0) return mine;
      const std::size_t to = from + std::min(count - from, std::max(least, (count - from) / shares));
      if (!next.compare_exchange_weak(from, to, std::memory_order_relaxed)) continue;
      std::size_t finished = to - from;
      try {
        body.body(body.context, from, to);
      } catch (...) {
        int none = 0;
        if (error_state.compare_exchange_strong(none, 1, std::memory_order_relaxed)) {
          error = std::current_exception();
          error_state.store(2, std::memory_order_release);
        }
        // Nobody begins another part; those not begun count as done.
        const std::size_t rest = next.exchange(count, std::memory_order_relaxed);
        if (rest < count) finished += count - rest;
      }
      mine += to - from;
      --parts;
      complete(finished);
      from = next.load(std::memory_order_relaxed);
    }
  }
  void release() noexcept {
    if (references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    this->~loop_state();
    release_task(::new (static_cast<void*>(this)) task);  // its memory is a node's
  }
};
static_assert(sizeof(loop_state) <= sizeof(task) && alignof(loop_state) <= alignof(task));

void learn_cost(const class_entry& e, std::uint64_t ticks, std::size_t iterations) noexcept {
  if (!iterations) return;
  const std::uint64_t cost = std::clamp<std::uint64_t>(ticks * 16 / iterations, 1, UINT32_MAX);
  const std::uint64_t before = e.loop_cost.load(std::memory_order_relaxed);
  e.loop_cost.store(static_cast<std::uint32_t>(before ? (before * 3 + cost) / 4 + 1 : cost), std::memory_order_relaxed);
}

// Of loops one after the other: a worker that has just run the last part of one is about to look
// around, but does not say so yet. A sleeper woken instead would come to the caller's CPU.
void let_others_look(const pool_core& core, unsigned others) noexcept {
  const auto some_awake = [&] { return core.nr_idle() != 0 && core.nr_idle() < others; };
  if (!some_awake()) return;
  const std::uint64_t begin = core.clock.read();
  while (some_awake() && core.searching_.load(std::memory_order_relaxed) == 0 &&
         static_cast<double>(core.clock.read() - begin) < k_look_us * core.clock.ticks_per_us)
    cpu_pause();
}

}  // namespace

void run_loop(pool_core& core, const class_entry& e, std::size_t count, const loop_body& body) {
  const std::uint64_t cost = e.loop_cost.load(std::memory_order_relaxed);
  const double ticks_per_us = core.clock.ticks_per_us;
  const bool alone_by_need = core.active_workers() == 1 || count == 1 || core.state() == pool_core::state_kind::forked;
  const bool alone_by_cost =
      cost && static_cast<double>(cost) * static_cast<double>(count) < k_alone_below_us * ticks_per_us * 16;
  std::size_t done = 0;
  if (alone_by_need) {
    body.body(body.context, 0, count);
    return;
  }
  if (alone_by_cost) {
    const std::uint64_t start = core.clock.read();
    const std::size_t step = (count + k_alone_parts - 1) / k_alone_parts;
    std::uint64_t elapsed = 0;
    do {
      const std::size_t to = std::min(count, done + step);
      body.body(body.context, done, to);
      done = to;
      elapsed = core.clock.read() - start;
    } while (done < count && static_cast<double>(elapsed) < k_alone_below_us * ticks_per_us);
    learn_cost(e, elapsed, done);
    if (done == count) return;
  }
  if (core.state() >= pool_core::state_kind::stopped) throw pool_stopped();

  const bool is_worker = t_state.self && t_state.self->core == &core;
  const double expected_us = static_cast<double>(cost) * static_cast<double>(count - done) / 16 / ticks_per_us;
  // The caller is one of them, but that a long loop may keep all workers busy.
  const std::size_t threads = core.active_workers() + (!is_worker && expected_us > k_long_us ? 1u : 0u);
  // Under memory pressure parts are smaller, so that what each of them allocates is.
  const std::size_t finer = core.under_pressure() ? k_finer_under_pressure : 1;
  const std::size_t least =
      cost ? std::max<std::size_t>(1, static_cast<std::size_t>(k_part_us * ticks_per_us * 16 / static_cast<double>(cost)) / finer) : 1;
  const std::size_t helpers = std::min(threads, (count - done + least - 1) / least) - 1;

  task* memory = allocate_task();
  memory->~task();
  auto* state = ::new (static_cast<void*>(memory)) loop_state{
      .count = count, .least = least, .shares = threads * k_shares_per_thread * finer, .body = body,
      .caller = thread_parker()};
  state->next.store(done, std::memory_order_relaxed);
  state->completed.store(done, std::memory_order_relaxed);
  struct releaser {
    loop_state* s;
    ~releaser() { s->release(); }
  } releaser{state};
  struct helper {
    loop_state* s;
    explicit helper(loop_state* state) noexcept : s(state) { s->references.fetch_add(1, std::memory_order_relaxed); }
    helper(helper&& other) noexcept : s(std::exchange(other.s, nullptr)) {}
    ~helper() {
      if (s) s->release();
    }
    void operator()() { s->work(); }
  };
  const auto add_helpers = [&](std::size_t n) {
    const taking_part guard;
    try {
      for (; n > 0; --n) enqueue(core, make_task(helper(state), task_kind::detached), e);
    } catch (...) {
      // fewer helpers (no memory, or the pool stops): the caller does the rest
    }
  };
  let_others_look(core, core.active_workers() - (is_worker ? 1u : 0u));
  add_helpers(helpers);
  const std::uint64_t start = core.clock.read();
  std::size_t mine = 0;
  if (!is_worker && threads == core.active_workers()) {
    mine = state->work(1);
    const double part_us = static_cast<double>(core.clock.read() - start) / ticks_per_us;
    const std::size_t next = state->next.load(std::memory_order_relaxed);
    if (next < count && part_us * static_cast<double>(count - next) > k_long_us * static_cast<double>(mine)) add_helpers(1);
  }
  mine += state->work();
  learn_cost(e, core.clock.read() - start, mine);
  if (!loop_state::done(state)) {
    const std::uint64_t from = core.clock.read();
    while (!loop_state::done(state) && static_cast<double>(core.clock.read() - from) < k_spin_us * ticks_per_us)
      cpu_pause();
    if (!loop_state::done(state)) {
      const wait_condition condition{&loop_state::done, &loop_state::announce, state, e.priority, false};
      if (is_worker)
        t_state.self->help(condition);
      else
        pool_core::sleep_until_done(condition);
    }
  }
  if (state->error_state.load(std::memory_order_acquire) == 2) std::rethrow_exception(std::move(state->error));
}

}  // namespace tactus::detail
