// SPDX-License-Identifier: Apache-2.0
// The wake-up protocol of pool_core.h in every interleaving: two or three workers, a thread outside that submits,
// a worker that forks into its own deque. Tasks run for ever, so a task that waits although a worker sleeps
// is seen as what it is: parallelism that nobody would ever bring back. Steps that are there for a reason
// are left out one at a time, and the exploration finds the interleaving that needs them.
#include <utility>

#include "explorer.h"

#include <doctest/doctest.h>

#include <bit>

namespace {

enum word : unsigned {
  k_queued,           // tasks in the guest's queue
  k_ready,            // its class's bit in ready_
  k_own,              // tasks in worker 0's own deque
  k_idle,             // bits of idle_
  k_nr_idle,
  k_searching,
  k_delivered,        // + worker
};
constexpr unsigned k_nobody = 9;

struct options {
  unsigned submitted = 2;              // by the thread outside
  unsigned asleep = 0;                 // so many workers sleep at first
  unsigned short_tasks = 0;            // the first so many end at once; the others run for ever
  bool forks = false;                  // the first task pushes another into its own deque
  bool alone_too_early = false;        // "all others are idle" is read before it stops counting as a searcher
  bool heavy_barrier = true;           // by a worker that falls asleep, unless all others are idle
  bool wake_after_settling = true;     // settle_ready() that takes the clearing back looks for sleepers
  bool chain_after_false_alarm = true; // a worker that takes its idle bit back counts as searching again
  bool chain_when_claimed = true;      // a worker claimed after it saw work in its last look passes that on
  bool chain_when_handed = true;       // a worker that is woken with a task in its hands wakes another
  bool final_look = true;              // (4) of pool_core.h
};

// Program counters. A sub-program returns to `back`.
enum pc : std::uint8_t {
  next_task, take, settle_clear, settle_again, settle_set,
  steal_own,
  look_quiet, look_begin,
  stop_search, stop_look,
  idle_count, idle_bit, idle_not_searching, idle_alone, idle_barrier, idle_look, asleep, unset, unset_count, alarm_search,
  wake_check_idle, wake_check_searching, claim, claim_count, deliver_slot, deliver,
  run, fork_wake, running,
  submit, push, push_ready, push_set, submit_next, finished,
};

// What goes into the slot of whom one wakes.
enum handed : std::uint8_t { k_nothing, k_submitted, k_of_own_deque, k_what_is_visible };

template <unsigned Workers>
struct machine {
  template <class T>
  using each = std::array<T, Workers + 1>;  // the last is the thread outside
  explorer::tso_memory<Workers + 1, k_delivered + 2 * Workers> memory;
  each<std::uint8_t> pc{}, back{}, after{};  // after: of next_task/settle, when nothing was found
  each<std::uint8_t> claimed{}, hands{};
  each<std::uint8_t> announced{}, alone{}, found{}, saw{};
  std::uint8_t left = 0, forked = 0, ended = 0;
};

template <unsigned Workers>
struct pool_model {
  using State = machine<Workers>;
  static constexpr unsigned k_threads = Workers + 1, k_outside = Workers, k_slot = k_delivered + Workers,
                            k_all = (1u << Workers) - 1;
  options with;

  State first() const {
    State s;
    s.left = static_cast<std::uint8_t>(with.submitted);
    for (unsigned w = 0; w < Workers; ++w) {
      const bool sleeps = w >= Workers - with.asleep;
      s.pc[w] = sleeps ? asleep : next_task;
      s.after[w] = look_quiet;
      s.memory.word[k_idle] = static_cast<std::uint8_t>(s.memory.word[k_idle] | (sleeps ? 1u << w : 0u));
    }
    s.memory.word[k_nr_idle] = static_cast<std::uint8_t>(with.asleep);
    s.pc[k_outside] = s.left ? submit : finished;
    s.claimed.fill(k_nobody);
    return s;
  }
  const char* wrong(const State&) const { return nullptr; }
  // Nobody can move: all tasks run, or there are more than workers.
  const char* stuck(const State& s) const {
    unsigned sleeping = 0, waiting = s.memory.word[k_queued] + s.memory.word[k_own];
    for (unsigned w = 0; w < Workers; ++w) {
      sleeping += s.pc[w] == asleep;
      waiting += s.memory.word[k_slot + w];
    }
    return sleeping && waiting ? "a task waits and a worker sleeps" : nullptr;
  }

