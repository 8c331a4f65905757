// SPDX-License-Identifier: Apache-2.0
#include "selector.h"

#include <algorithm>

namespace tactus {

std::string_view name_of(selection_reason reason) noexcept {
  constexpr std::array<std::string_view, k_selection_reasons> k_names = {"only one", "least queued", "near", "learned row",
                                                                         "first", "fast"};
  return k_names[static_cast<std::size_t>(reason)];
}

namespace detail {
namespace {

// A suit that is better by so much tells candidates apart: a quarter of its range.
constexpr unsigned k_clear_suit = 64;
// In eighths of the fastest core's capacity; smaller differences are those of single cores and not of types.
unsigned slowness(const candidate& c) noexcept { return (cpu_map::k_fastest - c.capacity) / (cpu_map::k_fastest / 8); }
// Queued threads count first, then the type of core, then distance.
constexpr unsigned k_slow_weight = cpu_map::k_distances, k_queued_weight = 8 * k_slow_weight;

// The candidate of the least cost, the first among equals; `by` where it beats another, else `first`.
template <class Cost>
selection cheapest(std::span<const candidate> candidates, selection_reason by, Cost cost) noexcept {
  const candidate* best = &candidates[0];
  bool told_apart = false;
  for (const candidate& c : candidates) {
    told_apart |= cost(c) != cost(candidates[0]);
    if (cost(c) < cost(*best)) best = &c;
  }
  return {best->worker, candidates.size() == 1 ? selection_reason::only_one : told_apart ? by : selection_reason::first};
}

class least_queued final : public selector {
 public:
  selection choose(std::span<const candidate> candidates) const noexcept override {
    return cheapest(candidates, selection_reason::least_queued, [](const candidate& c) { return c.queued; });
  }
};

class locality final : public selector {
 public:
  selection choose(std::span<const candidate> candidates) const noexcept override {
    const auto queued_or_slow = [](const candidate& c) { return k_queued_weight * c.queued + k_slow_weight * slowness(c); };
    const selection out = cheapest(candidates, selection_reason::near,
                                   [&](const candidate& c) { return queued_or_slow(c) + c.distance; });
    if (out.reason != selection_reason::near) return out;
    // Near only where less would not have said the same.
    if (const selection s = least_queued().choose(candidates); s.worker == out.worker && s.reason == selection_reason::least_queued)
      return s;
    const selection by_speed = cheapest(candidates, selection_reason::fast, queued_or_slow);
    return by_speed.worker == out.worker && by_speed.reason == selection_reason::fast ? by_speed : out;
  }
};

class staged final : public selector {
 public:
  selection choose(std::span<const candidate> candidates) const noexcept override {
    const auto [worst, best] = std::minmax_element(candidates.begin(), candidates.end(),
                                                   [](const candidate& a, const candidate& b) { return a.suit < b.suit; });
    if (best->suit < worst->suit + k_clear_suit) return locality().choose(candidates);
    // Among those that suit about as well, the nearest.
    std::array<candidate, k_candidates> suited;
    std::size_t n = 0;
    for (const candidate& c : candidates)
      if (n < suited.size() && c.suit + k_clear_suit > best->suit) suited[n++] = c;
    return {locality().choose({suited.data(), n}).worker, selection_reason::learned_row};
  }
};

}  // namespace

const selector& selector_for(selection_rule rule) noexcept {
  static const least_queued by_queue;
  static const locality by_locality;
  static const staged in_stages;
  switch (rule) {
    case selection_rule::least_queued: return by_queue;
    case selection_rule::locality: return by_locality;
    case selection_rule::staged: break;
  }
  return in_stages;
}

}  // namespace detail
}  // namespace tactus
