// SPDX-License-Identifier: Apache-2.0
// Continuations: then, when_all, when_any, whoever ends first, and with errors.
#include "pools.h"

#include <doctest/doctest.h>
#include <string>
#include <thread>

using namespace tactus;
using namespace std::chrono_literals;
using test::blocker;
using test::quiet;

TEST_CASE("then runs with the value, before and after the predecessor has ended") {
  pool p(quiet());
  for (bool late : {false, true}) {
    auto f = p.submit([] { return 20; });
    if (late) f.wait();
    auto g = std::move(f).then([](int x) { return x + 1; }).then([](int x) { return std::to_string(2 * x); });
    CHECK_FALSE(f.valid());
    CHECK(g.get() == "42");
  }
  int n = 0;
  p.submit([&] { n = 1; }).then([&] { n += 1; }).then([&] { n *= 21; }).get();
  CHECK(n == 42);
  CHECK(*p.submit([] { return std::make_unique<int>(1); }).then([](std::unique_ptr<int> x) {
    ++*x;
    return x;
  }).get() == 2);
  int& back = p.submit([&]() -> int& { return n; }).then([](int& x) -> int& { return x; }).get();
  CHECK(&back == &n);
}

TEST_CASE("an exception passes continuations by, unless one takes the future") {
  pool p(quiet());
  bool called = false;
  auto f = p.submit([]() -> int { throw std::out_of_range("x"); }).then([&](int x) { return called = true, x; });
  CHECK_THROWS_AS(f.get(), std::out_of_range);
  CHECK_FALSE(called);
  const int x = p.submit([]() -> int { throw std::out_of_range("x"); })
                    .then([](future<int> failed) {
                      CHECK(failed.ready());
                      try {
                        return failed.get();
                      } catch (const std::out_of_range&) {
                        return -1;
                      }
                    })
                    .get();
  CHECK(x == -1);
  auto g = p.submit([] {}).then([] { throw 5; });
  CHECK_THROWS_AS(g.get(), int);
}

TEST_CASE("a continuation has the class it was given, else its call site's") {
  pool p(quiet());
  task_class named("after that", {.priority = 2});
  p.submit([] {}).then(named, [] {}).then([] {}).get();
  p.wait();
  std::uint64_t finished = 0;
  for (const auto& c : p.stats().classes) {
    CHECK(c.submitted == c.finished);
    finished += c.finished;
    if (c.name == "after that") CHECK(c.finished == 1);
  }
  CHECK(finished == 3);
}

TEST_CASE("the pool waits for continuations, also in its destructor") {
  std::atomic<int> n{0};
  for (int round = 0; round < 300; ++round) {
    pool_options o = quiet(1);
    o.outside_threads_help = round % 2;
    pool p(o);
    auto f = p.submit([&] { ++n; }).then([&] { ++n; }).then([&] { ++n; });
    if (round % 3 == 0) {
      p.wait();
      CHECK(f.ready());
      CHECK(n == 3 * round + 3);
    }
  }
  CHECK(n == 900);
}

TEST_CASE("cancelled predecessors cancel what follows") {
  pool p(quiet(1));
  future<int> f;
  bool called = false;
  {
    blocker b(p);
    f = p.submit([] { return 1; }).then([&](int x) { return called = true, x; });
    std::thread stopper([&] { p.shutdown(stop_mode::cancel); });
    std::this_thread::sleep_for(20ms);
    b.release();
    stopper.join();
  }
  CHECK_THROWS_AS(f.get(), cancelled);
  CHECK_FALSE(called);
}

TEST_CASE("a worker that waits for a chain runs it, whatever the priorities") {
  task_class low("low", {.priority = 0}), high("high", {.priority = 3});
  pool p(quiet(1));
  const int x = p.submit(high, [&] {
                   auto f = p.submit(low, [] { return 1; }).then(high, [](int v) { return v + 1; });
                   auto g = when_all(p.submit(low, [] { return 40; }), std::move(f));
                   auto both = g.get();
                   return std::get<0>(both).get() + std::get<1>(both).get();
                 }).get();
  CHECK(x == 42);
}

TEST_CASE("when_all is ready when the last is, and keeps every result") {
  pool p(quiet());
  auto sum = when_all(p.submit([] { return 1; }), p.submit([] { return 2.5; }), p.submit([] {}))
                 .then([](auto all) { return std::get<0>(all).get() + std::get<1>(all).get(); });
  CHECK(sum.get() == 3.5);
  for (int n : {0, 1, 50}) {
    std::vector<future<int>> parts;
    for (int i = 0; i < n; ++i)
      parts.push_back(p.submit([i] {
        if (i == 7) throw i;
        return i;
      }));
    int total = 0, failed = 0;
    for (auto& f : when_all(std::move(parts)).get()) {
      CHECK(f.ready());
      try {
        total += f.get();
      } catch (int i) {
        failed += i;
      }
    }
    CHECK(total == (n == 50 ? 49 * 25 - 7 : 0));
    CHECK(failed == (n == 50 ? 7 : 0));
  }
  CHECK(when_all(std::vector<future<int>>{}).then([](auto none) { return none.size(); }).get() == 0);
}

TEST_CASE("when_any is ready with the first, the others stay usable") {
  pool p(quiet(2));
  for (int round = 0; round < 200; ++round) {
    std::atomic<bool> go{false};
    auto slow = p.submit([&] { return go.wait(false), 1; });
    auto quick = p.submit([] { return 2; });
    auto any = when_any(std::move(slow), std::move(quick)).get();
    CHECK(any.index == 1);
    CHECK(std::get<1>(any.futures).get() == 2);
    auto& rest = std::get<0>(any.futures);
    CHECK_FALSE(rest.ready());
    if (round % 2) {
      std::jthread releaser([&] {
        std::this_thread::yield();
        go = true;
        go.notify_all();
      });
      CHECK(rest.get() == 1);
    } else {
      auto next = std::move(rest).then([](int x) { return x + 1; });
      go = true;
      go.notify_all();
      CHECK(next.get() == 2);
    }
    std::this_thread::yield();
    p.wait();
  }
  CHECK_THROWS_AS(when_any(std::vector<future<int>>{}), std::invalid_argument);
}

TEST_CASE("when_any of many that end at once") {
  pool p(quiet(3));
  for (int round = 0; round < 200; ++round) {
    std::vector<future<int>> all;
    for (int i = 0; i < 8; ++i) all.push_back(p.submit([i] { return i; }));
    auto any = when_any(std::move(all)).get();
    CHECK(any.futures[any.index].ready());
    int sum = 0;
    for (auto& f : any.futures) sum += f.get();
    CHECK(sum == 28);
  }
}

TEST_CASE("long chains neither nest nor grow") {
  pool p(quiet());
  future<long> f = p.submit([] { return 0l; });
  for (int i = 0; i < 10'000; ++i) f = std::move(f).then([](long x) { return x + 1; });
  CHECK(f.get() == 10'000);
}

TEST_CASE("then on nothing is an error") {
  future<int> none;
  CHECK_THROWS_AS((void)std::move(none).then([](int x) { return x; }), std::logic_error);
}