  // The task found: straight on when unannounced, by way of stop_searching() else.
  static void have_task(State& s, unsigned t) {
    s.found[t] = 1;
    s.pc[t] = s.announced[t] ? stop_search : run;
  }
  static void nothing(State& s, unsigned t) { s.pc[t] = s.after[t]; }
  static pc when_woken(const State& s, unsigned t) { return s.found[t] ? run : next_task; }
  static bool visible(const State& s, unsigned t) {  // all in one step, since nothing else is decided by it
    return (s.memory.load(t, k_ready) && s.memory.load(t, k_queued)) || s.memory.load(t, k_own);
  }
  // To wake somebody, then go on at `back`.
  static void wake(State& s, unsigned t, pc back, handed hands) {
    s.back[t] = back;
    s.hands[t] = hands;
    s.pc[t] = wake_check_idle;
  }

  bool step(State& s, unsigned t) const {
    auto& m = s.memory;
    switch (s.pc[t]) {
      // --- next_task(), pool_core::take()
      case next_task:
        if (m.load(t, k_ready)) s.pc[t] = take;
        else s.pc[t] = steal_own;
        return true;
      case take:
        if (m.load(t, k_queued)) {
          m.add(t, k_queued, -1);
          have_task(s, t);
        } else {
          s.pc[t] = settle_clear;
        }
        return true;
      case settle_clear: m.exchange(t, k_ready, 0), s.pc[t] = settle_again; return true;
      case settle_again: s.pc[t] = m.load(t, k_queued) ? settle_set : steal_own; return true;
      case settle_set:
        m.exchange(t, k_ready, 1);
        if (with.wake_after_settling) wake(s, t, steal_own, k_nothing);
        else s.pc[t] = steal_own;
        return true;
      case steal_own:
        if (t != 0 && m.load(t, k_own)) {  // worker 0 is busy for ever with what pushed it
          m.add(t, k_own, -1);
          have_task(s, t);
        } else {
          nothing(s, t);
        }
        return true;
      // --- search(): once unannounced, once announced
      case look_quiet: s.after[t] = look_begin, s.pc[t] = next_task; return true;
      case look_begin:
        m.add(t, k_searching, 1);
        s.announced[t] = 1;
        s.after[t] = idle_count;
        s.pc[t] = next_task;
        return true;
      // --- stop_searching()
      case stop_search:
        s.announced[t] = 0;
        if (m.add(t, k_searching, -1) == 1 && m.load(t, k_nr_idle)) s.pc[t] = stop_look;
        else s.pc[t] = when_woken(s, t), s.after[t] = look_quiet;
        return true;
      case stop_look:  // wake_for_visible_work()
        s.after[t] = look_quiet;
        if (visible(s, t)) wake(s, t, when_woken(s, t), k_what_is_visible);
        else s.pc[t] = when_woken(s, t);
        return true;
      // --- sleep_idle()
      case idle_count: m.add(t, k_nr_idle, 1), s.pc[t] = idle_bit; return true;
      case idle_bit:
        m.add(t, k_idle, 1 << t);
        if (with.alone_too_early) s.alone[t] = m.word[k_idle] == k_all;
        s.pc[t] = idle_not_searching;
        return true;
      case idle_not_searching:
        m.add(t, k_searching, -1);
        s.announced[t] = 0;
        s.pc[t] = idle_alone;
        return true;
      case idle_alone:
        if (!with.alone_too_early) s.alone[t] = m.load(t, k_idle) == k_all;
        s.pc[t] = idle_barrier;
        return true;
      case idle_barrier:
        if (with.heavy_barrier && !s.alone[t]) m.membarrier();
        s.alone[t] = 0;
        s.pc[t] = idle_look;
        return true;
      case idle_look:
        s.pc[t] = with.final_look && visible(s, t) ? unset : asleep;
        return true;
      case asleep:
        if (!m.load(t, k_delivered + t)) return false;
        m.exchange(t, k_delivered + t, 0);
        s.after[t] = look_quiet;
        s.found[t] = m.exchange(t, k_slot + t, 0);
        s.pc[t] = (s.saw[t] && with.chain_when_claimed) || (s.found[t] && with.chain_when_handed) ? stop_look
                                                                                                    : when_woken(s, t);
        s.saw[t] = 0;
        return true;
      case unset:
        if (!(m.load(t, k_idle) & (1 << t))) {
          s.saw[t] = 1;
          s.pc[t] = asleep;  // claimed: what was delivered is on its way
        } else {
          m.add(t, k_idle, -(1 << t));
          s.pc[t] = unset_count;
        }
        return true;
      case unset_count:
        m.add(t, k_nr_idle, -1);
        s.after[t] = look_quiet;
        s.pc[t] = with.chain_after_false_alarm ? alarm_search : next_task;
        return true;
      case alarm_search:
        m.add(t, k_searching, 1);
        s.announced[t] = 1;
        s.after[t] = stop_search;
        s.pc[t] = next_task;
        return true;
      // --- claim_for(), hand_over()
      case wake_check_idle: s.pc[t] = m.load(t, k_nr_idle) ? +wake_check_searching : s.back[t]; return true;
      case wake_check_searching: s.pc[t] = m.load(t, k_searching) ? s.back[t] : +claim; return true;
      case claim: {
        const unsigned bits = m.word_after_fence(t, k_idle);
        if (!bits) {
          s.pc[t] = s.back[t];
        } else {
          const auto w = static_cast<unsigned>(std::countr_zero(bits));
          m.add(t, k_idle, -(1 << w));
          s.claimed[t] = static_cast<std::uint8_t>(w);
          s.pc[t] = claim_count;
        }
        return true;
      }
      case claim_count: m.add(t, k_nr_idle, -1), s.pc[t] = deliver_slot; return true;
      case deliver_slot:
        if (s.hands[t] == k_what_is_visible && m.word_after_fence(t, k_queued)) {
          m.add(t, k_queued, -1), m.store(t, k_slot + s.claimed[t], 1);
        } else if (s.hands[t] == k_of_own_deque || s.hands[t] == k_what_is_visible) {
          if (m.word_after_fence(t, k_own)) m.add(t, k_own, -1), m.store(t, k_slot + s.claimed[t], 1);
        } else if (s.hands[t] == k_submitted) {
          m.store(t, k_slot + s.claimed[t], 1);
          s.back[t] = submit_next;
        }
        s.pc[t] = deliver;
        return true;
      case deliver:
        m.exchange(t, k_delivered + s.claimed[t], 1);
        s.claimed[t] = k_nobody;
        s.pc[t] = s.back[t];
        return true;
      // --- a task: the first may fork, all run for ever
      case run:
        if (with.forks && !s.forked && t == 0) {
          s.forked = 1;
          m.store(t, k_own, m.load(t, k_own) + 1u);  // (1), and no barrier
          s.pc[t] = fork_wake;
        } else {
          const bool ends = s.ended < with.short_tasks;
          s.ended = static_cast<std::uint8_t>(s.ended + ends);
          s.pc[t] = ends ? next_task : running;
        }
        s.found[t] = 0;
        return true;
      case fork_wake: wake(s, t, running, k_of_own_deque); return true;
      case running: return false;
      // --- place_shared() by the thread outside
      case submit: wake(s, t, push, k_submitted); return true;
      case push: m.add(t, k_queued, 1), s.pc[t] = push_ready; return true;
      case push_ready:
        if (m.load(t, k_ready)) wake(s, t, submit_next, k_nothing);
        else s.pc[t] = push_set;
        return true;
      case push_set: m.exchange(t, k_ready, 1), wake(s, t, submit_next, k_nothing); return true;
      case submit_next: s.pc[t] = --s.left ? submit : finished; return true;
      default: return false;
    }
  }
};

// Who passes which barrier, by fences_: a worker that pushes to its own deque without one, two that fall
// asleep, one that turns fences_ off at any moment. All are running or searching at first.
struct fence_options {
  bool fences = true;               // at first
  unsigned pushed = 2, turned_off = 1;  // how often
  bool read_after_push = true;      // (1) before (2)
  bool idler_membarrier = true;     // by who turns it on
  bool turns_on_again = true;       // where somebody is idle by then
  bool turner_membarrier = true;    // after that
  bool turner_wakes = true;         // and at last
};

struct fence_model {
  enum : unsigned { pushed, taken, fences, idle, searching, delivered, words = delivered + 2 };
  enum pc : std::uint8_t {
    push, read_fences, read_idle, read_searching, claim, deliver, next_push, running,
    go_idle, not_searching, read_mode, turn_on, membarrier, look, asleep, unset, search, take, stop_search, chain,
    turn_off, idle_now, on_membarrier, wake, next_turn,
  };
  static constexpr unsigned k_threads = 4, k_pusher = 0, k_turner = 3;  // 1 and 2 fall asleep
  struct State {
    explorer::tso_memory<4, words> memory;
    std::array<std::uint8_t, 4> pc{}, back{}, claimed{}, has{}, mode{};
    std::uint8_t left = 0, turns = 0;
  };
  fence_options with;

