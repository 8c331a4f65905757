// SPDX-License-Identifier: Apache-2.0
// fork_join: results, exceptions, and the heartbeat that makes tasks of the oldest forks.
#include "pools.h"

#include <chrono>
#include <doctest/doctest.h>
#include <functional>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>

using namespace tactus;
using namespace std::chrono_literals;

namespace {

pool_options with_beat(std::chrono::microseconds beat, unsigned workers = 2) {
  pool_options o = test::quiet(workers);
  o.heartbeat = beat;
  return o;
}

constexpr auto k_never = std::chrono::hours(1);

long fib(pool& p, const task_class& c, int n) {
  if (n < 2) return n;
  long a = 0, b = 0;
  fork_join(p, c, [&] { a = fib(p, c, n - 1); }, [&] { b = fib(p, c, n - 2); });
  return a + b;
}

std::uint64_t tasks_of(const pool& p, const std::string& name) {
  for (const class_stats& s : p.stats().classes)
    if (s.name == name) return s.submitted;
  return 0;
}

void leaves(pool& p, const task_class& c, int n, const std::function<void()>& leaf) {
  if (n == 1) return leaf();
  fork_join(p, c, [&] { leaves(p, c, n / 2, leaf); }, [&] { leaves(p, c, n - n / 2, leaf); });
}

}  // namespace

TEST_CASE("results are right from a worker, from outside, with and without beats") {
  for (const auto beat : {std::chrono::microseconds(0), std::chrono::microseconds(20), std::chrono::microseconds(k_never)}) {
    pool p(with_beat(beat, 3));
    task_class c("fib"), outer("outer");
    CHECK(p.submit(outer, [&] { return fib(p, c, 18); }).get() == 2584);
    CHECK(fib(p, c, 15) == 610);
  }
}

TEST_CASE("a beat makes the oldest fork a task; without one nothing is") {
  task_class c("forks"), outer("outer");
  {
    pool p(with_beat(k_never));
    p.submit(outer, [&] { return fib(p, c, 12); }).get();
    p.submit(outer, [&] { return fib(p, c, 12); }).get();
    // The first look of a thread finds that no beat of its clock has ever been; a later one does not.
    CHECK(tasks_of(p, "forks") <= 2);
  }
  pool every(with_beat(std::chrono::microseconds(0)));
  every.submit(outer, [&] { return fib(every, c, 12); }).get();
  CHECK(tasks_of(every, "forks") > 3);
}

TEST_CASE("what is promoted is the oldest fork") {
  pool p(with_beat(std::chrono::microseconds(0), 1));  // one worker: nobody takes it meanwhile
  task_class c("forks"), outer("outer");
  std::vector<int> order;
  p.submit(outer, [&] {
     fork_join(p, c,
               [&] {
                 // The first fork has been promoted by its own look; this one is now the oldest.
                 fork_join(p, c, [&] { order.push_back(1); }, [&] { order.push_back(2); });
               },
               [&] { order.push_back(3); });
   }).get();
  CHECK(order == std::vector<int>{1, 2, 3});
  CHECK(tasks_of(p, "forks") == 2);
}

TEST_CASE("other workers take part in a tree of many pieces") {
  pool p(with_beat(100us));
  task_class c("forks"), outer("outer");
  std::mutex lock;
  std::set<std::thread::id> threads;
  p.submit(outer, [&] {
     leaves(p, c, 32, [&] {
       std::this_thread::sleep_for(2ms);
       std::lock_guard guard(lock);
       threads.insert(std::this_thread::get_id());
     });
   }).get();
  CHECK(threads.size() == 2);
}

TEST_CASE("tasks are made by the beat and not by the fork") {
  pool p(with_beat(1ms, 1));
  task_class c("forks"), outer("outer");
  const auto begin = std::chrono::steady_clock::now();
  p.submit(outer, [&] { return fib(p, c, 24); }).get();  // 75024 forks
  const auto beats = (std::chrono::steady_clock::now() - begin) / 1ms + 2;
  CHECK(tasks_of(p, "forks") <= static_cast<std::uint64_t>(beats));
}

TEST_CASE("the first exception reaches the caller, and both sides have ended") {
  for (const auto beat : {std::chrono::microseconds(0), std::chrono::microseconds(k_never)}) {
    pool p(with_beat(beat));
    task_class c("c");
    bool other = false;
    CHECK_THROWS_WITH_AS(fork_join(p, c, [] { throw std::runtime_error("a"); }, [&] { other = true; }), "a", std::runtime_error);
    CHECK(other);
    other = false;
    CHECK_THROWS_WITH_AS(fork_join(p, c, [&] { other = true; }, [] { throw std::runtime_error("b"); }), "b", std::runtime_error);
    CHECK(other);
    CHECK_THROWS_AS(fork_join(p, [] { throw 1; }, [] { throw 2; }), int);
    CHECK(p.submit([&] { return fib(p, c, 10); }).get() == 55);  // the list of forks is whole
  }
}

TEST_CASE("on a pool that was shut down forks stay what they are") {
  pool p(with_beat(std::chrono::microseconds(0)));
  p.shutdown();
  task_class c("c");
  CHECK(fib(p, c, 10) == 55);
}
