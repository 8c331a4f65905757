// SPDX-License-Identifier: Apache-2.0
#include "child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "bench.h"

extern char** environ;

namespace tactus::bench {
namespace {

constexpr std::int64_t k_poll_ns = 10'000'000;

void pause_briefly() {
  const timespec t{0, k_poll_ns};
  nanosleep(&t, nullptr);
}

void check(int error, const std::string& what) {
  if (error != 0) throw std::system_error(error, std::generic_category(), what);
}

}  // namespace

child_process::child_process(std::vector<std::string> argv, bool pipes, const std::string& log_file) : name_(argv.at(0)) {
  int in[2] = {-1, -1}, out[2] = {-1, -1};
  if (pipes && (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0)) check(errno, "pipe");
  posix_spawn_file_actions_t actions;
  check(posix_spawn_file_actions_init(&actions), name_);
  if (pipes) {
    posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  } else {
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    const char* const to = log_file.empty() ? "/dev/null" : log_file.c_str();
    posix_spawn_file_actions_addopen(&actions, 1, to, O_WRONLY | O_CREAT | O_APPEND, 0644);
  }
  if (!log_file.empty())
    posix_spawn_file_actions_addopen(&actions, 2, log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  std::vector<char*> words;
  for (std::string& a : argv) words.push_back(a.data());
  words.push_back(nullptr);
  const int error = posix_spawnp(&pid_, words[0], &actions, nullptr, words.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (pipes) {
    close(in[0]);
    close(out[1]);
    to_ = in[1];
    from_ = out[0];
  }
  if (error != 0) {
    pid_ = -1;
    check(error, "starting " + name_);
  }
}

child_process::~child_process() {
  end(SIGKILL);
  if (to_ >= 0) close(to_);
  if (from_ >= 0) close(from_);
}

void child_process::send(const std::string& line) {
  const std::string text = line + "\n";
  if (write(to_, text.data(), text.size()) != static_cast<ssize_t>(text.size())) check(errno, "writing to " + name_);
}

std::string child_process::receive(double timeout_s) {
  const std::int64_t until_ns = now_ns() + static_cast<std::int64_t>(timeout_s * 1e9);
  for (;;) {
    if (const auto end = buffer_.find('\n'); end != std::string::npos) {
      std::string line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      return line;
    }
    const std::int64_t left_ns = until_ns - now_ns();
    if (left_ns <= 0) throw std::runtime_error(name_ + " did not answer within " + std::to_string(static_cast<int>(timeout_s)) + " s");
    pollfd p{from_, POLLIN, 0};
    if (poll(&p, 1, static_cast<int>(left_ns / 1'000'000) + 1) <= 0) continue;
    char part[65536];
    const ssize_t n = read(from_, part, sizeof part);
    if (n <= 0) throw std::runtime_error(name_ + " has ended; see its log");
    buffer_.append(part, static_cast<std::size_t>(n));
  }
}

bool child_process::running() {
  if (pid_ > 0 && waitpid(pid_, &status_, WNOHANG) == pid_) pid_ = -1;
  return pid_ > 0;
}

int child_process::end(int signal, double timeout_s) {
  if (!running()) return status_;
  kill(pid_, signal);
  const std::int64_t until_ns = now_ns() + static_cast<std::int64_t>(timeout_s * 1e9);
  while (running() && now_ns() < until_ns) pause_briefly();
  if (running()) {
    kill(pid_, SIGKILL);
    waitpid(pid_, &status_, 0);
    pid_ = -1;
  }
  return status_;
}

int run_to_end(std::vector<std::string> argv, const std::string& log_file, double timeout_s) {
  const std::string name = argv.at(0);
  child_process child(std::move(argv), false, log_file);
  const std::int64_t until_ns = now_ns() + static_cast<std::int64_t>(timeout_s * 1e9);
  while (child.running()) {
    if (now_ns() > until_ns) throw std::runtime_error(name + " did not end within " + std::to_string(static_cast<int>(timeout_s)) + " s");
    pause_briefly();
  }
  const int status = child.end(0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace tactus::bench