  State first() const {
    State s;
    s.left = static_cast<std::uint8_t>(with.pushed);
    s.turns = static_cast<std::uint8_t>(with.turned_off);
    s.pc = {with.read_after_push ? push : read_fences, go_idle, go_idle, turn_off};
    s.memory.word[fences] = with.fences;
    s.memory.word[searching] = 2;
    return s;
  }
  const char* wrong(const State&) const { return nullptr; }
  const char* stuck(const State& s) const {
    const bool sleeps = s.pc[1] == asleep || s.pc[2] == asleep;
    return sleeps && s.memory.word[pushed] > s.memory.word[taken] ? "a task waits and a worker sleeps" : nullptr;
  }
  static bool visible(const State& s, unsigned t) { return s.memory.load(t, pushed) > s.memory.load(t, taken); }
  static void go(State& s, unsigned t, unsigned to) { s.pc[t] = static_cast<std::uint8_t>(to); }

  bool step(State& s, unsigned t) const {
    auto& m = s.memory;
    const unsigned bit = 1u << t, me = delivered + t - 1;
    switch (s.pc[t]) {
      // --- keep_and_wake()
      case push:
        m.store(t, pushed, m.load(t, pushed) + 1u);
        if (!with.read_after_push && s.mode[t]) m.fence(t);
        go(s, t, with.read_after_push ? read_fences : read_idle);
        return true;
      case read_fences:
        s.mode[t] = m.load(t, fences);
        if (with.read_after_push && s.mode[t]) m.fence(t);
        go(s, t, with.read_after_push ? read_idle : push);
        return true;
      case read_idle: s.back[t] = next_push, go(s, t, m.load(t, idle) ? read_searching : next_push); return true;
      case read_searching: go(s, t, m.load(t, searching) ? next_push : claim); return true;
      case next_push:
        s.mode[t] = 0;
        go(s, t, --s.left == 0 ? running : with.read_after_push ? push : read_fences);
        return true;
      // --- claim_idle(), hand_over()
      case claim: {
        const unsigned bits = m.word_after_fence(t, idle);
        s.claimed[t] = bits & 2 ? 1 : 2;
        if (bits) m.add(t, idle, -(1 << s.claimed[t]));
        go(s, t, bits ? +deliver : s.back[t]);
        return true;
      }
      case deliver: m.exchange(t, delivered + s.claimed[t] - 1u, 1), go(s, t, s.back[t]); return true;
      // --- sleep_idle()
      case go_idle: m.add(t, idle, static_cast<int>(bit)), go(s, t, not_searching); return true;
      case not_searching: m.add(t, searching, -1), go(s, t, read_mode); return true;
      case read_mode: go(s, t, m.load(t, fences) ? look : turn_on); return true;  // stores of its own: none waits
      case turn_on: m.exchange(t, fences, 1), go(s, t, with.idler_membarrier ? membarrier : look); return true;
      case membarrier: m.membarrier(), go(s, t, look); return true;
      case look: go(s, t, visible(s, t) ? unset : asleep); return true;
      case unset:
        if (m.word_after_fence(t, idle) & bit) m.add(t, idle, -static_cast<int>(bit)), go(s, t, search);
        else s.mode[t] = 1, go(s, t, asleep);  // claimed: others relied on its looking
        return true;
      case asleep:
        if (!m.load(t, me)) return false;
        m.exchange(t, me, 0);
        s.back[t] = search;
        go(s, t, s.mode[t] ? chain : search);
        s.mode[t] = 0;
        return true;
      // --- search(), stop_searching()
      case search: m.add(t, searching, 1), go(s, t, take); return true;
      case take:
        s.has[t] = visible(s, t);
        if (s.has[t]) m.add(t, taken, 1);
        go(s, t, s.has[t] ? stop_search : go_idle);
        return true;
      case stop_search:
        s.back[t] = running;
        go(s, t, m.add(t, searching, -1) == 1 ? chain : running);
        return true;
      case chain: go(s, t, m.load(t, idle) && visible(s, t) ? +claim : s.back[t]); return true;
      // --- stop_fences()
      case turn_off: m.exchange(t, fences, 0), go(s, t, idle_now); return true;
      case idle_now:
        if (m.load(t, idle) == 0 || !with.turns_on_again) return go(s, t, next_turn), true;
        m.exchange(t, fences, 1);
        go(s, t, with.turner_membarrier ? on_membarrier : wake);
        return true;
      case on_membarrier: m.membarrier(), go(s, t, wake); return true;
      case wake: s.back[t] = next_turn, go(s, t, with.turner_wakes && visible(s, t) ? claim : next_turn); return true;
      case next_turn: go(s, t, --s.turns == 0 ? running : turn_off); return true;
      default: return false;
    }
  }
};

explorer::verdict outcome(const fence_options& with) { return explorer::explore(fence_model{with}); }
explorer::verdict outcome(const options& with) { return explorer::explore(pool_model<2>{with}); }
explorer::verdict of_three(const options& with) { return explorer::explore(pool_model<3>{with}); }
constexpr const char* k_lost = "a task waits and a worker sleeps";

}  // namespace

