// SPDX-License-Identifier: Apache-2.0
// fork() in the middle of work: the child runs tasks inline, the parent goes on.
#include <tactus/tactus.hpp>

#include <doctest/doctest.h>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

using namespace tactus;
using namespace std::chrono_literals;

namespace {

pool_options two() {
  pool_options o;
  o.workers = 2;
  o.register_with_agent = false;
  return o;
}

// What the child does; its exit code is the number of the first thing that failed.
int child_uses(pool& p, const task_class& c) {
  int n = 0;
  if (p.submit(c, [&] { return ++n; }).get() != 1) return 1;
  p.detach(c, [&] { ++n; });
  if (n != 2) return 2;
  p.wait();
  task_group g(p);
  g.run([&] { ++n; });
  g.wait();
  if (n != 3) return 3;
  p.parallel_for(0, 100, [&](int) { ++n; });
  if (n != 103) return 4;
  try {
    p.submit([]() -> int { throw 5; }).get();
    return 5;
  } catch (int) {
  }
  if (p.registered()) return 6;
  p.shutdown();
  return 0;
}

}  // namespace

TEST_CASE("a child runs tasks inside submit; the parent is not disturbed") {
  pool p(two());
  task_class c("forked");
  std::atomic<int> ran{0};
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    while (!stop) {
      p.detach(c, [&] { ++ran; });
      std::this_thread::sleep_for(10us);
    }
  });
  for (int i = 0; i < 10; ++i) {
    std::this_thread::sleep_for(2ms);
    const pid_t child = fork();
    if (child == 0) _exit(child_uses(p, c));
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
  }
  stop = true;
  busy.join();
  p.wait();
  std::uint64_t submitted = 0, finished = 0;
  for (const auto& s : p.stats().classes) submitted += s.submitted, finished += s.finished;
  CHECK(submitted == finished);
  CHECK(ran == static_cast<int>(finished));
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // their own locks do not survive it
TEST_CASE("a child finds no lock taken that another thread held at the fork") {
  pool p(two());
  std::atomic<bool> stop{false};
  std::vector<std::thread> busy;
  busy.emplace_back([&] {  // in the middle of declaring classes, nearly always
    for (unsigned i = 0; !stop; ++i) (void)p.stats(), p.submit(task_class("c" + std::to_string(i % 50)), [] {}).get();
  });
  busy.emplace_back([&] {  // .. of keeping an error
    while (!stop) {
      p.detach([] { throw 1; });
      try {
        p.wait();
      } catch (int) {
      }
    }
  });
  for (int i = 0; i < 500; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      alarm(20);  // hangs: dies of it
      p.detach(task_class("child " + std::to_string(i)), [] { throw 2; });
      try {
        p.wait();
        _exit(1);
      } catch (int) {
      }
      (void)p.stats();
      (void)p.registration();
      _exit(p.submit([] { return 5; }).get() == 5 ? 0 : 2);
    }
    int status = -1;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(status == 0);
  }
  stop = true;
  for (auto& t : busy) t.join();
}
#endif

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_CASE("a child ends the parent's periodic tasks without waiting for the parent's threads") {
  pool p(two());
  std::atomic<bool> in_call{false}, go_on{false};
  std::atomic<int> calls{0};
  timer beat = p.every(100us, [&] {
    in_call = true;
    while (!go_on) std::this_thread::sleep_for(100us);
    ++calls;
  });
  timer quick = p.every(1us, [] {});  // its lock and the queue's are taken much of the time
  while (!in_call) std::this_thread::sleep_for(100us);
  int status = 0;
  for (int i = 0; i < 200 && status == 0; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      alarm(20);  // hangs: dies of it
      const bool was_active = beat.active() || quick.active();
      quick.cancel();
      beat = timer();  // a call runs, in the parent
      _exit(was_active ? 1 : 0);
    }
    if (waitpid(child, &status, 0) != child) status = -1;
  }
  go_on = true;  // whatever happened: the handle waits for the call
  CHECK(status == 0);
  CHECK(beat.active());
  for (int i = 0; i < 5000 && calls < 3; ++i) std::this_thread::sleep_for(1ms);
  CHECK(calls >= 3);
}
#endif

#if !defined(__SANITIZE_THREAD__)  // the thread sanitizer forbids threads in a forked child
TEST_CASE("a child can make a pool of its own") {
  pool p(two());
  p.submit([] {}).get();
  const pid_t child = fork();
  if (child == 0) {
    pool own(two());
    std::atomic<int> n{0};
    for (int i = 0; i < 100; ++i) own.detach([&] { ++n; });
    own.wait();
    _exit(n == 100 ? 0 : 1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}
#endif

TEST_CASE("a task may fork and exec") {
  pool p(two());
  CHECK(p.submit([] {
    const pid_t child = fork();
    if (child == 0) {
      execlp("true", "true", nullptr);
      _exit(127);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }).get() == 0);
}
