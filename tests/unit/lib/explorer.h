// SPDX-License-Identifier: Apache-2.0
// Exhaustive exploration of a protocol: every interleaving of a few small threads, on a memory with store
// buffers as x86 has them (TSO): a plain store waits in its thread's buffer, loads see the own buffer first,
// a locked operation and a fence empty it. membarrier() empties everybody's.
//
// A model is a trivially copyable State without padding that holds program counters, locals and a memory,
// and a function that makes one atomic step of one thread. All states are visited once (breadth first), so
// the first violation found has a shortest trace.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_set>
#include <vector>

namespace explorer {

template <unsigned Threads, unsigned Words, unsigned Depth = 4>
struct tso_memory {
  std::array<std::uint8_t, Words> word{};
  std::array<std::uint8_t, Threads> pending{};                     // stores in the buffer
  std::array<std::array<std::uint8_t, 2 * Depth>, Threads> buffer{};  // word, value, oldest first

  std::uint8_t load(unsigned thread, unsigned at) const {
    for (unsigned i = pending[thread]; i-- > 0;)
      if (buffer[thread][2 * i] == at) return buffer[thread][2 * i + 1];
    return word[at];
  }
  void store(unsigned thread, unsigned at, unsigned value) {
    if (pending[thread] == Depth) flush(thread);
    buffer[thread][2 * pending[thread]] = static_cast<std::uint8_t>(at);
    buffer[thread][2 * pending[thread]++ + 1] = static_cast<std::uint8_t>(value);
  }
  // The oldest store becomes visible; false when there is none.
  bool flush(unsigned thread) {
    if (!pending[thread]) return false;
    auto& b = buffer[thread];
    word[b[0]] = b[1];
    std::memmove(b.data(), b.data() + 2, b.size() - 2);
    --pending[thread];
    for (std::size_t i = 2u * pending[thread]; i < b.size(); ++i) b[i] = 0;  // equal states are equal bytes
    return true;
  }
  void fence(unsigned thread) {
    while (flush(thread)) {
    }
  }
  void membarrier() {
    for (unsigned t = 0; t < Threads; ++t) fence(t);
  }
  // Locked operations.
  std::uint8_t exchange(unsigned thread, unsigned at, unsigned value) {
    fence(thread);
    return std::exchange(word[at], static_cast<std::uint8_t>(value));
  }
  std::uint8_t add(unsigned thread, unsigned at, int n) {
    return exchange(thread, at, static_cast<unsigned>(word_after_fence(thread, at) + n));
  }
  bool compare_exchange(unsigned thread, unsigned at, unsigned expected, unsigned desired) {
    if (word_after_fence(thread, at) != expected) return false;
    word[at] = static_cast<std::uint8_t>(desired);
    return true;
  }
  std::uint8_t word_after_fence(unsigned thread, unsigned at) {
    fence(thread);
    return word[at];
  }
};

struct verdict {
  std::size_t states = 0;
  std::string violation;           // empty: none
  std::vector<unsigned> schedule;  // whose step, up to the violation; threads + t: a store of t got visible
};

// Model: State (with member `memory`), k_threads, State first(), bool step(State&, unsigned thread) (false: cannot
// move now), const char* wrong(const State&) in every state, const char* stuck(const State&) where nobody can move.
template <class Model>
verdict explore(const Model& model) {
  using State = typename Model::State;
  static_assert(std::is_trivially_copyable_v<State> && std::has_unique_object_representations_v<State>);
  struct same {
    std::size_t operator()(const State& s) const {
      return std::hash<std::string_view>{}({reinterpret_cast<const char*>(&s), sizeof s});
    }
    bool operator()(const State& a, const State& b) const { return std::memcmp(&a, &b, sizeof a) == 0; }
  };
  struct node {
    State state;
    std::size_t parent;
    unsigned by;
  };
  std::vector<node> nodes{{model.first(), 0, 0}};
  std::unordered_set<State, same, same> seen{nodes[0].state};
  verdict out;
  for (std::size_t at = 0; at < nodes.size(); ++at) {
    const char* wrong = model.wrong(nodes[at].state);
    bool moved = false;
    for (unsigned t = 0; t < 2 * Model::k_threads && !wrong; ++t) {
      State next = nodes[at].state;
      if (!(t < Model::k_threads ? model.step(next, t) : next.memory.flush(t - Model::k_threads))) continue;
      moved = true;
      if (seen.insert(next).second) nodes.push_back({next, at, t});
    }
    if (!wrong && !moved) wrong = model.stuck(nodes[at].state);
    if (wrong) {
      out.violation = wrong;
      for (std::size_t i = at; i != 0; i = nodes[i].parent) out.schedule.insert(out.schedule.begin(), nodes[i].by);
      break;
    }
  }
  out.states = seen.size();
  return out;
}

}  // namespace explorer
