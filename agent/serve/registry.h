// SPDX-License-Identifier: Apache-2.0
//
// The registration server: one thread, one epoll, one session per pool (session.h).
//
// Fair and unblockable: every readable connection gets one message per turn, nothing waits for a
// client, half-open connections are closed after 5 s, connections per user and in total are
// bounded. Without a scheduler (no maps attached) it answers "try again later".
// Thread-safety: start/stop from one thread; attach, detach and figures from any.
#pragma once

#include "agent/serve/session.h"

#include <cstdint>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>

namespace tactus::agent {

// The socket cannot be had: in use by another agent, or no right to make it.
class socket_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Binds and listens on a SEQPACKET socket at `path` with that mode. A stale socket file is
// replaced; a living one, or a file that is no socket, is an error. Throws socket_error.
unique_fd listen_on(const std::string& path, unsigned mode);

class registry {
 public:
  struct figures {
    std::size_t connections = 0;
    std::uint64_t refused = 0, registered = 0;
    bool attached = false;
  };

  registry(const std::string& path, class_slots& slots, pool_table& pools, registration_limits limits,
           std::function<bool(std::uint32_t)> trusted, std::function<bool()> partial);
  ~registry();
  registry(const registry&) = delete;
  registry& operator=(const registry&) = delete;

  // Pools can register from now on. Throws socket_error.
  void start();
  // Ends the thread and all connections.
  void stop();

  // The scheduler's maps, from now on; all entries of earlier agents are cleared.
  void attach(std::shared_ptr<scheduler_maps> maps);
  // Drops all pools (they register anew when maps are back).
  void detach();

  void set_limits(const registration_limits& limits);
  figures figures_now() const;

 private:
  static constexpr std::size_t k_max_connections = 1024;
  static constexpr std::size_t k_connections_beyond_pools = 8;  // per uid, half-open ones

  void loop();
  void accept_all();
  void drop(int fd);
  void drop_late();

  const std::string path_;
  mutable std::mutex mutex_;  // guards host_ and sessions_
  session_host host_;
  std::unordered_map<int, std::unique_ptr<session>> sessions_;
  std::unordered_map<std::uint32_t, unsigned> connections_;  // by uid
  unique_fd listener_, epoll_, wake_;
  std::thread thread_;
};

}  // namespace tactus::agent
