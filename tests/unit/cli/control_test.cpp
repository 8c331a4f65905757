// SPDX-License-Identifier: Apache-2.0
// One request to the agent, against servers that behave and misbehave.
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>
#include <thread>

#include "../sense/fixture_tree.h"
#include "agent/cli/control.h"
#include "agent/load/errors.h"

using tactus::cli::ask_agent;
using tactus::load::exit_code;
using tactus::load::load_error;
using tactus::test::fixture_tree;

namespace {

// Takes one connection and hands it over.
class server {
 public:
  server(const std::filesystem::path& path, std::function<void(int)> serve) {
    fd_ = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
    REQUIRE(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
    REQUIRE(listen(fd_, 1) == 0);
    thread_ = std::jthread([this, serve] {
      const int peer = accept(fd_, nullptr, nullptr);
      serve(peer);
      close(peer);
    });
  }
  ~server() {
    thread_.join();
    close(fd_);
  }

 private:
  int fd_;
  std::jthread thread_;
};

std::string receive(int fd) {
  char buffer[4096];
  const ssize_t n = recv(fd, buffer, sizeof(buffer), 0);
  return n > 0 ? std::string(buffer, static_cast<std::size_t>(n)) : "";
}

exit_code code_of(const std::filesystem::path& path) {
  try {
    ask_agent(path, {{"cmd", "mode"}}, std::chrono::milliseconds(300));
  } catch (const load_error& error) {
    CHECK(std::string(error.what()).find("next: ") != std::string::npos);
    return error.code();
  }
  return exit_code::ok;
}

}  // namespace

TEST_CASE("a request arrives as one JSON message and its answer comes back") {
  fixture_tree tree;
  const auto path = tree.root() / "control.sock";
  std::string got;
  {
    server s(path, [&](int fd) {
      got = receive(fd);
      const std::string answer = R"({"ok":true,"text":"mode is random"})";
      send(fd, answer.data(), answer.size(), 0);
    });
    CHECK(ask_agent(path, {{"cmd", "mode"}, {"mode", "random"}})["text"] == "mode is random");
  }
  CHECK(nlohmann::json::parse(got) == nlohmann::json{{"cmd", "mode"}, {"mode", "random"}});
}

TEST_CASE("no socket, nobody listening, silence, a closed connection: no agent") {
  fixture_tree tree;
  const auto path = tree.root() / "control.sock";
  CHECK(code_of(path) == exit_code::no_agent);
  { server s(path, [](int) {}); CHECK(code_of(path) == exit_code::no_agent); }  // closes without a word
  CHECK(code_of(path) == exit_code::no_agent);  // the file is left, nobody listens
  std::filesystem::remove(path);
  server s(path, [](int fd) {
    receive(fd);
    receive(fd);  // until the client goes
  });
  CHECK(code_of(path) == exit_code::no_agent);
}

TEST_CASE("an error answer, and an answer that is no JSON, are the agent's refusal") {
  fixture_tree tree;
  for (const char* answer : {R"({"ok":false,"error":"unknown mode"})", R"({"error":"busy"})", R"({"ok":false})", "hello", "[1]"}) {
    const auto path = tree.root() / "control.sock";
    std::filesystem::remove(path);
    server s(path, [&](int fd) {
      receive(fd);
      send(fd, answer, std::strlen(answer), 0);
    });
    CAPTURE(answer);
    CHECK(code_of(path) == exit_code::agent_refused);
  }
}

TEST_CASE("a path longer than a socket's name is wrong use") {
  CHECK(code_of("/" + std::string(200, 'x')) == exit_code::usage);
}
