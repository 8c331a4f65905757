// SPDX-License-Identifier: Apache-2.0
//
// Keeps a pool registered with the agent, in a thread of its own: connects,
// names the workers and classes, maps the pages it gets, and starts over when
// the connection breaks (protocol: abi/registration.h).
//
// States: off (switched off, or refused for good) | trying -> connected ->
// mapped -> registered -> trying. Nothing in the pool waits for it. In a child
// of fork() its thread does not exist and it does nothing.
#ifndef TACTUS_SRC_REGISTRATION_H
#define TACTUS_SRC_REGISTRATION_H

#include <tactus/abi/registration.h>
#include <tactus/pool.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <pthread.h>
#include <string>

namespace tactus::detail {

class pool_core;
struct class_record;

class registration {
 public:
  explicit registration(pool_core& core) : core_(core) {}
  registration(const registration&) = delete;
  registration& operator=(const registration&) = delete;
  ~registration();

  void start();          // throws std::system_error; does nothing where switched off
  void stop() noexcept;  // joins the thread; more than once is fine
  void classes_changed() noexcept;
  void before_fork() { lock_.lock(); }
  void after_fork() { lock_.unlock(); }
  void after_fork_in_child() noexcept { registered_.store(false, std::memory_order_relaxed); }
  bool registered() const noexcept { return registered_.load(std::memory_order_acquire); }
  registration_status status() const;

 private:
  using ms = std::chrono::milliseconds;
  static constexpr ms k_first_retry{100}, k_last_retry{5000}, k_last_retry_again{400}, k_answer_limit{5000}, k_tick{1000};
  static constexpr ms k_never{-1};

  void run() noexcept;
  // Until the connection ends; how long to wait before the next (zero: the usual).
  ms session(int socket);
  int connect_agent();
  bool send_workers(int socket);
  bool send_classes(int socket);
  bool take_pages(int socket, const tactus_msg_pages& message, int pages_fd, int routes_fd);
  void make_sched_ext();
  void leave_pages();       // back to private pages; returns when every worker has left
  void settle_pool_page();  // external counters that came while the page was changed
  bool pause_for(ms time) noexcept;  // false: stop
  void say(std::string text);

  pool_core& core_;
  std::string path_;
  int wake_fd_ = -1;
  pthread_t thread_{};
  bool started_ = false;
  std::atomic<bool> stop_{false};
  std::atomic<bool> registered_{false};
  // What the agent was told of each number; class 0 is never sent.
  std::array<const class_record*, TACTUS_MAX_LOCAL_CLASSES> classes_sent_{};
  bool pages_mapped_ = false;
  bool was_registered_ = false;
  std::uint64_t seen_difference_ = 0;
  mutable std::mutex lock_;
  registration_status status_;
};

}  // namespace tactus::detail

#endif
