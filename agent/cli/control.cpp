// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/control.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <vector>

#include "agent/load/errors.h"
#include "agent/publish/unique_fd.h"

namespace tactus::cli {
namespace {

using load::exit_code;
using load::load_error;

constexpr std::size_t k_answer_limit = 1 << 20;
constexpr char k_start[] = "next: sudo systemctl start tactusd (or look at: systemctl status tactusd)";

}  // namespace

nlohmann::json ask_agent(const std::filesystem::path& path, const nlohmann::json& request, std::chrono::milliseconds patience) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = path.string();
  if (name.size() >= sizeof(address.sun_path))
    throw load_error(exit_code::usage, fmt::format("--control {}: longer than a socket's name may be", name), "next: use a shorter path");
  std::memcpy(address.sun_path, name.c_str(), name.size() + 1);

  const agent::unique_fd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!fd) throw load_error(exit_code::internal, fmt::format("no socket ({})", std::strerror(errno)), "next: tactus doctor");
  timeval limit{};
  limit.tv_sec = patience.count() / 1000;
  limit.tv_usec = (patience.count() % 1000) * 1000;
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address))) {
    const int error = errno;
    if (error == EACCES || error == EPERM)
      throw load_error(exit_code::no_rights, fmt::format("no right to use the agent's control socket {}", name),
                       "next: sudo, or become a member of the group 'tactus'");
    throw load_error(exit_code::no_agent,
                     error == ENOENT ? fmt::format("the agent does not run (no control socket {})", name)
                                     : fmt::format("the agent does not listen on {} ({})", name, std::strerror(error)),
                     k_start);
  }
  const std::string text = request.dump();
  if (send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(text.size()))
    throw load_error(exit_code::no_agent, fmt::format("the agent took no request on {} ({})", name, std::strerror(errno)), k_start);
  std::vector<char> answer(k_answer_limit);
  const ssize_t n = recv(fd.get(), answer.data(), answer.size(), 0);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
    throw load_error(exit_code::no_agent, fmt::format("the agent did not answer within {:.1f} s", static_cast<double>(patience.count()) / 1000),
                     k_start);
  if (n <= 0)
    throw load_error(exit_code::no_agent, fmt::format("the agent closed the connection on {}", name), k_start);
  const auto value = nlohmann::json::parse(answer.data(), answer.data() + n, nullptr, false);
  if (!value.is_object())
    throw load_error(exit_code::agent_refused, "the agent's answer is no JSON object",
                     "next: use tactus and tactusd of the same release");
  if (!value.value("ok", true) || value.contains("error")) {
    const auto error = value.find("error");
    throw load_error(exit_code::agent_refused,
                     fmt::format("the agent refused: {}", error != value.end() && error->is_string() ? error->get<std::string>()
                                                                                                    : value.dump()),
                     "next: tactus status, or the agent's log (journalctl -u tactusd)");
  }
  return value;
}

}  // namespace tactus::cli
