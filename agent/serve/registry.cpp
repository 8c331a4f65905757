// SPDX-License-Identifier: Apache-2.0
//
// registry.h's implementation.
#include "agent/serve/registry.h"

#include "agent/serve/clock.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace tactus::agent {

unique_fd listen_on(const std::string& path, unsigned mode) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) throw socket_error(fmt::format("socket path is too long: {}", path));
  std::memcpy(address.sun_path, path.data(), path.size());
  const auto* where = reinterpret_cast<const sockaddr*>(&address);
  unique_fd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) throw socket_error(fmt::format("no socket: {}", std::strerror(errno)));
  struct stat st {};
  if (::lstat(path.c_str(), &st) == 0) {
    if (!S_ISSOCK(st.st_mode)) throw socket_error(fmt::format("{} is there and is no socket; remove it", path));
    const unique_fd probe(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (::connect(probe.get(), where, sizeof(address)) == 0 || errno == EAGAIN) {
      throw socket_error(fmt::format("another agent listens on {}; stop it first (systemctl stop tactusd)", path));
    }
    ::unlink(path.c_str());
  }
  if (::bind(fd.get(), where, sizeof(address)) != 0) {
    throw socket_error(fmt::format("cannot make {}: {}; its folder must be writable for the agent's user", path,
                                   std::strerror(errno)));
  }
  ::chmod(path.c_str(), mode);
  if (::listen(fd.get(), 128) != 0) throw socket_error(fmt::format("cannot listen on {}: {}", path, std::strerror(errno)));
  return fd;
}

registry::registry(const std::string& path, class_slots& slots, pool_table& pools, registration_limits limits,
                   std::function<bool(std::uint32_t)> trusted, std::function<bool()> partial)
    : path_(path),
      host_{slots, pools, limits, std::move(trusted), std::move(partial), nullptr, {}, limited_log{}, {}, 0, 0, 0} {}

registry::~registry() { stop(); }

void registry::start() {
  listener_ = listen_on(path_, 0666);
  epoll_ = unique_fd(::epoll_create1(EPOLL_CLOEXEC));
  wake_ = unique_fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll_ || !wake_) throw socket_error(fmt::format("epoll: {}", std::strerror(errno)));
  for (const int fd : {listener_.get(), wake_.get()}) {
    epoll_event e{};
    e.events = EPOLLIN;
    e.data.fd = fd;
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &e);
  }
  thread_ = std::thread([this] { loop(); });
}

void registry::stop() {
  if (!thread_.joinable()) return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto n = ::write(wake_.get(), &one, sizeof(one));
  thread_.join();
  const std::lock_guard lock(mutex_);
  sessions_.clear();
  connections_.clear();
  listener_.reset();
  ::unlink(path_.c_str());
}

void registry::attach(std::shared_ptr<scheduler_maps> maps) {
  const std::lock_guard lock(mutex_);
  for (auto& [fd, s] : sessions_) s->refuse(TACTUS_REFUSED_NO_SCHEDULER, "the scheduler was loaded anew", 100);
  host_.maps = std::move(maps);
  // Entries of an agent that died: their threads' slots may be others' by now.
  for (std::uint32_t i = 0; i < TACTUS_MAX_POOLS; i++) {
    tactus_pool_conf conf{};
    if (host_.maps->get_pool(i, conf) != 0 || conf.in_use == 0) continue;
    tactus_pool_conf empty{};
    empty.serial = conf.serial;
    host_.maps->set_pool(i, empty);
  }
}

void registry::detach() {
  const std::lock_guard lock(mutex_);
  for (auto& [fd, s] : sessions_) s->refuse(TACTUS_REFUSED_NO_SCHEDULER, "the scheduler is gone", 500);
  host_.maps.reset();
}

void registry::set_limits(const registration_limits& limits) {
  const std::lock_guard lock(mutex_);
  host_.limits = limits;
}

registry::figures registry::figures_now() const {
  const std::lock_guard lock(mutex_);
  return {sessions_.size(), host_.refused, host_.registered, host_.maps != nullptr};
}

void registry::accept_all() {
  for (int i = 0; i < 16; i++) {
    unique_fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) return;
    auto who = peer_of(fd.get());
    if (!who) continue;  // gone already
    const std::lock_guard lock(mutex_);
    auto& of_user = connections_[who->uid];
    if (sessions_.size() >= k_max_connections || of_user >= host_.limits.pools_per_uid + k_connections_beyond_pools ||
        host_.disposal.waiting() > 512) {
      host_.refused++;
      host_.log.warning(fmt::format("connection of uid {} refused: too many", who->uid));
      continue;
    }
    of_user++;
    const int number = fd.get();
    epoll_event e{};
    e.events = EPOLLIN | EPOLLRDHUP;
    e.data.fd = number;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, number, &e) != 0) continue;
    sessions_[number] = std::make_unique<session>(std::move(fd), std::move(*who), host_);
  }
}

void registry::drop(int fd) {
  const auto it = sessions_.find(fd);
  if (it == sessions_.end()) return;
  const auto of_user = connections_.find(it->second->uid());
  if (of_user != connections_.end() && --of_user->second == 0) connections_.erase(of_user);
  sessions_.erase(it);  // closing the socket takes it out of the epoll
}

void registry::drop_late() {
  const std::lock_guard lock(mutex_);
  const std::uint64_t now = now_ns();
  std::vector<int> late;
  for (const auto& [fd, s] : sessions_) {
    if (!s->in_time(now)) late.push_back(fd);
  }
  for (const int fd : late) {
    sessions_[fd]->refuse(TACTUS_REFUSED_MALFORMED, "the registration took too long", 1000);
    drop(fd);
  }
}

void registry::loop() {
  std::uint64_t swept_ns = now_ns();
  for (;;) {
    std::array<epoll_event, 64> events;
    const int n = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 1000);
    for (int i = 0; i < n; i++) {
      const int fd = events[static_cast<std::size_t>(i)].data.fd;
      if (fd == wake_.get()) return;
      if (fd == listener_.get()) {
        try {
          accept_all();
        } catch (const std::exception& e) {
          log_warning("a connection was not taken: {}", e.what());
        }
        continue;
      }
      const std::lock_guard lock(mutex_);
      const auto it = sessions_.find(fd);
      if (it == sessions_.end()) continue;
      bool keep = false;
      try {
        keep = it->second->receive();
      } catch (const std::exception& e) {
        // Out of memory or of files: this client pays, nobody else.
        host_.log.warning(fmt::format("a registration failed: {}", e.what()));
      }
      if (!keep) drop(fd);
    }
    if (const std::uint64_t now = now_ns(); now - swept_ns > 1'000'000'000) {
      swept_ns = now;
      drop_late();
    }
  }
}

}  // namespace tactus::agent
