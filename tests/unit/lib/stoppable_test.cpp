// SPDX-License-Identifier: Apache-2.0
// Stop tokens: in submit, detach, groups and loops; the pool's own token.
#include "pools.h"

#include <doctest/doctest.h>
#include <thread>

using namespace tactus;
using namespace std::chrono_literals;
using test::blocker;
using test::quiet;

TEST_CASE("a stopped task does not start; what runs sees its token") {
  pool p(quiet(1));
  std::stop_source stop;
  std::atomic<bool> started{false};
  auto running = p.submit(stoppable(stop.get_token(), [&](std::stop_token t) {
    started = true;
    while (!t.stop_requested()) std::this_thread::yield();
    return 5;
  }));
  auto waiting = p.submit(stoppable(stop.get_token(), [] { return 1; }));
  while (!started) std::this_thread::yield();
  stop.request_stop();
  CHECK(running.get() == 5);
  CHECK_THROWS_AS(waiting.get(), cancelled);
  CHECK(p.submit(stoppable({}, [] { return 3; })).get() == 3);  // a token that nobody can stop
}

TEST_CASE("stopped detached and grouped tasks are skipped without an error") {
  pool p(quiet(1));
  std::stop_source stop;
  std::atomic<int> ran{0};
  task_group g(p);
  {
    blocker b(p);
    p.detach(stoppable(stop.get_token(), [&] { ++ran; }));
    g.run(stoppable(stop.get_token(), [&](std::stop_token) { ++ran; }));
    g.run([&] { ++ran; });
    stop.request_stop();
  }
  g.wait();
  p.wait();
  CHECK(ran == 1);
}

TEST_CASE("a task may give up half-way by throwing cancelled") {
  pool p(quiet(1));
  auto f = p.submit([]() -> int { throw cancelled("it was too long"); });
  try {
    f.get();
    FAIL("no exception");
  } catch (const cancelled& e) {
    CHECK(std::string(e.what()) == "task cancelled: it was too long");
  }
}

TEST_CASE("a loop ends soon after its token is stopped") {
  pool p(quiet(2));
  for (bool by_part : {false, true}) {
    std::stop_source stop;
    std::atomic<int> n{0};
    const auto body = [&](int) {
      if (++n == 100) stop.request_stop();
    };
    if (by_part)
      CHECK_THROWS_AS(p.parallel_for(0, 1'000'000, stoppable(stop.get_token(), [&](int from, int to) {
        for (int i = from; i < to; ++i) body(i);
      })), cancelled);
    else
      CHECK_THROWS_AS(p.parallel_for(0, 1'000'000, stoppable(stop.get_token(), body)), cancelled);
    CHECK(n >= 100);
    CHECK(n < 1'000'000);
  }
}

TEST_CASE("shutdown(cancel) stops the token of tasks that take one") {
  pool p(quiet(1));
  std::atomic<bool> started{false};
  auto f = p.submit([&](std::stop_token t) {
    started = true;
    while (!t.stop_requested()) std::this_thread::yield();
    return 1;
  });
  while (!started) std::this_thread::yield();
  CHECK_FALSE(p.stop_token().stop_requested());
  p.shutdown(stop_mode::cancel);
  CHECK(p.stop_token().stop_requested());
  CHECK(f.get() == 1);
}

TEST_CASE("a refused shutdown stops nothing") {
  pool p(quiet(1));
  CHECK_THROWS_AS(p.submit([&] { p.shutdown(stop_mode::cancel); }).get(), std::logic_error);
  CHECK_FALSE(p.stop_token().stop_requested());
}
