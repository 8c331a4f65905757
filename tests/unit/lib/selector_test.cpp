// SPDX-License-Identifier: Apache-2.0
// Which sleeping worker is woken: the rules with their reasons, and the pool's counts.
#include "pools.h"
#include "selector.h"

#include <chrono>
#include <doctest/doctest.h>
#include <numeric>
#include <thread>
#include <vector>

using namespace tactus;
using detail::candidate;

namespace {

struct chosen {
  unsigned worker;
  selection_reason reason;
  friend bool operator==(const chosen&, const chosen&) = default;
};
chosen by(selection_rule rule, const std::vector<candidate>& candidates) {
  const auto s = detail::selector_for(rule).choose(candidates);
  return {s.worker, s.reason};
}

}  // namespace

TEST_CASE("each rule chooses by what it is named after, and says so") {
  const std::vector<candidate> some = {{.worker = 4, .queued = 1, .distance = 0, .suit = 200},
                                       {.worker = 5, .queued = 0, .distance = 4, .suit = 10},
                                       {.worker = 6, .queued = 0, .distance = 1, .suit = 30}};
  CHECK(by(selection_rule::least_queued, some) == chosen{5, selection_reason::least_queued});
  CHECK(by(selection_rule::locality, some) == chosen{6, selection_reason::near});
  CHECK(by(selection_rule::staged, some) == chosen{4, selection_reason::learned_row});
}

TEST_CASE("rows that do not tell candidates apart leave it to locality, and that to the queues") {
  const std::vector<candidate> same_suit = {{.worker = 0, .queued = 0, .distance = 3, .suit = 100},
                                            {.worker = 1, .queued = 0, .distance = 2, .suit = 60}};
  CHECK(by(selection_rule::staged, same_suit) == chosen{1, selection_reason::near});
  const std::vector<candidate> same_place = {{.worker = 0, .queued = 1, .distance = 2}, {.worker = 1, .queued = 0, .distance = 2}};
  CHECK(by(selection_rule::staged, same_place) == chosen{1, selection_reason::least_queued});
  CHECK(by(selection_rule::locality, same_place) == chosen{1, selection_reason::least_queued});
}

TEST_CASE("of those that suit, the nearest") {
  const std::vector<candidate> some = {{.worker = 0, .queued = 0, .distance = 4, .suit = 255},
                                       {.worker = 1, .queued = 0, .distance = 2, .suit = 220},
                                       {.worker = 2, .queued = 0, .distance = 0, .suit = 0}};
  CHECK(by(selection_rule::staged, some) == chosen{1, selection_reason::learned_row});
}

TEST_CASE("one candidate, and equal ones") {
  const std::vector<candidate> one = {{.worker = 7}}, equal = {{.worker = 2}, {.worker = 3}};
  for (const auto rule : {selection_rule::least_queued, selection_rule::locality, selection_rule::staged}) {
    CHECK(by(rule, one) == chosen{7, selection_reason::only_one});
    CHECK(by(rule, equal) == chosen{2, selection_reason::first});
  }
  CHECK(name_of(selection_reason::learned_row) == "learned row");
}

TEST_CASE("an urgent class gets the faster type of core, unless threads queue there") {
  const std::vector<candidate> some = {{.worker = 0, .queued = 0, .distance = 1, .capacity = 446},
                                       {.worker = 1, .queued = 0, .distance = 4, .capacity = 1024}};
  CHECK(by(selection_rule::locality, some) == chosen{1, selection_reason::fast});
  CHECK(by(selection_rule::staged, some) == chosen{1, selection_reason::fast});
  const std::vector<candidate> fast_is_busy = {{.worker = 0, .queued = 0, .distance = 4, .capacity = 1},
                                               {.worker = 1, .queued = 1, .distance = 0, .capacity = 1024}};
  CHECK(by(selection_rule::locality, fast_is_busy) == chosen{0, selection_reason::least_queued});
  const std::vector<candidate> turbo_bins = {{.worker = 0, .queued = 0, .distance = 1, .capacity = 960},
                                             {.worker = 1, .queued = 0, .distance = 2, .capacity = 1024}};
  CHECK(by(selection_rule::locality, turbo_bins) == chosen{0, selection_reason::near});
}

TEST_CASE("a pool counts its choices by reason") {
  pool p(test::quiet(3));
  const auto total = [&] {
    const auto counts = p.stats().selections;
    return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
  };
  for (int i = 0; i < 20; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));  // all sleep
    p.submit([] {}).get();
  }
  CHECK(total() >= 10);
}
