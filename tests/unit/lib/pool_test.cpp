// SPDX-License-Identifier: Apache-2.0
// The pool: submitting, waiting, nesting, loops, exceptions, both ways to stop.
#include <tactus/tactus.hpp>

#include <doctest/doctest.h>
#include <functional>
#include <numeric>
#include <thread>

using namespace tactus;
using namespace std::chrono_literals;

namespace {

pool_options with_workers(unsigned workers) {
  pool_options o;
  o.workers = workers;
  o.register_with_agent = false;
  return o;
}

long fib(pool& p, const task_class& c, int n) {
  if (n < 2) return n;
  long left = 0;
  task_group g(p, c);
  g.run([&] { left = fib(p, c, n - 1); });
  const long right = fib(p, c, n - 2);
  g.wait();
  return left + right;
}

const class_stats& stats_of(const pool_stats& s, const std::string& name) {
  for (const auto& c : s.classes)
    if (c.name == name) return c;
  FAIL("no class " << name);
  return s.classes[0];
}

}  // namespace

TEST_CASE("a pool starts, says what it has, and stops") {
  pool p(with_workers(3));
  CHECK(p.workers() == 3);
  CHECK(p.spares() == 3);
  CHECK(p.name() == "tactus");
  CHECK_FALSE(p.registered());
  CHECK(p.registration().text == "registration is switched off");
  pool all({.register_with_agent = false});
  CHECK(all.workers() >= 1);
  for (int i = 0; i < 20; ++i) pool brief(with_workers(4));
}

TEST_CASE("submit returns the result, detach runs, wait sees both") {
  for (unsigned workers : {1u, 2u, 4u}) {
    pool p(with_workers(workers));
    std::atomic<int> n{0};
    std::vector<future<int>> results;
    for (int i = 0; i < 1000; ++i) {
      results.push_back(p.submit([i, &n] { return ++n, i; }));
      p.detach([&n] { ++n; });
    }
    long sum = 0;
    for (auto& r : results) sum += r.get();
    p.wait();
    CHECK(sum == 999 * 500);
    CHECK(n == 2000);
  }
}

TEST_CASE("what a task wrote is seen after wait, get and parallel_for") {
  pool p(with_workers(4));
  for (int round = 0; round < 200; ++round) {
    std::vector<int> plain(64, 0);
    for (std::size_t i = 0; i < plain.size(); ++i) p.detach([&plain, i] { plain[i] = 1; });
    p.wait();
    REQUIRE(std::accumulate(plain.begin(), plain.end(), 0) == 64);
    int one = 0;
    p.submit([&] { one = 1; }).get();
    REQUIRE(one == 1);
  }
}

TEST_CASE("fork-join nests to any depth, on one worker too") {
  task_class c("fib");
  for (unsigned workers : {1u, 2u, 4u}) {
    pool p(with_workers(workers));
    CHECK(p.submit(c, [&] { return fib(p, c, 18); }).get() == 2584);
    CHECK(fib(p, c, 15) == 610);  // from a thread that is no worker
  }
}

TEST_CASE("a worker that waits for a future runs the task itself if need be") {
  pool p(with_workers(1));
  const int x = p.submit([&] {
    auto a = p.submit([&] { return p.submit([] { return 20; }).get() + 1; });
    auto b = p.submit([] { return 21; });
    return a.get() + b.get();
  }).get();
  CHECK(x == 42);
}

TEST_CASE("waits across priorities cannot lock up a single worker") {
  task_class urgent("urgent", {.priority = 3}), low("low", {.priority = 0});
  pool_options o = with_workers(1);
  o.spares = 0;
  o.outside_threads_help = false;
  pool p(o);
  const int x = p.submit(urgent, [&] {
    task_group g(p, low);
    std::atomic<int> n{0};
    for (int i = 0; i < 10; ++i) g.run([&] { n += p.submit(urgent, [] { return 2; }).get(); });
    g.wait();
    return n + p.submit(low, [] { return 1; }).get();
  }).get();
  CHECK(x == 21);
}

