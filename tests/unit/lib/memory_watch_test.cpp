// SPDX-License-Identifier: Apache-2.0
// Memory pressure: which file, which trigger, what waits and for how long; reports come through a FIFO.
#include "memory_watch.h"
#include "pools.h"

#include <chrono>
#include <cstdio>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

using namespace tactus;
using namespace std::chrono_literals;

namespace {

// A folder of this test, gone at its end.
struct folder {
  std::filesystem::path path = std::filesystem::temp_directory_path() / ("tactus-memory-" + std::to_string(getpid()));
  folder() { std::filesystem::create_directories(path); }
  ~folder() { std::filesystem::remove_all(path); }
  void write(const std::string& file, const std::string& text) const {
    std::filesystem::create_directories((path / file).parent_path());
    std::ofstream(path / file) << text;
  }
};

// A source of reports, in the place of the kernel.
class reports {
 public:
  explicit reports(const folder& in) : path_(in.path / "reports") {
    REQUIRE(mkfifo(path_.c_str(), 0600) == 0);
    fd_ = open(path_.c_str(), O_RDWR | O_CLOEXEC);
    REQUIRE(fd_ >= 0);
  }
  ~reports() { close(fd_); }
  pool_options pool() const {
    pool_options o = test::quiet(1);
    o.watch_memory = true;
    o.memory_pressure_file = path_;
    return o;
  }
  void report() const { REQUIRE(write(fd_, "x", 1) == 1); }

 private:
  std::string path_;
  int fd_;
};

template <class Condition>
bool soon(Condition condition) {
  const auto until = std::chrono::steady_clock::now() + 20s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

}  // namespace

TEST_CASE("the file is that of the control group where it may be written, else the machine's") {
  const folder tree;
  const std::string root = tree.path;
  CHECK(detail::pressure_file_at(root) == root + "/proc/pressure/memory");
  tree.write("proc/self/cgroup", "0::/app/worker\n");
  tree.write("proc/self/mountinfo", "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  CHECK(detail::pressure_file_at(root) == root + "/proc/pressure/memory");
  tree.write("sys/fs/cgroup/app/worker/memory.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");
  CHECK(detail::pressure_file_at(root) == root + "/sys/fs/cgroup/app/worker/memory.pressure");
}

TEST_CASE("the trigger is 10 % of a second; the status says what is watched") {
  const folder tree;
  tree.write("memory", std::string(40, '.'));
  const std::string file = tree.path / "memory";
  pool_options o = test::quiet(1);
  o.watch_memory = true;
  o.memory_pressure_file = file;
  {
    pool p(o);
    CHECK(p.stats().memory == "watching " + file);
  }
  std::string text;
  std::getline(std::ifstream(file), text, '\0');
  CHECK(text == "some 100000 1000000");
}

TEST_CASE("without the file, or switched off, the pool runs and says so") {
  pool_options o = test::quiet(1);
  CHECK(pool(o).stats().memory == "watching memory pressure is switched off");
  o.watch_memory = true;
  o.memory_pressure_file = "/nonexistent/memory.pressure";
  pool p(o);
  CHECK(p.stats().memory == "not watching memory pressure: /nonexistent/memory.pressure: No such file or directory");
  CHECK(p.submit([] { return 1; }).get() == 1);
  CHECK_FALSE(p.stats().memory_pressure);
}

TEST_CASE("under pressure background tasks wait, others do not, and joined ones do not") {
  const folder tree;
  const reports kernel(tree);
  pool p(kernel.pool());
  task_class background("background", {.priority = 0}), normal("normal");
  const auto stalled = [&] { return p.stats().memory_pressure; };
  CHECK_FALSE(stalled());
  kernel.report();
  REQUIRE(soon(stalled));
  std::atomic<bool> background_ran{false};
  p.detach(background, [&] { background_ran = true; });
  REQUIRE(soon([&] { return p.stats().deferred == 1; }));
  CHECK(p.submit(normal, [] { return 2; }).get() == 2);
  int joined = 0;
  p.submit(normal, [&] {
     task_group group(p, background);
     group.run([&] { ++joined; });
     group.wait();
   }).get();
  CHECK(joined == 1);
  CHECK(p.stats().deferred == 1);
  // One report counts for 1.5 s, and a task waits a second at most.
  REQUIRE(soon([&] { return !stalled(); }));
  REQUIRE(soon([&] { return background_ran.load(); }));
  CHECK(p.submit(background, [] { return 3; }).get() == 3);  // nothing waits without pressure
  CHECK(p.stats().deferred == 1);
}

TEST_CASE("pressure that does not end holds a background task back for a second, once") {
  const folder tree;
  const reports kernel(tree);
  pool p(kernel.pool());
  task_class background("background", {.priority = 0});
  std::atomic<bool> stop{false};
  std::thread endless([&] {
    while (!stop) {
      kernel.report();
      std::this_thread::sleep_for(50ms);
    }
  });
  REQUIRE(soon([&] { return p.stats().memory_pressure; }));
  const auto begin = std::chrono::steady_clock::now();
  auto f = p.submit(background, [] {});
  f.get();
  CHECK(std::chrono::steady_clock::now() - begin >= detail::memory_watch::k_longest - 10ms);
  CHECK(p.stats().memory_pressure);
  CHECK(p.stats().deferred == 1);
  stop = true;
  endless.join();
}

TEST_CASE("a pool that shuts down under pressure runs what was put aside") {
  const folder tree;
  const reports kernel(tree);
  std::atomic<int> ran{0};
  {
    pool p(kernel.pool());
    task_class background("background", {.priority = 0});
    kernel.report();
    REQUIRE(soon([&] { return p.stats().memory_pressure; }));
    for (int i = 0; i < 100; ++i) p.detach(background, [&] { ++ran; });
    REQUIRE(soon([&] { return p.stats().deferred > 0; }));
  }
  CHECK(ran == 100);
}

TEST_CASE("parts of loops are smaller under pressure") {
  const folder tree;
  const reports kernel(tree);
  pool_options o = kernel.pool();
  o.workers = 2;
  pool p(o);
  task_class loop("loop");
  const auto parts = [&] {
    std::atomic<int> n{0};
    p.parallel_for(0, 4000, [&](int from, int to) {
      ++n;
      const auto until = std::chrono::steady_clock::now() + (to - from) * 5us;
      while (std::chrono::steady_clock::now() < until) {
      }
    }, loop);
    return n.load();
  };
  parts();  // learns the cost
  const int calm = parts();
  kernel.report();
  REQUIRE(soon([&] { return p.stats().memory_pressure; }));
  const int stalled = parts();
  CHECK(stalled > calm * 2);
}
