// SPDX-License-Identifier: Apache-2.0
// The protocols of deque.h in every interleaving: the owner's push and pop against two thieves, and the
// queue of a guest, whose owner only pushes, against two that take in batches. No task is taken twice or
// lost. That the exploration would notice is shown by leaving barriers out.
#include <utility>

#include "explorer.h"

#include <doctest/doctest.h>

namespace {

constexpr unsigned k_tasks = 3;
enum word : unsigned { k_top, k_bottom, k_cells, k_words = k_cells + k_tasks };

struct machine {
  explorer::tso_memory<3, k_words> memory;
  std::array<std::uint8_t, 3> pc{}, operation{};  // operation: how many have been done
  std::array<std::uint8_t, 3> bottom{}, top{}, got{};
  std::array<std::uint8_t, k_tasks + 1> taken{};  // by task, numbered from 1
  std::uint8_t pushed = 0;
};

const char* check_once(const machine& s) {
  for (const auto n : s.taken)
    if (n > 1) return "a task was taken twice";
  return nullptr;
}
const char* check_all(const machine& s) {
  unsigned sum = s.memory.word[k_bottom] - s.memory.word[k_top];
  for (const auto n : s.taken) sum += n;
  return sum == s.pushed ? nullptr : "a task was lost";
}

// Thread 0 does the operations of `program` ('+' push, '-' pop), threads 1 and 2 steal `steals` times each.
struct chase_lev {
  using State = machine;
  static constexpr unsigned k_threads = 3;
  const char* program;
  unsigned steals;
  bool barrier_in_pop = true;

  State first() const { return {}; }
  const char* wrong(const State& s) const { return check_once(s); }
  const char* stuck(const State& s) const { return check_all(s); }

  bool step(State& s, unsigned t) const { return t == 0 ? owner(s) : thief(s, t); }

  bool owner(State& s) const {
    auto& m = s.memory;
    const char what = program[s.operation[0]];
    if (!what) return false;
    const auto done = [&] { s.pc[0] = s.bottom[0] = s.top[0] = 0, ++s.operation[0]; };
    if (what == '+') {
      if (s.pc[0] == 0) {
        s.bottom[0] = m.load(0, k_bottom);
        m.store(0, k_cells + s.bottom[0], ++s.pushed);
        s.pc[0] = 1;
      } else {
        m.store(0, k_bottom, s.bottom[0] + 1u);
        done();
      }
      return true;
    }
    switch (s.pc[0]) {
      case 0:
        s.bottom[0] = m.load(0, k_bottom);
        if (m.load(0, k_top) >= s.bottom[0]) done();
        else s.pc[0] = 1;
        return true;
      case 1:
        --s.bottom[0];
        if (barrier_in_pop) m.exchange(0, k_bottom, s.bottom[0]);
        else m.store(0, k_bottom, s.bottom[0]);
        s.pc[0] = 2;
        return true;
      case 2:
        s.top[0] = m.load(0, k_top);
        if (s.top[0] < s.bottom[0]) {
          ++s.taken[m.load(0, k_cells + s.bottom[0])];
          done();
        } else {
          s.pc[0] = s.top[0] == s.bottom[0] ? 3 : 4;
        }
        return true;
      case 3:
        if (m.compare_exchange(0, k_top, s.top[0], s.top[0] + 1u)) ++s.taken[m.load(0, k_cells + s.bottom[0])];
        s.pc[0] = 4;
        return true;
      default:
        m.store(0, k_bottom, s.bottom[0] + 1u);
        done();
        return true;
    }
  }

  bool thief(State& s, unsigned t) const {
    auto& m = s.memory;
    if (s.operation[t] == steals) return false;
    const auto done = [&] { s.pc[t] = s.bottom[t] = s.top[t] = s.got[t] = 0, ++s.operation[t]; };
    switch (s.pc[t]) {
      case 0: s.top[t] = m.load(t, k_top), s.pc[t] = 1; return true;
      case 1:
        s.bottom[t] = m.load(t, k_bottom);
        if (s.top[t] >= s.bottom[t]) done();
        else s.pc[t] = 2;
        return true;
      case 2: s.got[t] = m.load(t, k_cells + s.top[t]), s.pc[t] = 3; return true;
      default:
        if (m.compare_exchange(t, k_top, s.top[t], s.top[t] + 1u)) ++s.taken[s.got[t]];
        done();
        return true;
    }
  }
};

// Thread 0 pushes k_tasks with push_shared(); 1 and 2 take up to two at a time, three times each.
struct guest_queue {
  using State = machine;
  static constexpr unsigned k_threads = 3;
  bool exchange_decides = true;

  State first() const { return {}; }
  const char* wrong(const State& s) const { return check_once(s); }
  const char* stuck(const State& s) const { return check_all(s); }

  bool step(State& s, unsigned t) const {
    auto& m = s.memory;
    if (t == 0) {
      if (s.pushed == k_tasks && s.pc[0] == 0) return false;
      if (s.pc[0] == 0) {
        m.store(0, k_cells + m.load(0, k_bottom), ++s.pushed);
        s.pc[0] = 1;
      } else {
        m.exchange(0, k_bottom, m.load(0, k_bottom) + 1u);
        s.pc[0] = 0;
      }
      return true;
    }
    if (s.operation[t] == 3) return false;
    const auto done = [&] { s.pc[t] = s.bottom[t] = s.top[t] = s.got[t] = 0, ++s.operation[t]; };
    switch (s.pc[t]) {
      case 0: s.top[t] = m.load(t, k_top), s.pc[t] = 1; return true;
      case 1:
        s.bottom[t] = m.load(t, k_bottom);
        if (s.top[t] >= s.bottom[t]) done();
        else s.pc[t] = 2;
        return true;
      default: {  // cells below bottom do not change any more
        const unsigned n = s.bottom[t] - s.top[t] >= 2 ? 2 : 1;
        const bool mine = exchange_decides ? m.compare_exchange(t, k_top, s.top[t], s.top[t] + n)
                                           : (m.store(t, k_top, s.top[t] + n), true);
        for (unsigned i = 0; mine && i < n; ++i) ++s.taken[m.load(t, k_cells + s.top[t] + i)];
        done();
        return true;
      }
    }
  }
};

}  // namespace

TEST_CASE("deque: in no interleaving is a task taken twice or lost") {
  for (const char* program : {"+-", "++--", "+-+-", "++-+--", "+++---"}) {
    const auto verdict = explorer::explore(chase_lev{.program = program, .steals = 2});
    CAPTURE(program);
    CAPTURE(verdict.states);
    CHECK(verdict.violation == "");
    CHECK(verdict.states > 100);
  }
}

TEST_CASE("deque: without the barrier in pop() the last two tasks are taken twice") {
  CHECK(explorer::explore(chase_lev{.program = "++--", .steals = 2, .barrier_in_pop = false}).violation ==
        "a task was taken twice");
}

TEST_CASE("queue of a guest: in no interleaving is a task taken twice or lost") {
  const auto verdict = explorer::explore(guest_queue{});
  CHECK(verdict.violation == "");
  CHECK(verdict.states > 1000);
  CHECK(explorer::explore(guest_queue{.exchange_decides = false}).violation == "a task was taken twice");
}
