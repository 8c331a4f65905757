// SPDX-License-Identifier: Apache-2.0
// The work-stealing deque: order, growth, and that every task is taken once.
#include "deque.h"

#include <doctest/doctest.h>
#include <thread>
#include <vector>

using tactus::detail::deque;
using tactus::detail::task;

TEST_CASE("the owner takes the newest, a thief the oldest") {
  deque d;
  std::vector<task> tasks(3);
  CHECK(d.pop() == nullptr);
  CHECK(d.steal() == nullptr);
  for (auto& t : tasks) d.push(&t);
  CHECK_FALSE(d.empty());
  CHECK(d.steal() == &tasks[0]);
  CHECK(d.pop() == &tasks[2]);
  CHECK(d.pop() == &tasks[1]);
  CHECK(d.pop() == nullptr);
  CHECK(d.empty());
}

TEST_CASE("it grows and keeps its order over the ring's end") {
  deque d;
  std::vector<task> tasks(5000);
  std::size_t stolen = 0, pushed = 0;
  for (; pushed < 200; ++pushed) d.push(&tasks[pushed]);
  for (; stolen < 150; ++stolen) REQUIRE(d.steal() == &tasks[stolen]);
  for (; pushed < tasks.size(); ++pushed) d.push(&tasks[pushed]);
  for (; stolen < tasks.size(); ++stolen) REQUIRE(d.steal() == &tasks[stolen]);
  CHECK(d.empty());
}

TEST_CASE("with an owner and three thieves every task is taken exactly once") {
  deque d;
  constexpr std::size_t k_tasks = 200'000;
  std::vector<task> tasks(k_tasks);
  std::vector<std::atomic<int>> taken(k_tasks);
  const auto take = [&](task* t) { taken[static_cast<std::size_t>(t - tasks.data())].fetch_add(1, std::memory_order_relaxed); };
  std::atomic<bool> stop{false};
  std::vector<std::thread> thieves;
  for (int i = 0; i < 3; ++i)
    thieves.emplace_back([&] {
      while (!stop.load(std::memory_order_acquire))
        if (task* t = d.steal()) take(t);
    });
  std::size_t next = 0;
  while (next < k_tasks) {
    for (std::size_t i = 0; i < 1 + next % 7 && next < k_tasks; ++i) d.push(&tasks[next++]);
    for (std::size_t i = 0; i < next % 5; ++i)
      if (task* t = d.pop()) take(t);
  }
  while (task* t = d.pop()) take(t);
  stop.store(true, std::memory_order_release);
  for (auto& t : thieves) t.join();
  CHECK(d.empty());
  std::size_t wrong = 0;
  for (auto& n : taken) wrong += n.load() != 1;
  CHECK(wrong == 0);
}
