// SPDX-License-Identifier: Apache-2.0
//
// Rule 5: the scheduler is forced out with work in flight and nothing is lost. A pool of registered
// workers eats 100,000 tasks from one queue, taking turns sleeping and running, while the scheduler
// is unloaded, ejected by SysRq-S, and thrown out by a CPU that goes offline and comes back; after
// each it is loaded again, and the workers are managed at once, without registering anew.
#include <condition_variable>
#include <memory>
#include <mutex>

#include "kernel_tests.h"
#include "support.h"

namespace tactus::vmtest {
namespace {

constexpr unsigned k_slot = 1, k_workers = 6, k_tasks = 100'000;

// The plainest pool there is: a bounded queue of numbers, each to be seen exactly once.
class task_queue {
 public:
  void push(unsigned task) {
    std::unique_lock lock(mutex_);
    not_full_.wait(lock, [&] { return waiting_ < k_most; });
    ring_[(next_ + waiting_++) % k_most] = task;
    not_empty_.notify_one();
  }
  // False when closed and empty.
  bool pop(unsigned& task) {
    std::unique_lock lock(mutex_);
    not_empty_.wait(lock, [&] { return waiting_ || closed_; });
    if (!waiting_) return false;
    task = ring_[next_];
    next_ = (next_ + 1) % k_most;
    --waiting_;
    not_full_.notify_one();
    return true;
  }
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    not_empty_.notify_all();
  }

 private:
  static constexpr unsigned k_most = 256;
  std::mutex mutex_;
  std::condition_variable not_empty_, not_full_;
  std::array<unsigned, k_most> ring_{};
  unsigned next_ = 0, waiting_ = 0;
  bool closed_ = false;
};

bool wait_for_state(const char* state, std::uint64_t limit_ns) {
  const std::uint64_t end = now_ns() + limit_ns;
  while (now_ns() < end) {
    if (read_file("/sys/kernel/sched_ext/state") == state) return true;
    sleep_ns(20'000'000);
  }
  return false;
}

std::uint64_t decisions(const maps& m) {
  const tactus_stats s = m.stats();
  std::uint64_t sum = 0;
  for (const std::uint64_t d : s.decisions) sum += d;
  return sum;
}

class run_of_tasks {
 public:
  explicit run_of_tasks(maps& m) : pool_(m, 7, k_workers), seen_(k_tasks) {
    for (unsigned i = 0; i < k_workers; ++i) {
      pool_.set_tag(i, k_slot);
      workers_[i] = std::thread([this, i] {
        tids_[i].store(this_tid());
        tids_[i].notify_all();
        unsigned task;
        while (queue_.pop(task)) {
          burn_cpu_ns(20'000);
          ++seen_[task];
          record(pool_.page(i), k_slot, 1, 20'000);
          finished.fetch_add(1, std::memory_order_relaxed);
        }
      });
      tids_[i].wait(0);
      pool_.adopt(tids_[i], i);
    }
    // Slow enough that tasks are there through all that follows; in the end the rest at full speed.
    feeder_ = std::thread([this] {
      for (unsigned task = 0; task < k_tasks; ++task) {
        queue_.push(task);
        if (task % 64 == 0 && !hurry) sleep_ns(30'000'000);
      }
      queue_.close();
    });
  }
  void join() {
    hurry = true;
    feeder_.join();
    for (std::thread& w : workers_) w.join();
  }
  unsigned not_once() const {
    unsigned n = 0;
    for (const unsigned char s : seen_) n += s != 1;
    return n;
  }
  bool goes_on(const char* what) {
    const unsigned before = finished;
    for (unsigned i = 0; i < 100 && finished == before; ++i) sleep_ns(20'000'000);
    return expect(finished > before || finished == k_tasks, "%s: tasks go on (%u so far)", what, finished.load());
  }
  std::atomic<unsigned> finished{0};
  std::atomic<bool> hurry{false};

 private:
  test_pool pool_;
  task_queue queue_;
  std::vector<unsigned char> seen_;
  std::array<std::atomic<int>, k_workers> tids_{};
  std::array<std::thread, k_workers> workers_;
  std::thread feeder_;
};

void load_again(maps& m, const char* what) {
  const std::uint64_t generation = m.control->generation;
  const int code = run("tactus load 2>&1");
  expect(code == 0 && scheduler_enabled(), "%s: loaded again", what);
  expect(m.control->generation == generation + 1, "%s: the generation has moved by one", what);
  const std::uint64_t before = decisions(m);
  sleep_ns(300'000'000);
  const std::uint64_t made = decisions(m) - before;
  expect(made > 10, "%s: workers are managed again without registering (%llu decisions)", what, static_cast<unsigned long long>(made));
}

}  // namespace

int test_ejection(const arguments&) {
  const char* cpu = "/sys/devices/system/cpu/cpu1/online";
  maps m;
  m.set_class(k_slot, true);
  m.set_rows(k_slot, distribution::hold());  // some always wait in queues of the scheduler
  m.agent_alive();
  const std::uint64_t before = decisions(m);
  run_of_tasks tasks(m);
  sleep_ns(300'000'000);
  expect(decisions(m) > before, "the workers are managed");

  expect(run("tactus unload 2>&1") == 0 && wait_for_state("disabled", 10'000'000'000),
         "unload with work in flight");
  tasks.goes_on("after unload");
  load_again(m, "after unload");

  expect(write_file("/proc/sysrq-trigger", "S") && wait_for_state("disabled", 10'000'000'000), "ejected by SysRq-S");
  tasks.goes_on("after SysRq-S");
  load_again(m, "after SysRq-S");

  expect(write_file(cpu, "0") && wait_for_state("disabled", 10'000'000'000), "a CPU goes offline: the kernel takes the scheduler out");
  tasks.goes_on("after CPU offline");
  load_again(m, "after CPU offline");
  expect(write_file(cpu, "1") && wait_for_state("disabled", 10'000'000'000), "the CPU comes back: out again");
  tasks.goes_on("after CPU online");
  load_again(m, "after CPU online");

  tasks.join();
  expect(tasks.finished == k_tasks && tasks.not_once() == 0, "%u of %u tasks finished, %u not exactly once",
         tasks.finished.load(), k_tasks, tasks.not_once());
  return finish();
}

}  // namespace tactus::vmtest
