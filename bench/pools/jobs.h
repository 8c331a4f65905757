// SPDX-License-Identifier: Apache-2.0
// The fork-join jobs, written once against a pool's group of tasks: fib (one task per call, no cut-off),
// n-queens (one task per placed queen), skynet (ten children each, a number per leaf), and an unbalanced
// tree whose shape is drawn from hashes. Each returns a number that a serial run must give as well.
//
// Group: made by `Make` (a callable without arguments that returns it as a prvalue), with run(f) and
// wait(); wait() has been called before it goes.
#pragma once

#include <array>
#include <cstdint>

#include "contestant.h"

namespace tactus::bench {

// Tasks in fib(n), one per call with n >= 2: what the time is divided by.
constexpr double fib_tasks(int n) {
  double before = 0, now = 0;
  for (int i = 2; i <= n; ++i) {
    const double next = 1 + now + before;
    before = now;
    now = next;
  }
  return now;
}

template <class Make>
struct fork_jobs {
  const Make& make;

  long fib(int n) const {
    if (n < 2) return n;
    long left = 0;
    auto group = make();
    group.run([this, &left, n] { left = fib(n - 1); });
    const long right = fib(n - 2);
    group.wait();
    return left + right;
  }

  // Solutions with queens in the first `row` rows as the masks say.
  long queens(int n, int row = 0, unsigned columns = 0, unsigned left = 0, unsigned right = 0) const {
    if (row == n) return 1;
    std::array<long, 16> found{};
    auto group = make();
    int tasks = 0;
    for (unsigned free = ((1u << n) - 1) & ~(columns | left | right); free; free &= free - 1) {
      const unsigned bit = free & -free;
      long* into = &found[static_cast<unsigned>(tasks++)];
      group.run([=, this] { *into = queens(n, row + 1, columns | bit, (left | bit) << 1, (right | bit) >> 1); });
    }
    group.wait();
    long sum = 0;
    for (int i = 0; i < tasks; ++i) sum += found[static_cast<unsigned>(i)];
    return sum;
  }

  // Ten to the `depth` leaves, numbered; the sum of their numbers.
  long skynet(int depth, long number = 0) const {
    if (depth == 0) return number;
    std::array<long, 10> sums{};
    auto group = make();
    for (long i = 0; i < 10; ++i)
      group.run([=, this, &sums] { sums[static_cast<unsigned>(i)] = skynet(depth - 1, number * 10 + i); });
    group.wait();
    long sum = 0;
    for (const long s : sums) sum += s;
    return sum;
  }

  // Nodes of a tree: up to 8 children, most nodes have none, some subtrees are deep.
  long tree(int depth, std::uint64_t seed = 29) const {
    seed = (seed ^ (seed >> 31)) * 0x9E3779B97F4A7C15ull;
    seed ^= seed >> 29;
    const unsigned children = depth == 0 ? 0 : static_cast<unsigned>(seed >> 40) % 8 < 3 ? static_cast<unsigned>(seed >> 20) % 8 : 1;
    std::array<long, 8> sizes{};
    auto group = make();
    for (unsigned i = 0; i < children; ++i)
      group.run([=, this, &sizes] { sizes[i] = tree(depth - 1, seed + i * 0xD1342543DE82EF95ull); });
    group.wait();
    long sum = 1;
    for (const long s : sizes) sum += s;
    return sum;
  }

  long run(fork_job job, int n) const {
    switch (job) {
      case fork_job::fib: return fib(n);
      case fork_job::queens: return queens(n);
      case fork_job::skynet: return skynet(n);
      case fork_job::tree: return tree(n);
    }
    return 0;
  }
};

template <class Make>
long run_fork_job(fork_job job, int n, const Make& make) {
  return fork_jobs<Make>{make}.run(job, n);
}

}  // namespace tactus::bench
