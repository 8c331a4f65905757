// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <vector>

#include "sim/engine/event_heap.h"
#include "sim/engine/histogram.h"
#include "sim/workload/random.h"

using namespace tactus::sim;

TEST_CASE("the event heap always shows the earliest entry, the lowest number among equals") {
  for (const unsigned n : {1u, 5u, 64u, 333u}) {
    event_heap heap;
    heap.reset(n);
    std::vector<std::uint64_t> at(n, event_heap::k_never);
    random_stream random(n, stream::rule, 0);
    for (int i = 0; i < 20'000; ++i) {
      const std::uint32_t e = random.below(n);
      at[e] = random.below(8) == 0 ? event_heap::k_never : random.below(500);
      heap.set(e, at[e]);
      std::uint32_t best = 0;
      for (std::uint32_t k = 1; k < n; ++k)
        if (at[k] < at[best]) best = k;
      REQUIRE(heap.next_ns() == at[best]);
      if (at[best] != event_heap::k_never) REQUIRE(heap.next_entry() == best);
      REQUIRE(heap.at_ns(e) == at[e]);
    }
  }
}

TEST_CASE("quantiles of the histogram are within 1.6 % of the exact ones") {
  histogram h;
  for (std::uint64_t i = 1; i <= 100'000; ++i) h.add(i * 1000);
  for (const double q : {0.01, 0.5, 0.9, 0.99, 0.999})
    CHECK(h.quantile_ns(q) == doctest::Approx(q * 1e8).epsilon(0.016));
  CHECK(h.mean_ns() == doctest::Approx(50'000'500));
  h.clear();
  CHECK(h.quantile_ns(0.5) == 0);
}
