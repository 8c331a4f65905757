// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "sim/workload/distribution.h"

using namespace tactus::sim;

namespace {

void check(const distribution& d, double mean, double cv2, double tolerance = 0.02) {
  random_stream random(3, stream::work, 0);
  constexpr int n = 400'000;
  double sum = 0, squares = 0;
  for (int i = 0; i < n; ++i) {
    const auto x = static_cast<double>(d.sample(random));
    sum += x;
    squares += x * x;
  }
  const double m = sum / n;
  CHECK(m == doctest::Approx(mean).epsilon(tolerance));
  if (cv2 >= 0) CHECK(squares / n / (m * m) - 1 == doctest::Approx(cv2).epsilon(0.08));
  CHECK(d.mean_ns() == doctest::Approx(mean));
}

}  // namespace

TEST_CASE("every distribution has the mean and the variation it was asked for") {
  check(distribution::fixed(5000), 5000, -1);
  check(distribution::uniform(1e6, 0.5), 1e6, 1.0 / 12);
  check(distribution::exponential(1e6), 1e6, 1);
  check(distribution::hyperexponential(1e6, 4), 1e6, 4);
  check(distribution::lognormal(1e6, 0.5), 1e6, 0.5);
  check(distribution::bounded_pareto(1e6, 1.5, 1000), 1e6, -1, 0.03);
  check(distribution::bounded_pareto(1e6, 1, 100), 1e6, -1, 0.03);
}

TEST_CASE("a bounded Pareto stays within its bounds") {
  const distribution d = distribution::bounded_pareto(1e6, 1.2, 50);
  random_stream random(4, stream::work, 0);
  std::uint64_t least = ~0ull, most = 0;
  for (int i = 0; i < 100'000; ++i) {
    const std::uint64_t x = d.sample(random);
    least = std::min(least, x);
    most = std::max(most, x);
  }
  CHECK(static_cast<double>(most) / static_cast<double>(least) <= 50.01);
  CHECK(static_cast<double>(most) / static_cast<double>(least) > 40);
}

TEST_CASE("streams of one seed differ by purpose and by number, and repeat") {
  random_stream a(1, stream::work, 0), b(1, stream::work, 0), c(1, stream::work, 1), d(1, stream::arrivals, 0);
  const std::uint64_t x = a.next();
  CHECK(x == b.next());
  CHECK(x != c.next());
  CHECK(x != d.next());
  random_stream u(9, stream::rule, 0);
  for (int i = 0; i < 10'000; ++i) {
    CHECK(u.below(7) < 7);
    const double v = u.unit();
    CHECK(v > 0);
    CHECK(v < 1);
  }
}
