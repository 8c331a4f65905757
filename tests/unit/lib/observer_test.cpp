// SPDX-License-Identifier: Apache-2.0
// Observers see every task once, in order, with its times; and what becomes of
// tasks that missed their deadline.
#include "pools.h"

#include <doctest/doctest.h>
#include <map>
#include <mutex>
#include <thread>

using namespace tactus;
using namespace std::chrono_literals;
using test::blocker;
using test::quiet;

namespace {

struct recorder : observer {
  struct counts {
    int enqueued = 0, started = 0, finished = 0;
    std::map<task_outcome, int> outcomes;
    std::chrono::nanoseconds wait{0}, run{0};
  };
  std::mutex lock;
  std::map<std::string, counts, std::less<>> of;
  std::map<const void*, int> open;  // 1 enqueued, 2 started
  bool in_order = true;

  counts& at(const task_event& e) { return of[std::string(e.class_name)]; }
  void enqueued(const task_event& e) noexcept override {
    std::lock_guard guard(lock);
    ++at(e).enqueued;
    in_order = in_order && open[e.task] == 0;
    open[e.task] = 1;
  }
  void started(const task_event& e, std::chrono::nanoseconds) noexcept override {
    std::lock_guard guard(lock);
    ++at(e).started;
    in_order = in_order && open[e.task] == 1;
    open[e.task] = 2;
  }
  void finished(const task_event& e, std::chrono::nanoseconds wait, std::chrono::nanoseconds run,
                task_outcome outcome) noexcept override {
    std::lock_guard guard(lock);
    auto& c = at(e);
    ++c.finished;
    ++c.outcomes[outcome];
    c.wait += wait;
    c.run += run;
    in_order = in_order && open[e.task] > 0;
    open[e.task] = 0;
  }
};

pool_options observed(const std::shared_ptr<recorder>& eyes, unsigned workers = 2) {
  pool_options o = quiet(workers);
  o.observer = eyes;
  return o;
}

}  // namespace

TEST_CASE("every kind of task is seen, with wait and run time and outcome") {
  auto eyes = std::make_shared<recorder>();
  task_class c("seen", {.priority = 2});
  {
    pool p(observed(eyes));
    for (int i = 0; i < 50; ++i) p.detach(c, [] {});
    p.submit(c, [] { std::this_thread::sleep_for(3ms); }).get();
    CHECK_THROWS_AS(p.submit(c, [] { throw 1; }).get(), int);
    task_group g(p, c);
    for (int i = 0; i < 10; ++i) g.run([] {});
    g.wait();
    p.submit_bulk(c, 20, [](std::size_t) {}).then(c, [] {}).get();
    p.after(1ms, c, [] {}).get();
    p.detach([] {});
    p.wait();
  }
  auto& seen = eyes->of["seen"];
  CHECK(seen.enqueued == 50 + 2 + 10 + 21 + 1);
  CHECK(seen.started == seen.enqueued);
  CHECK(seen.finished == seen.enqueued);
  CHECK(seen.outcomes[task_outcome::failed] == 1);
  CHECK(seen.outcomes[task_outcome::done] == seen.enqueued - 1);
  CHECK(seen.run >= 3ms);
  CHECK(eyes->in_order);
  CHECK(eyes->of.size() == 2);
}

TEST_CASE("waiting is seen as waiting, cancelled tasks as cancelled") {
  auto eyes = std::make_shared<recorder>();
  task_class c("late");
  pool p(observed(eyes, 1));
  {
    blocker b(p);
    auto f = p.submit(c, [] {});
    std::this_thread::sleep_for(5ms);
    b.release();
    f.get();
  }
  CHECK(eyes->of["late"].wait >= 5ms);
  CHECK(eyes->of["late"].run < eyes->of["late"].wait);
  blocker b(p);
  for (int i = 0; i < 5; ++i) p.detach(c, [] {});
  std::thread stopper([&] { p.shutdown(stop_mode::cancel); });
  std::this_thread::sleep_for(20ms);
  b.release();
  stopper.join();
  CHECK(eyes->of["late"].outcomes[task_outcome::cancelled] == 5);
  CHECK(eyes->in_order);
}

TEST_CASE("a missed deadline: run anyway, drop with an exception of its own, call back") {
  std::atomic<int> called{0}, ran{0};
  std::atomic<bool> plausible{true};
  const auto on_missed = [&](std::chrono::nanoseconds late) {
    ++called;
    if (late <= 0ns || late > 1min) plausible = false;
  };
  task_class runs("runs", {.deadline = 1ms});
  task_class told("told", {.deadline = 1ms, .on_missed = on_missed});
  task_class dropped("dropped", {.deadline = 1ms, .missed = missed_policy::drop, .on_missed = on_missed});
  task_class patient("patient", {.deadline = 1h, .missed = missed_policy::drop, .on_missed = on_missed});
  auto eyes = std::make_shared<recorder>();
  for (bool watched : {false, true}) {
    called = ran = 0;
    pool p(watched ? observed(eyes, 1) : quiet(1));
    future<void> a, b, c, d;
    task_group g(p, dropped);
    {
      blocker hold(p);
      a = p.submit(runs, [&] { ++ran; });
      b = p.submit(told, [&] { ++ran; });
      c = p.submit(dropped, [&] { ++ran; });
      d = p.submit(patient, [&] { ++ran; });
      p.detach(dropped, [&] { ++ran; });
      g.run([&] { ++ran; });
      std::this_thread::sleep_for(5ms);
    }
    a.get();
    b.get();
    CHECK_THROWS_AS(c.get(), deadline_missed);
    d.get();
    CHECK_THROWS_AS(g.wait(), deadline_missed);
    p.wait();  // the detached one is no error
    CHECK(ran == 3);
    CHECK(called == 4);
    for (const auto& s : p.stats().classes) {
      if (s.name == "runs" || s.name == "told") CHECK(s.missed == 1);
      if (s.name == "dropped") CHECK(s.missed == 3);
      if (s.name == "patient") CHECK(s.missed == 0);
      CHECK(s.submitted == s.finished);
    }
  }
  CHECK(plausible);
  CHECK(eyes->of["dropped"].outcomes[task_outcome::missed] == 3);
  CHECK(eyes->of["told"].outcomes[task_outcome::done] == 1);
  CHECK(eyes->in_order);
}
