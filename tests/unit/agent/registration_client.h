// SPDX-License-Identifier: Apache-2.0
// A pool as bare messages, so that a test can also do it wrong.
#pragma once

#include "agent/publish/unique_fd.h"
#include "agent/serve/message.h"
#include "agent/serve/peer.h"

#include <tactus/abi/registration.h>

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace tactus::agent::test {

// Threads that sleep until they are let go, as workers do.
class sleepers {
 public:
  explicit sleepers(unsigned n) {
    tids_.resize(n);
    for (unsigned i = 0; i < n; i++) {
      threads_.emplace_back([this, i] {
        std::unique_lock lock(mutex_);
        tids_[i] = static_cast<pid_t>(::syscall(SYS_gettid));
        ready_++;
        changed_.notify_all();
        changed_.wait(lock, [this] { return ended_; });
      });
    }
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ready_ == n; });
  }
  ~sleepers() {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
      changed_.notify_all();
    }
    for (auto& t : threads_) t.join();
  }
  const std::vector<pid_t>& tids() const { return tids_; }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::thread> threads_;
  std::vector<pid_t> tids_;
  unsigned ready_ = 0;
  bool ended_ = false;
};

struct reply {
  bool closed = false;  // end of the connection, or nothing within the time
  std::vector<char> bytes;
  std::vector<unique_fd> fds;

  unsigned type() const {
    tactus_msg_head head{};
    if (bytes.size() < sizeof(head)) return 0;
    std::memcpy(&head, bytes.data(), sizeof(head));
    return head.type;
  }
  template <class M>
  M as() const {
    M m{};
    std::memcpy(&m, bytes.data(), std::min(bytes.size(), sizeof(m)));
    return m;
  }
  unsigned refusal() const { return type() == TACTUS_MSG_REFUSED ? as<tactus_msg_refused>().reason : 0; }
};

