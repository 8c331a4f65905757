// SPDX-License-Identifier: Apache-2.0
// Timers: after and every, cancelling them, and what becomes of them at the end.
#include "pools.h"

#include <doctest/doctest.h>
#include <filesystem>
#include <fstream>
#include <thread>

using namespace tactus;
using namespace std::chrono_literals;
using test::quiet;
using steady = std::chrono::steady_clock;

namespace {

int threads_named(const std::string& part) {
  int n = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    std::getline(std::ifstream(task.path() / "comm") >> std::ws, name);
    n += name.find(part) != std::string::npos;
  }
  return n;
}

}  // namespace

TEST_CASE("after runs not before its time, in order of time") {
  pool p(quiet(1));
  const auto start = steady::now();
  std::vector<int> order;  // one worker
  auto c = p.after(60ms, [&] { order.push_back(3); });
  auto a = p.after(20ms, [&] { order.push_back(1); });
  auto b = p.after(40ms, [&] { order.push_back(2); });
  auto d = p.after(0ms, [&] { return order.push_back(0), 5; });
  CHECK(d.get() == 5);
  a.get();
  CHECK(steady::now() - start >= 20ms);
  c.get();
  CHECK(steady::now() - start >= 60ms);
  b.get();
  CHECK(order == std::vector<int>{0, 1, 2, 3});
  CHECK(p.after(-1s, [] { return 1; }).then([](int x) { return x + 1; }).get() == 2);
  CHECK_THROWS_AS(p.after(1ms, [] { throw 1; }).get(), int);
}

TEST_CASE("the timer thread exists from the first timer on") {
  pool_options o = quiet(1);
  o.name = "lazy";
  pool p(o);
  p.submit([] {}).get();
  CHECK(threads_named("lazy/timer") == 0);
  p.after(1ms, [] {}).get();
  CHECK(threads_named("lazy/timer") == 1);
  p.shutdown();
  CHECK(threads_named("lazy/timer") == 0);
}

TEST_CASE("every keeps its phase, does not overlap, and stops") {
  pool p(quiet(2));
  std::atomic<int> calls{0}, inside{0}, most{0};
  timer t = p.every(5ms, [&] {
    const int now = ++inside;
    if (now > most) most = now;
    if (calls == 1) std::this_thread::sleep_for(12ms);  // two come due meanwhile and are left out
    ++calls;
    --inside;
  });
  CHECK(t.active());
  while (calls < 5) std::this_thread::sleep_for(1ms);
  t.cancel();
  CHECK_FALSE(t.active());
  std::this_thread::sleep_for(20ms);
  const int then = calls;
  std::this_thread::sleep_for(20ms);
  CHECK(calls == then);
  CHECK(most == 1);
  CHECK_THROWS_AS((void)p.every(0ms, [] {}), std::invalid_argument);
}

TEST_CASE("a handle that goes waits for the call that runs") {
  pool p(quiet(1));
  for (int round = 0; round < 20; ++round) {
    std::atomic<bool> inside{false};
    auto alive = std::make_unique<int>(0);
    {
      timer t = p.every(1ms, [&] {
        inside = true;
        std::this_thread::sleep_for(1ms);
        ++*alive;
      });
      while (!inside) std::this_thread::yield();
    }
    alive.reset();  // nobody uses it any more
  }
}

TEST_CASE("a timer can end itself, by its handle or by throwing") {
  pool p(quiet(1));
  std::atomic<int> n{0};
  timer t;
  std::atomic<bool> ready{false};
  t = p.every(1ms, [&] {
    ready.wait(false);
    if (++n == 3) t = timer();
  });
  ready = true;
  ready.notify_all();
  while (n < 3) std::this_thread::sleep_for(1ms);
  std::this_thread::sleep_for(10ms);
  CHECK(n == 3);
  timer u = p.every(1ms, [] { throw std::out_of_range("tick"); });
  while (u.active()) std::this_thread::sleep_for(1ms);
  CHECK_THROWS_AS(p.wait(), std::out_of_range);
}

TEST_CASE("stop tokens cancel timers") {
  pool p(quiet(1));
  std::stop_source stop;
  auto f = p.after(1h, stoppable(stop.get_token(), [] { return 1; }));
  CHECK_FALSE(f.wait_for(5ms));
  stop.request_stop();
  CHECK_THROWS_AS(f.get(), cancelled);  // at once, not in an hour
  auto late = p.after(1h, stoppable(stop.get_token(), [] { return 1; }));
  CHECK_THROWS_AS(late.get(), cancelled);
  std::stop_source again;
  std::atomic<int> n{0};
  timer t = p.every(1ms, stoppable(again.get_token(), [&](std::stop_token) { ++n; }));
  while (n < 2) std::this_thread::sleep_for(1ms);
  again.request_stop();
  for (int i = 0; i < 5000 && t.active(); ++i) std::this_thread::sleep_for(1ms);
  CHECK_FALSE(t.active());
}

TEST_CASE("wait and shutdown do not wait for what is not due") {
  pool p(quiet(1));
  const auto start = steady::now();
  auto f = p.after(std::chrono::nanoseconds::max(), [] {});
  auto g = p.after(1h, [] { return 1; }).then([](int x) { return x; });
  timer t = p.every(1h, [] {});
  p.every(1ms, [] {}).detach();
  p.detach([] {});
  p.shutdown();
  CHECK(steady::now() - start < 60s);
  CHECK_THROWS_AS(f.get(), cancelled);
  CHECK_THROWS_AS(g.get(), cancelled);
  CHECK_FALSE(t.active());
  CHECK_THROWS_AS((void)p.after(1ms, [] {}), pool_stopped);
  CHECK_THROWS_AS((void)p.every(1ms, [] {}), pool_stopped);
}

TEST_CASE("many timers from many threads while some are cancelled") {
  pool p(quiet(2));
  std::atomic<int> n{0};
  std::vector<std::jthread> threads;
  for (int s = 0; s < 3; ++s)
    threads.emplace_back([&, s] {
      std::vector<future<void>> kept;
      for (int i = 0; i < 100; ++i) {
        kept.push_back(p.after(std::chrono::microseconds((i * 37 + s) % 2000), [&] { ++n; }));
        std::stop_source stop;
        auto f = p.after(std::chrono::microseconds(i % 3 * 500), stoppable(stop.get_token(), [] {}));
        stop.request_stop();
        try {
          f.get();
        } catch (const cancelled&) {
        }
      }
      for (auto& f : kept) f.get();
    });
  threads.clear();
  CHECK(n == 300);
}