TEST_CASE("wake-ups: whatever is submitted from outside, no worker sleeps beside a task") {
  for (const auto& [submitted, short_tasks] : {std::pair{1u, 0u}, {2u, 0u}, {3u, 0u}, {2u, 1u}, {3u, 1u}}) {
    const auto verdict = outcome({.submitted = submitted, .short_tasks = short_tasks});
    CAPTURE(submitted);
    CAPTURE(short_tasks);
    CAPTURE(verdict.schedule.size());
    CHECK(verdict.violation == "");
    CHECK(verdict.states > 500);
  }
}

TEST_CASE("wake-ups: of three workers none sleeps beside a task either, however many of them slept at first") {
  for (const auto& [submitted, asleep] : {std::pair{3u, 2u}, {3u, 3u}}) {  // {3, 1}: 11 million states, none wrong
    const auto verdict = of_three({.submitted = submitted, .asleep = asleep});
    CAPTURE(submitted);
    CAPTURE(asleep);
    CHECK(verdict.violation == "");
    CHECK(verdict.states > 300);
  }
  CHECK(of_three({.submitted = 3, .asleep = 2, .chain_when_handed = false}).violation == k_lost);
}

TEST_CASE("wake-ups: what a worker forks wakes another, without a barrier of its own") {
  for (unsigned submitted : {1u, 2u}) CHECK(outcome({.submitted = submitted, .forks = true}).violation == "");
}

