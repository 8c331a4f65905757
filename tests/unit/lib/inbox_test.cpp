// SPDX-License-Identifier: Apache-2.0
// The inbox: first in first out, and no task lost between several pushers and poppers.
#include "inbox.h"

#include <doctest/doctest.h>
#include <memory>
#include <thread>
#include <vector>

using tactus::detail::inbox;
using tactus::detail::task;

TEST_CASE("tasks come out in the order they went in") {
  inbox box;
  std::vector<task> tasks(10);
  REQUIRE(box.try_lock());
  CHECK_FALSE(box.try_lock());
  CHECK(box.empty());
  CHECK(box.pop() == nullptr);
  for (int round = 0; round < 3; ++round) {
    for (auto& t : tasks) box.push(&t);
    CHECK_FALSE(box.empty());
    for (auto& t : tasks) CHECK(box.pop() == &t);
    CHECK(box.pop() == nullptr);
    CHECK(box.empty());
  }
  box.unlock();
  CHECK(box.try_lock());
}

TEST_CASE("three pushers and two poppers: every task once, each pusher's in order") {
  constexpr std::size_t k_pushers = 3, k_tasks = 40'000;
  inbox box;
  std::vector<task> tasks(k_pushers * k_tasks);
  std::vector<std::thread> threads;
  std::atomic<std::size_t> popped{0};
  std::vector<std::size_t> last(k_pushers, 0);  // under the inbox's lock
  bool in_order = true;
  for (std::size_t p = 0; p < k_pushers; ++p)
    threads.emplace_back([&, p] {
      for (std::size_t i = 0; i < k_tasks; ++i) box.push(&tasks[p * k_tasks + i]);
    });
  for (int i = 0; i < 2; ++i)
    threads.emplace_back([&] {
      while (popped.load(std::memory_order_relaxed) < tasks.size()) {
        if (!box.try_lock()) {
          std::this_thread::yield();
          continue;
        }
        if (task* t = box.pop()) {
          const auto at = static_cast<std::size_t>(t - tasks.data());
          if (at % k_tasks + 1 != ++last[at / k_tasks]) in_order = false;
          popped.fetch_add(1, std::memory_order_relaxed);
        }
        box.unlock();
      }
    });
  for (auto& t : threads) t.join();
  CHECK(in_order);
  CHECK(popped.load() == tasks.size());
}
