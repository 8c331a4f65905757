// SPDX-License-Identifier: Apache-2.0
// Isolated groups: nothing unrelated runs inside wait(), and no lock-up for it.
#include "pools.h"

#include <doctest/doctest.h>
#include <mutex>
#include <thread>

using namespace tactus;
using namespace std::chrono_literals;
using test::quiet;

TEST_CASE("a worker in wait() runs tasks of the group and no other") {
  for (unsigned workers : {1u, 3u}) {
    pool p(quiet(workers));
    std::mutex held;  // an unrelated task in the same thread would lock it twice
    std::atomic<int> mine{0}, others{0};
    for (int round = 0; round < 50; ++round) {
      for (int i = 0; i < 4; ++i)
        p.detach([&] {
          std::lock_guard guard(held);
          isolated_group g(p);
          for (int k = 0; k < 6; ++k)
            g.run([&] {
              p.detach([&] {  // lands on top of the deque of whoever runs this
                std::lock_guard unrelated(held);
                ++others;
              });
              ++mine;
            });
          g.wait();
        });
      p.wait();
    }
    CHECK(mine == 50 * 4 * 6);
    CHECK(others == 50 * 4 * 6);
  }
}

TEST_CASE("groups nest, tasks add tasks, any waiter can wait inside") {
  pool p(quiet(2));
  std::atomic<int> n{0};
  p.submit([&] {
     isolated_group g(p);
     for (int i = 0; i < 20; ++i)
       g.run([&] {
         ++n;
         g.run([&] { ++n; });
         isolated_group inner(p);
         inner.run([&] { n += p.submit([] { return 1; }).get(); });
         inner.wait();
       });
     g.wait();
   }).get();
  CHECK(n == 60);
  isolated_group outside(p);
  for (int i = 0; i < 10; ++i) outside.run([&] { ++n; });
  outside.wait();
  CHECK(n == 70);
}

TEST_CASE("all workers waiting in isolation at once get through") {
  pool p(quiet(2));
  std::atomic<int> n{0};
  std::vector<future<void>> all;
  for (int i = 0; i < 8; ++i)
    all.push_back(p.submit([&] {
      isolated_group g(p);
      for (int k = 0; k < 50; ++k)
        g.run([&] {
          isolated_group inner(p);
          inner.run([&] { ++n; });
          inner.wait();
        });
      g.wait();
    }));
  for (auto& f : all) f.get();
  CHECK(n == 400);
}

TEST_CASE("exceptions and shutdown of an isolated group") {
  pool p(quiet(1));
  isolated_group g(p);
  std::atomic<int> ran{0};
  for (int i = 0; i < 10; ++i)
    g.run([&, i] {
      ++ran;
      if (i == 5) throw std::out_of_range("5");
    });
  CHECK_THROWS_AS(g.wait(), std::out_of_range);
  CHECK(ran == 10);
  g.wait();
  p.shutdown();
  CHECK_THROWS_AS(g.run([] {}), pool_stopped);
  g.wait();
}