class client {
 public:
  explicit client(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {
    sockaddr_un a{};
    a.sun_family = AF_UNIX;
    std::memcpy(a.sun_path, path.data(), path.size());
    connected_ = ::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&a), sizeof(a)) == 0;
  }

  bool connected() const { return connected_; }
  int fd() const { return fd_.get(); }
  void close() { fd_.reset(); }

  bool send(const void* data, std::size_t bytes, const std::vector<int>& fds = {}, int flags = 0) {
    iovec iov{const_cast<void*>(data), bytes};
    msghdr h{};
    h.msg_iov = &iov;
    h.msg_iovlen = 1;
    std::vector<char> control(CMSG_SPACE(fds.size() * sizeof(int)));
    if (!fds.empty()) {
      h.msg_control = control.data();
      h.msg_controllen = control.size();
      cmsghdr* c = CMSG_FIRSTHDR(&h);
      c->cmsg_level = SOL_SOCKET;
      c->cmsg_type = SCM_RIGHTS;
      c->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
      std::memcpy(CMSG_DATA(c), fds.data(), fds.size() * sizeof(int));
    }
    return ::sendmsg(fd_.get(), &h, MSG_NOSIGNAL | flags) == static_cast<ssize_t>(bytes);
  }

  reply receive(int timeout_ms = 5000) {
    reply r;
    pollfd p{fd_.get(), POLLIN, 0};
    if (::poll(&p, 1, timeout_ms) <= 0) {
      r.closed = true;
      return r;
    }
    r.bytes.resize(8192);
    alignas(cmsghdr) std::array<char, CMSG_SPACE(8 * sizeof(int))> control;
    iovec iov{r.bytes.data(), r.bytes.size()};
    msghdr h{};
    h.msg_iov = &iov;
    h.msg_iovlen = 1;
    h.msg_control = control.data();
    h.msg_controllen = control.size();
    const ssize_t n = ::recvmsg(fd_.get(), &h, MSG_CMSG_CLOEXEC);
    r.closed = n <= 0;
    r.bytes.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    for (cmsghdr* c = n > 0 ? CMSG_FIRSTHDR(&h) : nullptr; c != nullptr; c = CMSG_NXTHDR(&h, c)) {
      for (std::size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
        int fd;
        std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
        r.fds.emplace_back(fd);
      }
    }
    return r;
  }

  // HELLO and as many WORKERS as are needed, `step` threads each.
  bool hello(const std::vector<pid_t>& tids, const char* name = "test", std::size_t step = TACTUS_FDS_PER_MESSAGE) {
    for (std::size_t first = 0; first < tids.size(); first += step) {
      tactus_msg_workers m{};
      fill_head(m.head, first == 0 ? TACTUS_MSG_HELLO : TACTUS_MSG_WORKERS, sizeof(m));
      m.nr_workers_total = static_cast<__u32>(tids.size());
      m.first_worker = static_cast<__u32>(first);
      std::strncpy(m.pool_name, name, sizeof(m.pool_name) - 1);
      std::vector<unique_fd> keep;
      std::vector<int> fds;
      for (std::size_t i = first; i < std::min(tids.size(), first + step); i++) {
        keep.push_back(open_thread_pidfd(tids[i]));
        fds.push_back(keep.back().get());
      }
      m.nr_here = static_cast<__u32>(fds.size());
      if (!send(&m, sizeof(m), fds)) return false;
    }
    return true;
  }

  bool classes(const std::vector<std::pair<unsigned, std::uint64_t>>& local_and_fingerprint, int flags = 0) {
    tactus_msg_classes m{};
    fill_head(m.head, TACTUS_MSG_CLASSES, sizeof(m));
    for (const auto& [local, fingerprint] : local_and_fingerprint) {
      tactus_class_desc& d = m.classes[m.nr_classes++];
      d.local_class = static_cast<__u16>(local);
      d.weight = 1;
      d.priority = 1;
      d.fingerprint[0] = fingerprint;
      std::snprintf(d.name, sizeof(d.name), "class%u", local);
    }
    return send(&m, sizeof(m), {}, flags);
  }

  bool mapped() {
    tactus_msg_head m;
    fill_head(m, TACTUS_MSG_MAPPED, sizeof(m));
    return send(&m, sizeof(m));
  }

  // The whole of it; true when registered. The pages stay mapped until unmap().
  bool register_pool(const std::vector<pid_t>& tids, const std::vector<std::pair<unsigned, std::uint64_t>>& named = {{1, 1}}) {
    if (!hello(tids) || !classes(named)) return false;
    reply pages = receive();
    if (pages.type() != TACTUS_MSG_PAGES || pages.fds.size() != 2) return false;
    page_bytes = pages.as<tactus_msg_pages>().page_bytes;
    page_fd = std::move(pages.fds[0]);
    route_fd = std::move(pages.fds[1]);
    memory = ::mmap(nullptr, page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, page_fd.get(), 0);
    route = static_cast<const tactus_route_table*>(
        ::mmap(nullptr, pages.as<tactus_msg_pages>().route_bytes, PROT_READ, MAP_SHARED, route_fd.get(), 0));
    if (memory == MAP_FAILED || route == MAP_FAILED || !mapped()) return false;
    const reply done = receive();
    if (done.type() != TACTUS_MSG_REGISTERED) return false;
    registered = done.as<tactus_msg_registered>();
    return true;
  }

  tactus_tag_page* page(unsigned worker) { return static_cast<tactus_tag_page*>(memory) + 1 + worker; }

  unique_fd page_fd, route_fd;
  void* memory = nullptr;
  std::size_t page_bytes = 0;
  const tactus_route_table* route = nullptr;
  tactus_msg_registered registered{};

 private:
  unique_fd fd_;
  bool connected_ = false;
};

// Waits up to 5 s for something that another thread does.
template <typename F>
bool eventually(F&& f) {
  for (int i = 0; i < 1000; i++) {
    if (f()) return true;
    ::usleep(5000);
  }
  return false;
}

}  // namespace tactus::agent::test