TEST_CASE("parallel_for visits every index once, whatever the range") {
  for (unsigned workers : {1u, 2u, 5u}) {
    pool p(with_workers(workers));
    for (int n : {0, 1, 2, 3, 7, 64, 1000, 100'000}) {
      std::vector<std::atomic<int>> hits(static_cast<std::size_t>(n));
      for (int repeat = 0; repeat < 4; ++repeat)
        p.parallel_for(0, n, [&](int i) { hits[static_cast<std::size_t>(i)]++; });
      bool all = true;
      for (auto& h : hits) all = all && h == 4;
      CHECK_MESSAGE(all, n);
    }
    std::atomic<long> sum{0};
    p.parallel_for(-50, 51, [&](int i) { sum += i; });
    CHECK(sum == 0);
    p.parallel_for<std::int8_t>(-128, 127, [&](std::int8_t i) { sum += i; });
    CHECK(sum == -128 - 127);
    std::atomic<std::size_t> length{0};
    p.parallel_for(std::size_t{10}, std::size_t{5010}, [&](std::size_t from, std::size_t to) { length += to - from; });
    CHECK(length == 5000);
    p.parallel_for(5, 3, [&](int) { FAIL("an empty range has no index"); });
  }
}

TEST_CASE("loops inside loops and inside tasks") {
  pool p(with_workers(3));
  std::atomic<int> n{0};
  p.parallel_for(0, 20, [&](int) { p.parallel_for(0, 50, [&](int) { ++n; }); });
  CHECK(n == 1000);
  p.submit([&] { p.parallel_for(0, 500, [&](int) { ++n; }); }).get();
  CHECK(n == 1500);
}

TEST_CASE("a loop does not wait for helpers that could not start") {
  pool_options o = with_workers(2);
  o.spares = 0;
  pool p(o);
  std::atomic<bool> go{false};
  std::atomic<int> blocked{0};
  for (int i = 0; i < 2; ++i)
    p.detach([&] {
      ++blocked;
      go.wait(false);
    });
  while (blocked < 2) std::this_thread::yield();
  std::atomic<int> n{0};
  p.parallel_for(0, 1000, [&](int) { ++n; });  // returns although both workers are stuck
  CHECK(n == 1000);
  go = true;
  go.notify_all();
  p.wait();
}

TEST_CASE("exceptions reach whoever waits") {
  pool p(with_workers(2));
  CHECK_THROWS_AS(p.submit([]() -> int { throw std::runtime_error("x"); }).get(), std::runtime_error);

  p.detach([] { throw std::out_of_range("detached"); });
  CHECK_THROWS_AS(p.wait(), std::out_of_range);
  p.wait();  // once

  task_group g(p);
  std::atomic<int> ran{0};
  for (int i = 0; i < 50; ++i)
    g.run([&, i] {
      ++ran;
      if (i == 20) throw i;
    });
  CHECK_THROWS_AS(g.wait(), int);
  CHECK(ran == 50);
  g.run([&] { ++ran; });  // usable again
  g.wait();
  CHECK(ran == 51);

  for (int repeat = 0; repeat < 10; ++repeat) {
    std::atomic<int> n{0};
    CHECK_THROWS_AS(p.parallel_for(0, 100'000, [&](int i) {
      ++n;
      if (i == 777) throw std::domain_error("loop");
    }), std::domain_error);
    CHECK(n <= 100'000);
  }
  CHECK(stats_of(p.stats(), p.stats().classes[1].name).failed == 1);
}

TEST_CASE("drain runs everything, also what tasks submit meanwhile") {
  std::atomic<int> n{0};
  {
    pool p(with_workers(2));
    for (int i = 0; i < 100; ++i)
      p.detach([&] {
        ++n;
        p.detach([&] {
          ++n;
          p.detach([&] { ++n; });
        });
      });
    p.shutdown(stop_mode::drain);
    CHECK(n == 300);
    CHECK_THROWS_AS(p.detach([] {}), pool_stopped);
    CHECK_THROWS_AS((void)p.submit([] { return 1; }), pool_stopped);
    CHECK_THROWS_AS(p.parallel_for(0, 1000, [](int) {}), pool_stopped);
    p.shutdown();  // again: nothing
  }
  {
    pool p(with_workers(2));
    for (int i = 0; i < 1000; ++i) p.detach([&] { ++n; });
  }  // the destructor drains
  CHECK(n == 1300);
}

TEST_CASE("cancel finishes what runs, drops what waits, and tells the futures") {
  pool_options o = with_workers(1);
  o.spares = 0;
  pool p(o);
  std::atomic<bool> started{false}, go{false};
  auto running = p.submit([&] {
    started = true;
    go.wait(false);
    return 1;
  });
  while (!started) std::this_thread::yield();
  std::atomic<int> ran{0};
  std::vector<future<void>> waiting;
  for (int i = 0; i < 50; ++i) waiting.push_back(p.submit([&] { ++ran; }));
  std::thread stopper([&] { p.shutdown(stop_mode::cancel); });
  std::this_thread::sleep_for(20ms);
  go = true;
  go.notify_all();
  stopper.join();
  CHECK(running.get() == 1);
  CHECK(ran == 0);
  for (auto& f : waiting) CHECK_THROWS_AS(f.get(), cancelled);
  std::uint64_t submitted = 0, finished = 0;
  for (const auto& c : p.stats().classes) submitted += c.submitted, finished += c.finished;
  CHECK(submitted == 51);
  CHECK(finished == 51);
}

TEST_CASE("waiting for the pool from inside it is an error, not a hang") {
  pool p(with_workers(2));
  CHECK_THROWS_AS(p.submit([&] { p.wait(); }).get(), std::logic_error);
  CHECK_THROWS_AS(p.submit([&] { p.shutdown(); }).get(), std::logic_error);
}

TEST_CASE("a worker of one pool can wait for another pool") {
  pool a(with_workers(1)), b(with_workers(1));
  const int x = a.submit([&] {
    task_group g(b);
    std::atomic<int> n{0};
    for (int i = 0; i < 100; ++i) g.run([&] { ++n; });
    g.wait();
    b.parallel_for(0, 100, [&](int) { ++n; });
    return n + b.submit([&] { return a.submit([] { return 1; }).get(); }).get();
  }).get();
  CHECK(x == 201);
}

TEST_CASE("statistics per class are exact") {
  task_class named("named", {.priority = 2, .weight = 9, .deadline = 10s});
  task_class late("late", {.deadline = 1us});
  pool p(with_workers(2));
  for (int i = 0; i < 500; ++i) p.detach(named, [] {});
  for (int i = 0; i < 20; ++i)
    p.submit(late, [] { std::this_thread::sleep_for(100us); }).get();
  p.submit([&] {
     for (int i = 0; i < 300; ++i) p.detach(named, [] {});
   }).get();
  p.wait();
  const pool_stats s = p.stats();
  const class_stats& n = stats_of(s, "named");
  CHECK(n.submitted == 800);
  CHECK(n.finished == 800);
  CHECK(n.missed == 0);
  CHECK(n.priority == 2);
  CHECK(n.weight == 9);
  CHECK(n.id == named.id());
  const class_stats& l = stats_of(s, "late");
  CHECK(l.finished == 20);
  CHECK(l.missed == 20);
  // "none" has no run times; else 20 tasks of 100 us at least
  if (std::string(s.clock) != "none") CHECK(l.run_time >= 2ms);
}

TEST_CASE("a task that waits for one of a class whose priority was lowered meanwhile runs it itself") {
  pool_options o = with_workers(1);
  o.spares = 0;
  o.outside_threads_help = false;
  pool p(o);
  const task_class before("changing", {.priority = 3});
  const int got = p.submit([&] {
    auto answer = p.submit(before, [] { return 42; });  // in a queue of the class: nobody is free to take it
    const task_class after("changing", {.priority = 0});
    p.detach(after, [] {});
    return answer.get();
  }).get();
  CHECK(got == 42);
  p.wait();
}

TEST_CASE("higher priorities go first, low ones are served all the same") {
  pool_options o = with_workers(1);
  o.spares = 0;
  o.outside_threads_help = false;
  pool p(o);
  task_class low("low", {.priority = 0}), normal("normal"), high("high", {.priority = 3});
  std::atomic<bool> go{false};
  p.detach([&] { go.wait(false); });
  std::vector<int> order;  // one worker
  for (int i = 0; i < 5; ++i) {
    p.detach(low, [&] { order.push_back(0); });
    p.detach(normal, [&] { order.push_back(1); });
    p.detach(high, [&] { order.push_back(3); });
  }
  go = true;
  go.notify_all();
  p.wait();
  REQUIRE(order.size() == 15);
  CHECK(std::vector<int>(order.begin(), order.begin() + 5) == std::vector<int>(5, 3));
  CHECK(std::vector<int>(order.begin() + 5, order.begin() + 10) == std::vector<int>(5, 1));

  // Aging: a stream of urgent tasks that never ends cannot starve a low one.
  std::atomic<bool> low_ran{false};
  std::function<void()> again = [&] {
    std::this_thread::sleep_for(1ms);
    if (!low_ran) p.detach(high, [&] { again(); });
  };
  for (int i = 0; i < 2; ++i) p.detach(high, [&] { again(); });
  auto patient = p.submit(low, [&] { low_ran = true; });
  CHECK(patient.wait_for(5s));
  low_ran = true;
  p.wait();
}
