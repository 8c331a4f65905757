// SPDX-License-Identifier: Apache-2.0
// tactus-bench pool, peak memory: a child process per sample makes the pool, submits many tasks at once,
// runs a recursion, and tells how far its resident memory has grown.
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <system_error>

#include "pool_rows.h"

namespace tactus::bench {
namespace {

constexpr unsigned k_waiting = 100'000;

// A line of /proc/self/status such as VmHWM, KiB.
double status_kib(const std::string& name) {
  std::ifstream file("/proc/self/status");
  for (std::string word; file >> word;)
    if (word == name + ":") {
      double kib = 0;
      file >> kib;
      return kib;
    }
  return 0;
}

double in_child_mib(const contestant_kind& kind, unsigned workers) {
  int ends[2];
  if (pipe(ends) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
  const pid_t child = fork();
  if (child < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (child == 0) {
    double grown = -1;
    try {
      std::ofstream("/proc/self/clear_refs") << "5";  // the peak starts from here
      const double before = status_kib("VmRSS");
      const auto pool = kind.make(workers);
      pool->spawn(k_waiting);
      if (pool->can_fork()) pool->fork_join(fork_job::fib, 18);
      grown = (status_kib("VmHWM") - before) / 1024;
    } catch (...) {
    }
    const bool sent = write(ends[1], &grown, sizeof(grown)) == sizeof(grown);
    _exit(sent ? 0 : 1);
  }
  close(ends[1]);
  double grown = -1;
  const bool received = read(ends[0], &grown, sizeof(grown)) == sizeof(grown);
  close(ends[0]);
  waitpid(child, nullptr, 0);
  if (!received || grown < 0) throw std::runtime_error(kind.name + ": its memory could not be measured");
  return grown;
}

}  // namespace

void add_memory_rows(const pool_setting& with, result& out) {
  const std::string name = fmt::format("peak memory, {} tasks submitted at once", k_waiting);
  if (!with.set.wants(name)) return;
  std::vector<arm> arms;
  for (const auto& kind : with.kinds)
    arms.push_back({kind.name, [&kind, &with] { return in_child_mib(kind, with.workers); }});
  out.rows.push_back(interleave(with.set, name, "MiB", arms, with.set.repetitions(25, 5)));
}

}  // namespace tactus::bench
