// SPDX-License-Identifier: Apache-2.0
//
// control_server.h's implementation.
#include "agent/serve/control_server.h"

#include "agent/serve/peer.h"
#include "agent/serve/registry.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vector>

namespace tactus::agent {
namespace {

constexpr std::size_t k_max_clients = 32;
constexpr std::size_t k_max_request = 64 * 1024;

}  // namespace

control_server::control_server(std::string path, handler handle) : path_(std::move(path)), handle_(std::move(handle)) {}

control_server::~control_server() { stop(); }

void control_server::start() {
  listener_ = listen_on(path_, 0666);
  wake_ = unique_fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  thread_ = std::thread([this] { loop(); });
}

void control_server::stop() {
  if (!thread_.joinable()) return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto n = ::write(wake_.get(), &one, sizeof(one));
  thread_.join();
  listener_.reset();
  ::unlink(path_.c_str());
}

void control_server::loop() {
  std::vector<unique_fd> clients;
  std::vector<char> buffer(k_max_request);
  for (;;) {
    std::vector<pollfd> polled{{wake_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
    for (const auto& c : clients) polled.push_back({c.get(), POLLIN, 0});
    if (::poll(polled.data(), polled.size(), -1) < 0) continue;
    if (polled[0].revents != 0) return;
    std::vector<unique_fd> kept;
    for (std::size_t i = 0; i < clients.size(); i++) {
      if (polled[i + 2].revents == 0) {
        kept.push_back(std::move(clients[i]));
        continue;
      }
      const int fd = clients[i].get();
      const ssize_t n = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT | MSG_TRUNC);
      if (n <= 0 || static_cast<std::size_t>(n) > buffer.size()) continue;
      const auto uid = peer_uid(fd);
      const bool privileged = uid && (*uid == 0 || *uid == ::geteuid());
      const std::string reply = handle_(std::string(buffer.data(), static_cast<std::size_t>(n)), privileged);
      const ssize_t sent = ::send(fd, reply.data(), reply.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent == static_cast<ssize_t>(reply.size())) kept.push_back(std::move(clients[i]));
    }
    clients = std::move(kept);
    if ((polled[1].revents & POLLIN) != 0) {
      unique_fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      // Full: the oldest goes, so that idle connections cannot lock the operator out.
      if (fd && clients.size() >= k_max_clients) clients.erase(clients.begin());
      if (fd) {
        const int bytes = 1 << 20;
        ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
        clients.push_back(std::move(fd));
      }
    }
  }
}

}  // namespace tactus::agent