TEST_CASE("wake-ups: each part of the protocol is needed") {
  CHECK(outcome({.submitted = 2, .final_look = false}).violation == k_lost);
  CHECK(outcome({.submitted = 1, .forks = true, .heavy_barrier = false}).violation == k_lost);
  CHECK(outcome({.submitted = 1, .forks = true, .alone_too_early = true}).violation == k_lost);
  CHECK(outcome({.submitted = 3, .short_tasks = 1, .wake_after_settling = false}).violation == k_lost);
  CHECK(outcome({.submitted = 2, .chain_after_false_alarm = false}).violation == k_lost);
  CHECK(outcome({.submitted = 2, .chain_when_claimed = false}).violation == k_lost);
}

TEST_CASE("wake-ups: whoever turns the fences of those who push on and off, no worker sleeps beside a task") {
  for (bool fences : {false, true})
    for (const auto& [pushed, turned_off] : {std::pair{2u, 1u}, {1u, 2u}}) {
      const auto verdict = outcome(fence_options{.fences = fences, .pushed = pushed, .turned_off = turned_off});
      CAPTURE(fences);
      CAPTURE(pushed);
      CHECK(verdict.violation == "");
      CHECK(verdict.states > 10000);
    }
}

TEST_CASE("wake-ups: each membarrier is needed, and each step beside it") {
  CHECK(outcome(fence_options{.fences = false, .idler_membarrier = false}).violation == k_lost);
  CHECK(outcome(fence_options{.turns_on_again = false}).violation == k_lost);
  CHECK(outcome(fence_options{.turner_membarrier = false}).violation == k_lost);
  CHECK(outcome(fence_options{.turner_wakes = false}).violation == k_lost);
  CHECK(outcome(fence_options{.fences = false, .read_after_push = false}).violation == k_lost);
}
