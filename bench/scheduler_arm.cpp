// SPDX-License-Identifier: Apache-2.0
#include "scheduler_arm.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <cstdio>
#include <deque>
#include <fstream>
#include <sstream>

#include "bench.h"
#include "lib/include/tactus/abi/decision_map.h"

namespace tactus::bench {
namespace {

constexpr const char* k_state = "/sys/kernel/sched_ext/state";
constexpr const char* k_ops = "/sys/kernel/sched_ext/root/ops";

std::string line_of(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

}  // namespace

std::string sched_ext_state() { return line_of(k_state); }

void require_sched_ext(const char* script) {
  if (geteuid() != 0) throw unavailable(fmt::format("needs root; run {}, which uses a VM", script));
  if (sched_ext_state().empty())
    throw unavailable(fmt::format("this kernel has no sched_ext; run {}, which uses a VM", script));
  if (sched_ext_state() != "disabled")
    throw unavailable(fmt::format("a scheduler is loaded already ({}); unload it first", line_of(k_ops)));
}

void wait_until(const char* what, double timeout_s, const std::function<bool()>& condition) {
  const std::int64_t until_ns = now_ns() + static_cast<std::int64_t>(timeout_s * 1e9);
  while (!condition()) {
    if (now_ns() > until_ns)
      throw std::runtime_error(fmt::format("{} not reached within {} s; see {}", what, timeout_s, k_log));
    usleep(20'000);
  }
}

void tactus_command(std::vector<std::string> words, bool must) {
  words.insert(words.begin(), "tactus");
  const std::string text = fmt::format("{}", fmt::join(words, " "));
  const int code = run_to_end(words, k_log, 60);
  if (code != 0 && must) throw std::runtime_error(fmt::format("'{}' ended with {}; see {}", text, code, k_log));
}

void show_log() {
  std::ifstream file(k_log);
  std::deque<std::string> last;
  for (std::string line; std::getline(file, line);) {
    last.push_back(line);
    if (last.size() > 15) last.pop_front();
  }
  for (const std::string& line : last) fmt::print(stderr, "  {}\n", line);
}

scheduler_arm::scheduler_arm(std::string agent) : command_(agent.empty() ? "tactusd --run-as tactus" : std::move(agent)) {
  if (access(TACTUS_PIN_DIR "/tactus_stats", F_OK) == 0) tactus_command({"unload"}, false);  // left-overs
}

scheduler_arm::~scheduler_arm() {
  try {
    if (sched_ext_state() == "enabled" && line_of(k_ops).find("tactus") != std::string::npos)
      run_to_end({"tactus", "unload"}, k_log, 60);
  } catch (...) {  // nothing more can be done here
  }
}

void scheduler_arm::load() {
  tactus_command({"load"});
  if (!agent_) {
    std::vector<std::string> words;
    std::istringstream command(command_);
    for (std::string word; command >> word;) words.push_back(word);
    agent_ = std::make_unique<child_process>(words, false, k_log);
  }
  wait_until("agent answering", k_patience_s, [&] {
    if (!agent_->running()) throw std::runtime_error(fmt::format("the agent ended; see {}", k_log));
    return access("/run/tactus/control.sock", F_OK) == 0;
  });
}

void scheduler_arm::unload() {
  tactus_command({"unload"});
  wait_until("scheduler unloaded", 20, [] { return sched_ext_state() == "disabled"; });
}

}  // namespace tactus::bench
