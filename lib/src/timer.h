// SPDX-License-Identifier: Apache-2.0
//
// The timers of one pool: a list ordered by time and one thread that sleeps until
// the first of them is due, started with the first timer.
#ifndef TACTUS_SRC_TIMER_H
#define TACTUS_SRC_TIMER_H

#include <tactus/submission.hpp>

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <pthread.h>
#include <string>
#include <thread>
#include <unistd.h>

namespace tactus::detail {

using timer_clock = std::chrono::steady_clock;

// The process that made it. A child of fork() has its memory, but not its threads: it must neither wait for
// them nor take a lock that one of them may have held.
class made_by {
 public:
  bool a_parent() const noexcept { return getpid() != pid_; }

 private:
  pid_t pid_ = getpid();
};

// Something that is due at a time. Each gets exactly one of the two calls.
class timer_item {
 public:
  virtual ~timer_item() = default;
  virtual void due() noexcept = 0;
  virtual void dropped() noexcept = 0;  // taken out before it was due: cancelled, or the pool stops
};

// Thread-safe. Items are called without the lock.
class timer_queue {
 public:
  using position = std::multimap<timer_clock::time_point, std::shared_ptr<timer_item>>::iterator;

  // Throws std::system_error.
  explicit timer_queue(const std::string& thread_name);
  ~timer_queue() { stop(); }

  // False, and nothing else, when the queue has been stopped.
  bool add(timer_clock::time_point due, const std::shared_ptr<timer_item>& item);
  // Takes it out and drops it; false when it is not (or no longer) in the queue, or the queue is a parent's.
  bool remove(const timer_item* item) noexcept;
  void stop() noexcept;  // joins the thread and drops what is left; more than once is fine

 private:
  void run() noexcept;

  const made_by made_;
  std::mutex lock_;
  std::condition_variable changed_;
  std::multimap<timer_clock::time_point, std::shared_ptr<timer_item>> items_;
  bool stopped_ = false;
  std::mutex join_lock_;
  std::thread thread_;
};

}  // namespace tactus::detail

#endif
