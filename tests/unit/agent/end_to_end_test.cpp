// SPDX-License-Identifier: Apache-2.0
// A real pool of the library and a real tactusd, on maps that are files; and the agent's exit codes.
#include "agent/publish/bank.h"
#include "agent/publish/memory_maps.h"
#include "agent/serve/clock.h"
#include "tests/unit/agent/registration_client.h"

#include <tactus/tactus.hpp>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace tactus::agent;
using namespace tactus::agent::test;
using nlohmann::json;

namespace {

class process {
 public:
  explicit process(std::vector<std::string> arguments) {
    std::vector<char*> argv;
    arguments.insert(arguments.begin(), TACTUSD);
    for (auto& a : arguments) argv.push_back(a.data());
    argv.push_back(nullptr);
    int fds[2];
    REQUIRE(::pipe2(fds, O_CLOEXEC) == 0);
    err_ = unique_fd(fds[0]);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(fds[1], STDERR_FILENO);
      // Who has changed its user cannot be looked at by the leak checker's helper.
      for (const auto& a : arguments) {
        if (a == "--run-as") ::setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
      }
      ::execv(TACTUSD, argv.data());
      ::_exit(127);
    }
    ::close(fds[1]);
  }
  ~process() {
    if (pid_ > 0) end(SIGKILL);
  }
  // The exit code, or minus the signal.
  int wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = 0;
    char buffer[4096];
    for (ssize_t n; (n = ::read(err_.get(), buffer, sizeof(buffer))) > 0;) text_.append(buffer, static_cast<std::size_t>(n));
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  int end(int signal) {
    ::kill(pid_, signal);
    return wait();
  }
  void signal(int s) const { ::kill(pid_, s); }
  const std::string& text() const { return text_; }

 private:
  pid_t pid_ = 0;
  unique_fd err_;
  std::string text_;
};

struct fixture {
  std::string folder;
  std::vector<std::string> arguments;

  fixture() {
    char name[] = "/tmp/tactus-e2e-XXXXXX";
    folder = ::mkdtemp(name);
    std::filesystem::create_directory(folder + "/maps");
    std::filesystem::create_directory(folder + "/state");
    arguments = {"--socket", folder + "/agent", "--control", folder + "/control", "--state", folder + "/state",
                 "--fake-maps", folder + "/maps", "--fake-cpus", "4"};
  }
  ~fixture() { std::filesystem::remove_all(folder); }

  std::vector<std::string> with(std::initializer_list<std::string> more) const {
    auto all = arguments;
    all.insert(all.end(), more);
    return all;
  }
  json ask(const json& request) const {
    client c(folder + "/control");
    const std::string text = request.dump();
    if (!c.connected() || !c.send(text.data(), text.size())) return {};
    std::vector<char> reply(1 << 20);
    const ssize_t n = ::recv(c.fd(), reply.data(), reply.size(), 0);
    return n > 0 ? json::parse(reply.data(), reply.data() + n, nullptr, false) : json{};
  }
  std::size_t pools() const {
    const json s = ask({{"cmd", "status"}});
    return s.is_object() ? s["pools"].size() : 0;
  }
  void write(const std::string& name, const std::string& text) const { std::ofstream(folder + "/" + name) << text; }
};

}  // namespace

TEST_CASE("a pool of the library registers with tactusd, survives its death, registers again") {
  fixture f;
  tactus::pool_options options;
  options.workers = 2;
  options.agent_socket = f.folder + "/agent";
  tactus::pool pool(options);
  CHECK(pool.submit([] { return 41; }).get() == 41);  // no agent yet
  {
    process agent(f.arguments);
    REQUIRE(eventually([&] { return f.pools() == 1; }));
    CHECK(pool.submit([] { return 42; }).get() == 42);
    const json s = f.ask({{"cmd", "status"}});
    CHECK(s["pools"][0]["pid"] == ::getpid());
    // Rows of the pool's classes are published into the files.
    memory_maps::machine machine;
    memory_maps maps(machine, f.folder + "/maps");
    CHECK(maps.control()->abi_version == TACTUS_ABI_VERSION);
    CHECK(eventually([&] {
      tactus_row row;
      return read_row(&maps.rows()[tactus_row_index(maps.control()->bank, 0, 0)], row);
    }));
    CHECK(eventually([&] {  // its thread beats every 50 ms; it may not have begun yet
      return now_ns() - __atomic_load_n(&maps.control()->heartbeat_ns, __ATOMIC_ACQUIRE) < 500'000'000;
    }));
    agent.end(SIGKILL);
  }
  CHECK(pool.submit([] { return 43; }).get() == 43);  // nothing is lost without it
  {
    process agent(f.arguments);
    CHECK(eventually([&] { return f.pools() == 1; }));
    CHECK(pool.submit([] { return 44; }).get() == 44);
    CHECK(agent.end(SIGTERM) == 0);
  }
  CHECK(std::filesystem::exists(f.folder + "/state/model.ckpt"));
  CHECK_FALSE(std::filesystem::exists(f.folder + "/agent"));
}

