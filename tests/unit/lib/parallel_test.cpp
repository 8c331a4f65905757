// SPDX-License-Identifier: Apache-2.0
// Reductions, parallel_invoke and bulk submission.
#include "pools.h"

#include <doctest/doctest.h>
#include <set>
#include <string>
#include <thread>

using namespace tactus;
using namespace std::chrono_literals;
using test::blocker;
using test::quiet;

TEST_CASE("parallel_reduce sums every index once, whatever the range") {
  for (unsigned workers : {1u, 2u, 5u}) {
    pool p(quiet(workers));
    for (long n : {0l, 1l, 2l, 127l, 128l, 129l, 1000l, 99'999l})
      CHECK(p.parallel_reduce(0l, n, 0l, [](long i) { return i; }, std::plus<>{}) == n * (n - 1) / 2);
    CHECK(p.parallel_reduce(-50, 51, 0, [](int i) { return i; }, std::plus<>{}) == 0);
    CHECK(p.parallel_reduce<std::int8_t>(-128, 127, 0, [](std::int8_t i) { return int{i}; }, std::plus<>{}) == -255);
    CHECK(p.parallel_reduce(5, 3, 17, [](int) { return 1; }, std::plus<>{}) == 17);
    const long by_part = p.parallel_reduce(0l, 5000l, 0l, [](long from, long to, long sum) {
      for (long i = from; i < to; ++i) sum += i;
      return sum;
    }, std::plus<>{});
    CHECK(by_part == 2500l * 4999);
  }
}

TEST_CASE("parallel_reduce keeps the order and the grouping, so any number of workers has the same result") {
  std::set<double> sums;
  std::set<std::string> texts;
  for (unsigned workers : {1u, 2u, 3u, 7u}) {
    pool p(quiet(workers));
    for (int repeat = 0; repeat < 5; ++repeat) {
      sums.insert(p.parallel_reduce(1, 100'000, 0.0, [](int i) { return 1.0 / i; }, std::plus<>{}));
      texts.insert(p.parallel_reduce(0, 300, std::string(), [](int i) { return std::to_string(i % 10); }, std::plus<>{}));
    }
  }
  CHECK(sums.size() == 1);
  REQUIRE(texts.size() == 1);
  CHECK(texts.begin()->substr(0, 12) == "012345678901");
  CHECK(texts.begin()->size() == 300);
}

TEST_CASE("parallel_reduce of large and of move-only-by-habit results, and of exceptions") {
  pool p(quiet(3));
  using histogram = std::array<int, 64>;
  const histogram h = p.parallel_reduce(0, 6400, histogram{}, [](int from, int to, histogram so_far) {
    for (int i = from; i < to; ++i) ++so_far[static_cast<std::size_t>(i % 64)];
    return so_far;
  }, [](histogram a, const histogram& b) {
    for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
    return a;
  });
  for (int n : h) CHECK(n == 100);
  CHECK(p.parallel_reduce(0, 1000, false, [](int i) { return i == 777; }, std::logical_or<>{}));
  CHECK_THROWS_AS(p.parallel_reduce(0, 1000, 0, [](int i) { return i == 99 ? throw i : i; }, std::plus<>{}), int);
}

TEST_CASE("parallel_invoke runs all, and nests") {
  task_class c("invoke");
  for (unsigned workers : {1u, 3u}) {
    pool p(quiet(workers));
    int a = 0, b = 0, d = 0, e = 0;
    p.parallel_invoke([&] { a = 1; }, [&] { b = 2; });
    CHECK(a + b == 3);
    p.parallel_invoke([&] { a = 10; }, [&] { b = 20; }, [&] { d = 30; });
    CHECK(a + b + d == 60);
    p.parallel_invoke([&] { a = 1; }, [&] { p.parallel_invoke([&] { b = 1; }, [&] { d = 1; }); }, [&] { e = 1; },
                      [] {});
    CHECK(a + b + d + e == 4);
    std::atomic<int> n{0};
    auto one = [&] { ++n; };
    p.parallel_invoke(c, one, one, one, one, one, one);
    CHECK(n == 6);
    p.parallel_invoke(c, one);
    CHECK(n == 7);
  }
}

TEST_CASE("parallel_invoke waits for all before it throws the first exception") {
  pool p(quiet());
  std::atomic<int> ended{0};
  const auto slow = [&] {
    std::this_thread::sleep_for(5ms);
    ++ended;
  };
  CHECK_THROWS_AS(p.parallel_invoke(slow, slow, [] { throw std::domain_error("last"); }), std::domain_error);
  CHECK(ended == 2);
  CHECK_THROWS_AS(p.parallel_invoke([] { throw 1; }, slow), int);
  CHECK(ended == 3);
}

TEST_CASE("bulk submission runs every index once, from outside and from a task") {
  task_class other("other", {.priority = 2});
  for (unsigned workers : {1u, 3u}) {
    pool p(quiet(workers));
    for (std::size_t n : {0u, 1u, 2u, 17u, 5000u}) {
      std::vector<std::atomic<int>> hits(n);
      p.submit_bulk(n, [&](std::size_t i) { ++hits[i]; }).get();
      p.detach_bulk(n, [&](std::size_t i) { ++hits[i]; });
      p.submit([&] { p.submit_bulk(n, [&](std::size_t i) { ++hits[i]; }).get(); }).get();
      p.submit([&] { p.submit_bulk(other, n, [&](std::size_t i) { ++hits[i]; }).get(); }).get();
      p.wait();
      bool all = true;
      for (auto& h : hits) all = all && h == 4;
      CHECK_MESSAGE(all, n);
    }
    for (const auto& c : p.stats().classes) {
      CHECK(c.submitted == c.finished);
      if (c.name == "other") CHECK(c.finished == 5020);
    }
  }
}

TEST_CASE("a bulk wakes as many workers as it has tasks for") {
  pool p(quiet(3));
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> inside{0};
    p.submit_bulk(3, [&](std::size_t) {  // all three must be inside at once to end
       ++inside;
       inside.notify_all();
       for (int n = inside; n < 3; n = inside) inside.wait(n);
     }).get();
    if (round % 4 == 0) std::this_thread::sleep_for(1ms);
  }
}

TEST_CASE("exceptions of a bulk: the first reaches the future, detached ones reach wait") {
  pool p(quiet());
  std::atomic<int> ran{0};
  auto f = p.submit_bulk(100, [&](std::size_t i) {
    ++ran;
    if (i == 40) throw std::out_of_range("40");
  });
  CHECK_THROWS_AS(f.get(), std::out_of_range);
  CHECK(ran == 100);
  p.detach_bulk(10, [](std::size_t i) {
    if (i == 3) throw 3;
  });
  CHECK_THROWS_AS(p.wait(), int);
  auto chained = p.submit_bulk(10, [&](std::size_t) { ++ran; }).then([&] { return ran.load(); });
  CHECK(chained.get() == 110);
}

TEST_CASE("a bulk that is cancelled or refused says so") {
  pool p(quiet(1));
  future<void> f;
  {
    blocker b(p);
    f = p.submit_bulk(10, [](std::size_t) { FAIL("was cancelled"); });
    std::thread stopper([&] { p.shutdown(stop_mode::cancel); });
    std::this_thread::sleep_for(20ms);
    b.release();
    stopper.join();
  }
  CHECK_THROWS_AS(f.get(), cancelled);
  CHECK_THROWS_AS(p.detach_bulk(3, [](std::size_t) {}), pool_stopped);
  CHECK_THROWS_AS((void)p.submit_bulk(3, [](std::size_t) {}), pool_stopped);
}
