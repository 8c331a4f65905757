// SPDX-License-Identifier: Apache-2.0
//
// The trigger, its thread and the tasks put aside; see memory_watch.h.
#include "memory_watch.h"

#include "cgroup.h"
#include "pool_core.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

namespace tactus::detail {
namespace {

using ms = std::chrono::milliseconds;

// Stalled for 10 % of a window. The kernel grants windows of other lengths than multiples of 2 s to
// CAP_SYS_RESOURCE only; it reports at most once per window.
struct trigger {
  const char* text;
  ms window;
};
constexpr trigger k_triggers[] = {{"some 100000 1000000", ms{1000}}, {"some 200000 2000000", ms{2000}}};
constexpr ms k_fifo_window{1000};

std::string error_text(const std::string& what) { return what + ": " + std::strerror(errno); }

}  // namespace

std::string pressure_file_at(const std::string& root) {
  const auto group = locate_group(root, "memory");
  if (group && group->unified && !group->group.empty()) {
    std::string file = group->mount + group->group + "/memory.pressure";
    if (access(file.c_str(), R_OK | W_OK) == 0) return file;
  }
  return root + "/proc/pressure/memory";
}

memory_watch::~memory_watch() {
  stop();
  if (fd_ >= 0) close(fd_);
  if (wake_fd_ >= 0) close(wake_fd_);
}

void memory_watch::say(std::string text) {
  std::lock_guard guard(lock_);
  text_ = std::move(text);
}

std::string memory_watch::status() const {
  std::lock_guard guard(lock_);
  return text_;
}

bool memory_watch::set_trigger(const std::string& file) {
  fd_ = open(file.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK);
  struct stat kind {};
  if (fd_ < 0 || fstat(fd_, &kind) != 0) {
    say(error_text("not watching memory pressure: " + file));
    return false;
  }
  if (S_ISFIFO(kind.st_mode)) {
    event_ = POLLIN;
    lasts_ = k_fifo_window * 3 / 2;
    return true;
  }
  event_ = POLLPRI;
  for (const trigger& t : k_triggers) {
    const auto bytes = std::strlen(t.text) + 1;
    if (write(fd_, t.text, bytes) == static_cast<ssize_t>(bytes)) {
      lasts_ = t.window * 3 / 2;
      return true;
    }
  }
  say(error_text("not watching memory pressure: setting a trigger in " + file));
  return false;
}

void memory_watch::start() {
  if (!core_.options.watch_memory) {
    say("watching memory pressure is switched off");
    return;
  }
  const std::string& given = core_.options.memory_pressure_file;
  const std::string file = given.empty() ? pressure_file_at("") : given;
  if (!set_trigger(file)) return;
  wake_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_fd_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
  say("watching " + file);
  closed_ = false;
  // Signals are for the program's own threads.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int error = pthread_create(&thread_, nullptr, [](void* self) -> void* {
    pthread_setname_np(pthread_self(), "tactus-memory");
    static_cast<memory_watch*>(self)->run();
    return nullptr;
  }, this);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error) throw std::system_error(error, std::generic_category(), "cannot start the thread that watches memory");
  started_ = true;
}

void memory_watch::stop() noexcept {
  if (!started_ || core_.state() == pool_core::state_kind::forked) return;
  started_ = false;
  {
    std::lock_guard guard(lock_);
    closed_ = true;
  }
  const std::uint64_t one = 1;
  (void)!write(wake_fd_, &one, sizeof one);
  pthread_join(thread_, nullptr);
}

bool memory_watch::put_aside(task* t) noexcept {
  if (tactus_tag_priority(t->tag) != TACTUS_PRIORITY_BACKGROUND || t->kind == task_kind::grouped ||
      (t->flags & k_was_deferred))
    return false;
  bool first;
  {
    std::lock_guard guard(lock_);
    if (closed_) return false;
    first = aside_.empty();
    try {
      aside_.push_back({t, clock::now() + k_longest});
    } catch (...) {  // no memory: the task may give some back
      return false;
    }
    // Whoever waits for the task may read its flags.
    std::atomic_ref(t->flags).fetch_or(k_was_deferred, std::memory_order_relaxed);
  }
  deferred_.fetch_add(1, std::memory_order_relaxed);
  const std::uint64_t one = 1;
  if (first) (void)!write(wake_fd_, &one, sizeof one);
  return true;
}

int memory_watch::until_next(clock::time_point now) const noexcept {
  if (!under_pressure_.load(std::memory_order_relaxed)) return -1;
  clock::time_point next = over_at_;
  {
    std::lock_guard guard(lock_);
    if (!aside_.empty()) next = std::min(next, aside_.front().due);
  }
  return static_cast<int>(std::max<std::int64_t>(0, std::chrono::ceil<ms>(next - now).count()));
}

void memory_watch::release(clock::time_point due_before) noexcept {
  for (;;) {
    task* t;
    {
      std::lock_guard guard(lock_);
      if (aside_.empty() || aside_.front().due > due_before) return;
      t = aside_.front().t;
      aside_.pop_front();
    }
    core_.place_shared(t, core_.classes.entry(tactus_tag_class(t->tag)));
  }
}

void memory_watch::run() noexcept {
  for (;;) {
    pollfd both[2] = {{fd_, event_, 0}, {wake_fd_, POLLIN, 0}};
    poll(both, 2, until_next(clock::now()));
    const auto now = clock::now();
    if (both[1].revents) {
      std::uint64_t count;
      (void)!read(wake_fd_, &count, sizeof count);
    }
    if (both[0].revents & event_) {
      char reports[64];
      if (event_ == POLLIN) (void)!read(fd_, reports, sizeof reports);
      over_at_ = now + lasts_;
      under_pressure_.store(true, std::memory_order_relaxed);
    }
    const bool gone = both[0].revents & (POLLERR | POLLNVAL);
    bool stopping;
    {
      std::lock_guard guard(lock_);
      closed_ = closed_ || gone;
      stopping = closed_;
      if (gone) text_ = "not watching memory pressure: the control group is gone";
    }
    if (stopping || now >= over_at_) under_pressure_.store(false, std::memory_order_relaxed);
    release(under_pressure_.load(std::memory_order_relaxed) ? now : clock::time_point::max());
    if (stopping) return;
  }
}

}  // namespace tactus::detail