TEST_CASE("each way to fail has its exit code and one line with the next step") {
  fixture f;
  const auto fails = [&](std::vector<std::string> arguments, int code, const char* part) {
    process p(std::move(arguments));
    CHECK(p.wait() == code);
    CHECK_MESSAGE(p.text().find(part) != std::string::npos, p.text());
  };
  SUBCASE("wrong use") { fails({"--nonsense"}, 64, ""); }
  SUBCASE("configuration that cannot be read") { fails(f.with({"--config", f.folder + "/none.toml"}), 30, "none.toml"); }
  SUBCASE("configuration with an error") {
    f.write("c.toml", "[agent]\nlearners = 1000\n");
    fails(f.with({"--config", f.folder + "/c.toml"}), 30, "c.toml:2: agent.learners");
  }
  SUBCASE("a learning parameter out of range") {
    f.write("c.toml", "[learning]\nsegment_length = 0\n");
    fails(f.with({"--config", f.folder + "/c.toml"}), 30, "segment_length");
  }
  SUBCASE("no such user") { fails(f.with({"--run-as", "nobody-of-this-name"}), 33, "useradd"); }
  SUBCASE("socket in a folder that is not there") {
    auto a = f.arguments;
    a[1] = f.folder + "/no/where";
    fails(a, 31, "folder must be writable");
  }
  SUBCASE("another agent is there") {
    process first(f.arguments);
    REQUIRE(eventually([&] { return client(f.folder + "/agent").connected(); }));
    fails(f.arguments, 31, "another agent listens");
    CHECK(first.end(SIGINT) == 0);
  }
  SUBCASE("maps of another ABI") {
    tactus_control control{};
    control.abi_version = TACTUS_ABI_VERSION + 1;
    std::ofstream(f.folder + "/maps/tactus_control", std::ios::binary).write(reinterpret_cast<const char*>(&control), sizeof(control));
    fails(f.arguments, 15, "ABI version");
  }
  SUBCASE("a damaged checkpoint, strictly") {
    f.write("state/model.ckpt", "not a model");
    fails(f.with({"--strict-checkpoint"}), 32, "kept as");
    CHECK(std::filesystem::exists(f.folder + "/state/model.ckpt.bad"));
  }
}

TEST_CASE("a damaged checkpoint alone does not end the agent, and SIGHUP reads the configuration") {
  fixture f;
  f.write("state/model.ckpt", "not a model");
  f.write("c.toml", "[limits]\ncpu_percent = 30\n");
  process agent(f.with({"--config", f.folder + "/c.toml"}));
  const auto share = [&] {
    const json s = f.ask({{"cmd", "status"}});
    return s.is_object() ? s["budget"]["cpu_share"].get<double>() : 0;
  };
  REQUIRE(eventually([&] { return share() == doctest::Approx(0.3); }));
  CHECK(f.ask({{"cmd", "status"}})["learning"]["started_from"] == "installed model");
  f.write("c.toml", "[limits]\ncpu_percent = 40\n");
  agent.signal(SIGHUP);
  CHECK(eventually([&] { return share() == doctest::Approx(0.4); }));
  f.write("c.toml", "[limits]\ncpu_percent = -1\n");
  agent.signal(SIGHUP);
  ::usleep(400000);
  CHECK(share() == doctest::Approx(0.4));
  CHECK(agent.end(SIGTERM) == 0);
  CHECK(agent.text().find("the configuration stays as it was") != std::string::npos);
}

TEST_CASE("as another user the agent has no capability and cannot get any") {
  if (::geteuid() != 0) {
    MESSAGE("needs root to start it; the VM tests show the same");
    return;
  }
  fixture f;
  ::chmod(f.folder.c_str(), 0777);
  ::chmod((f.folder + "/maps").c_str(), 0777);
  ::chmod((f.folder + "/state").c_str(), 0777);
  process agent(f.with({"--run-as", "nobody"}));
  json s;
  REQUIRE(eventually([&] {
    s = f.ask({{"cmd", "status"}});
    return s.is_object();
  }));
  CHECK(s["uid"] != 0);
  std::ifstream in("/proc/" + std::to_string(s["pid"].get<int>()) + "/status");
  unsigned seen = 0;
  for (std::string line; std::getline(in, line);) {
    if (line.rfind("Cap", 0) == 0) {
      CHECK_MESSAGE(line.find("0000000000000000") != std::string::npos, line);
      seen++;
    }
    if (line.rfind("NoNewPrivs", 0) == 0) CHECK(line.back() == '1');
    if (line.rfind("Uid:", 0) == 0) CHECK(line.find("\t0\t") == std::string::npos);
  }
  CHECK(seen == 5);
  CHECK(agent.end(SIGTERM) == 0);
}
