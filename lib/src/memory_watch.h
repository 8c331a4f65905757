// SPDX-License-Identifier: Apache-2.0
//
// Memory pressure: told by a trigger of the kernel's pressure stall information
// (PSI), so nothing is read or computed while there is none. The pool's thread
// for it sleeps in poll() until the kernel reports that tasks have been stalled on
// memory for 10 % of a window.
//
// While there is pressure (from a report until a window and a half after the last):
//   - a worker that takes a background task (priority 0) which nobody joins puts it
//     aside, once, until the pressure is over or k_longest_ms have passed
//   - batches and the parts of loops are smaller (pool_core::under_pressure())
// States: off (switched off, or no trigger could be set; status() says why) |
// calm <-> under pressure. In a child of fork() it is off.
//
// The file is that of our control group (memory.pressure, cgroup v2) where it may be
// written, else /proc/pressure/memory. A FIFO may be given in its place: each byte
// written to it is a report.
#ifndef TACTUS_SRC_MEMORY_WATCH_H
#define TACTUS_SRC_MEMORY_WATCH_H

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <mutex>
#include <pthread.h>
#include <string>

namespace tactus::detail {

class pool_core;
struct task;

// The PSI file of this process; root as in sizing.h.
std::string pressure_file_at(const std::string& root);

class memory_watch {
 public:
  // under_pressure: where to say so, read by the workers.
  memory_watch(pool_core& core, std::atomic<bool>& under_pressure) : core_(core), under_pressure_(under_pressure) {}
  memory_watch(const memory_watch&) = delete;
  memory_watch& operator=(const memory_watch&) = delete;
  ~memory_watch();

  // Sets the trigger and starts the thread; does neither where it is switched off
  // or has no rights. Throws std::system_error when the thread cannot be made.
  void start();
  // Joins the thread; what was put aside is visible to the workers then. Once is enough.
  void stop() noexcept;
  // By a worker: takes t over if it is to wait. False: run it.
  bool put_aside(task* t) noexcept;

  void before_fork() { lock_.lock(); }
  void after_fork() { lock_.unlock(); }

  std::string status() const;
  std::uint64_t deferred() const noexcept { return deferred_.load(std::memory_order_relaxed); }

  static constexpr std::chrono::milliseconds k_longest{1000};

 private:
  using clock = std::chrono::steady_clock;
  struct waiting {
    task* t;
    clock::time_point due;
  };
  bool set_trigger(const std::string& file);
  void run() noexcept;
  // How long poll() may sleep, ms; -1: until something comes.
  int until_next(clock::time_point now) const noexcept;
  void release(clock::time_point due_before) noexcept;
  void say(std::string text);

  pool_core& core_;
  std::atomic<bool>& under_pressure_;
  int fd_ = -1, wake_fd_ = -1;
  short event_ = 0;                       // of poll(): a report
  std::chrono::milliseconds lasts_{0};    // how long one report counts
  clock::time_point over_at_{};
  pthread_t thread_{};
  bool started_ = false;
  std::atomic<std::uint64_t> deferred_{0};

  mutable std::mutex lock_;
  std::deque<waiting> aside_;  // by `due`; under lock_
  bool closed_ = true;         // nothing may be put aside; under lock_
  std::string text_;           // under lock_
};

}  // namespace tactus::detail

#endif
