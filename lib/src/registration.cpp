// SPDX-License-Identifier: Apache-2.0
//
// The pool's side of registration; see registration.h. What is done with the pages: registration_pages.cpp.
#include "registration.h"

#include "agent_messages.h"
#include "pool_core.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <system_error>
#include <unistd.h>
#include <vector>

namespace tactus::detail {

registration::~registration() {
  stop();
  if (wake_fd_ >= 0) close(wake_fd_);
}

void registration::start() {
  if (!core_.options.agent_socket.empty()) {
    path_ = core_.options.agent_socket;
  } else {
    const char* from_environment = std::getenv(TACTUS_SOCKET_ENV);
    path_ = from_environment ? from_environment : TACTUS_SOCKET;
  }
  if (!core_.options.register_with_agent || path_.empty()) {
    say("registration is switched off");
    return;
  }
  if (path_.size() >= sizeof(sockaddr_un{}.sun_path)) {
    say("socket path is too long: " + path_);
    return;
  }
  wake_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_fd_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
  // Signals are for the program's own threads.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int error = pthread_create(&thread_, nullptr, [](void* self) -> void* {
    pthread_setname_np(pthread_self(), "tactus-agent");
    static_cast<registration*>(self)->run();
    return nullptr;
  }, this);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error) throw std::system_error(error, std::generic_category(), "cannot start the registration thread");
  started_ = true;
}

void registration::stop() noexcept {
  if (!started_ || core_.state() == pool_core::state_kind::forked) return;
  started_ = false;
  stop_.store(true, std::memory_order_release);
  classes_changed();
  pthread_join(thread_, nullptr);
  registered_.store(false, std::memory_order_release);
}

void registration::classes_changed() noexcept {
  const std::uint64_t one = 1;
  if (wake_fd_ >= 0) (void)!write(wake_fd_, &one, sizeof one);
}

registration_status registration::status() const {
  std::lock_guard guard(lock_);
  registration_status out = status_;
  out.registered = registered();
  return out;
}

void registration::say(std::string text) {
  std::lock_guard guard(lock_);
  status_.text = std::move(text);
}

bool registration::pause_for(ms time) noexcept {
  const auto until = std::chrono::steady_clock::now() + time;
  for (;;) {
    if (stop_.load(std::memory_order_acquire)) return false;
    const auto left = std::chrono::ceil<ms>(until - std::chrono::steady_clock::now());
    if (time != k_never && left <= ms{0}) return true;
    pollfd wake{wake_fd_, POLLIN, 0};
    if (poll(&wake, 1, time == k_never ? -1 : static_cast<int>(left.count())) > 0) {
      std::uint64_t count;
      (void)!read(wake_fd_, &count, sizeof count);  // a new class: it is sent when connected
    }
  }
}

void registration::run() noexcept {
  ms retry = k_first_retry;
  while (!stop_.load(std::memory_order_acquire)) {
    ms wait{0};
    try {
      {
        std::lock_guard guard(lock_);
        ++status_.attempts;
      }
      file socket(connect_agent());
      if (socket.get() >= 0) wait = session(socket.get());
      if (registered_.exchange(false, std::memory_order_acq_rel)) {
        retry = k_first_retry;
        was_registered_ = true;
      }
      leave_pages();
    } catch (const std::exception& e) {  // out of memory: later
      registered_.store(false, std::memory_order_release);
    }
    if (!pause_for(wait == ms{0} ? retry : wait)) return;
    // An agent that was here comes back soon, and its rows should be in use
    // within a second.
    retry = std::min(retry * 2, was_registered_ ? k_last_retry_again : k_last_retry);
  }
}

int registration::connect_agent() {
  file socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
  if (socket.get() < 0 || connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    say(error_text("no agent at " + path_));
    return -1;
  }
  // A send that the agent does not take within 2 s fails; receiving is by poll.
  const timeval limit{2, 0};
  setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  fcntl(socket.get(), F_SETFL, 0);
  return socket.release();
}

bool registration::send_workers(int socket) {
  const unsigned total = core_.nr_threads();
  for (unsigned first = 0; first < total;) {
    auto message = make_message<tactus_msg_workers>(first == 0 ? TACTUS_MSG_HELLO : TACTUS_MSG_WORKERS);
    message.nr_workers_total = total;
    message.first_worker = first;
    message.nr_here = std::min<unsigned>(total - first, TACTUS_FDS_PER_MESSAGE);
    std::memcpy(message.pool_name, core_.options.name.data(),
                std::min(core_.options.name.size(), sizeof(message.pool_name) - 1));
    std::vector<file> pidfds;
    std::vector<int> numbers;
    for (unsigned i = 0; i < message.nr_here; ++i) {
      const int tid = core_.workers[first + i].tid.load(std::memory_order_acquire);
      // O_EXCL is PIDFD_THREAD: of the thread itself, Linux 6.9 and later
      pidfds.emplace_back(static_cast<int>(syscall(SYS_pidfd_open, tid, O_EXCL)));
      if (pidfds.back().get() < 0) {
        say(error_text("pidfd_open of a thread (needs Linux 6.9)"));
        return false;
      }
      numbers.push_back(pidfds.back().get());
      message.tid[i] = tid;
    }
    if (!send_message(socket, &message, sizeof message, numbers)) {
      say(error_text("sending the workers to the agent"));
      return false;
    }
    first += message.nr_here;
  }
  return true;
}

bool registration::send_classes(int socket) {
  auto message = make_message<tactus_msg_classes>(TACTUS_MSG_CLASSES);
  for (unsigned c = 1, size = core_.classes.size(); c < size; ++c) {
    const class_record& now = core_.classes.entry(c);
    if (std::exchange(classes_sent_[c], &now) != &now) message.classes[message.nr_classes++] = core_.classes.describe(now);
  }
  if (message.nr_classes == 0) return true;
  if (!send_message(socket, &message, sizeof message)) {
    say(error_text("sending classes to the agent"));
    return false;
  }
  return true;
}

registration::ms registration::session(int socket) {
  for (unsigned i = 0; i < core_.nr_threads(); ++i)
    while (core_.workers[i].tid.load(std::memory_order_acquire) == 0)
      if (!pause_for(ms{1})) return ms{0};
  classes_sent_ = {};
  if (!send_workers(socket) || !send_classes(socket)) return ms{0};
  say("waiting for the agent at " + path_);
  auto answer_until = std::chrono::steady_clock::now() + k_answer_limit;
  auto next_tick = std::chrono::steady_clock::now() + k_tick;
  for (;;) {
    pollfd both[2] = {{socket, POLLIN, 0}, {wake_fd_, POLLIN, 0}};
    const auto until = registered() ? next_tick : answer_until;
    const auto left = std::chrono::ceil<ms>(until - std::chrono::steady_clock::now()).count();
    // With nothing to settle there is nothing to wake up for.
    poll(both, 2, registered() && seen_difference_ == 0 ? -1 : static_cast<int>(std::max<long>(left, 0)));
    if (stop_.load(std::memory_order_acquire)) return ms{0};
    if (both[1].revents) {
      std::uint64_t count;
      (void)!read(wake_fd_, &count, sizeof count);
      if (!send_classes(socket)) return ms{0};
    }
    if (registered() && std::chrono::steady_clock::now() >= next_tick) {
      next_tick = std::chrono::steady_clock::now() + k_tick;
      settle_pool_page();
    }
    if (!both[0].revents) {
      if (!registered() && std::chrono::steady_clock::now() >= answer_until) {
        say("the agent at " + path_ + " does not answer");
        return ms{0};
      }
      continue;
    }
    alignas(8) std::array<char, 4096> buffer;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(4 * sizeof(int))> control;
    iovec io{buffer.data(), buffer.size()};
    msghdr header{};
    header.msg_iov = &io;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    const ssize_t bytes = recvmsg(socket, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    std::vector<file> fds;
    for (cmsghdr* c = bytes > 0 ? CMSG_FIRSTHDR(&header) : nullptr; c; c = CMSG_NXTHDR(&header, c)) {
      if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
      for (std::size_t at = 0; at + sizeof(int) <= c->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
        int fd;
        std::memcpy(&fd, CMSG_DATA(c) + at, sizeof fd);
        fds.emplace_back(fd);
      }
    }
    if (bytes <= 0) {
      say("the agent at " + path_ + " closed the connection");
      return ms{0};
    }
    tactus_msg_head head{};
    std::memcpy(&head, buffer.data(), std::min<std::size_t>(sizeof head, static_cast<std::size_t>(bytes)));
    if (static_cast<std::size_t>(bytes) < sizeof head || head.magic != TACTUS_MAGIC ||
        head.abi_version != TACTUS_ABI_VERSION || head.bytes != static_cast<__u32>(bytes)) {
      say("the agent at " + path_ + " speaks another ABI version; update it or the library");
      return k_last_retry;
    }
    const auto as = [&]<class Message>(Message& out) {
      if (static_cast<std::size_t>(bytes) < sizeof out) return false;
      std::memcpy(&out, buffer.data(), sizeof out);
      return true;
    };
    tactus_msg_pages pages;
    tactus_msg_registered done;
    tactus_msg_refused refused;
    if (head.type == TACTUS_MSG_PAGES && !pages_mapped_ && as(pages) && !fds.empty()) {
      if (!take_pages(socket, pages, fds[0].get(), fds.size() > 1 ? fds[1].get() : -1)) return ms{0};
      answer_until = std::chrono::steady_clock::now() + k_answer_limit;
    } else if (head.type == TACTUS_MSG_REGISTERED && pages_mapped_ && as(done)) {
      core_.routes.store(core_.pages.route_table(), std::memory_order_release);
      {
        std::lock_guard guard(lock_);
        status_.generation = done.generation;
        status_.text = "registered with the agent at " + path_;
      }
      registered_.store(true, std::memory_order_release);
      seen_difference_ = 1;  // look at the pool page once more in a second
      next_tick = std::chrono::steady_clock::now() + k_tick;
    } else if (head.type == TACTUS_MSG_CLASS_MAP && registered()) {
      // the kernel has the map; nothing to do here
    } else if (head.type == TACTUS_MSG_REFUSED && as(refused)) {
      refused.text[sizeof refused.text - 1] = 0;
      say(std::string("the agent refused the pool: ") + refused.text);
      return refused.retry_ms ? ms{std::min<__u32>(refused.retry_ms, 3'600'000)} : k_never;
    } else {
      say("the agent at " + path_ + " sent something unexpected");
      return k_last_retry;
    }
  }
}

}  // namespace tactus::detail
