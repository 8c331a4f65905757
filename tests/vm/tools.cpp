// SPDX-License-Identifier: Apache-2.0
//
// What guest scripts need and no shell can do: a load that goes on across loads and unloads, a
// managed pool, another scheduler, maps of another ABI version.
#include <bpf/libbpf.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <memory>

#include "kernel_tests.h"
#include "support.h"

namespace tactus::vmtest {
namespace {

std::uint64_t seconds_to_ns(const arguments& args, std::size_t i, double otherwise) {
  return static_cast<std::uint64_t>((args.size() > i ? std::atof(args[i].c_str()) : otherwise) * 1e9);
}

}  // namespace

// load FILE SECONDS: busy and sleeping threads, forks, pipes. FILE gets the number of rounds done by
// the slowest kind of work, several times a second, so that a script sees everything go on.
int run_load(const arguments& args) {
  if (args.empty()) give_up("load needs a file");
  const std::uint64_t end = now_ns() + seconds_to_ns(args, 1, 60);
  enum { busy, naps, forks, pipes, kinds };
  std::array<std::atomic<std::uint64_t>, kinds> rounds{};
  std::vector<std::unique_ptr<looping_thread>> threads;
  for (unsigned i = 0; i < nr_cpus(); ++i)
    threads.push_back(std::make_unique<looping_thread>([&] { burn_cpu_ns(5'000'000); ++rounds[busy]; }));
  for (unsigned i = 0; i < 4; ++i)
    threads.push_back(std::make_unique<looping_thread>([&] { sleep_ns(3'000'000); burn_cpu_ns(200'000); ++rounds[naps]; }));
  threads.push_back(std::make_unique<looping_thread>([&] {
    const pid_t child = fork();
    if (child == 0) _exit(0);
    if (child > 0) waitpid(child, nullptr, 0);
    ++rounds[forks];
    sleep_ns(5'000'000);
  }));
  int there[2], back[2];
  if (pipe(there) || pipe(back)) give_up("pipe failed");
  threads.push_back(std::make_unique<looping_thread>([&] {
    char c = 0;
    if (write(there[1], &c, 1) == 1 && read(back[0], &c, 1) == 1) ++rounds[pipes];
    sleep_ns(1'000'000);
  }));
  std::thread echo([&] {
    char c;
    while (read(there[0], &c, 1) == 1 && write(back[1], &c, 1) == 1) {
    }
  });
  while (now_ns() < end) {
    std::uint64_t least = ~0ull;
    for (auto& r : rounds) least = std::min<std::uint64_t>(least, r);
    // A whole file at once: a reader never sees half a number.
    if (write_file(args[0] + ".new", std::to_string(least))) std::rename((args[0] + ".new").c_str(), args[0].c_str());
    sleep_ns(100'000'000);
  }
  threads.clear();
  close(there[1]);
  echo.join();
  return 0;
}

// pulse SECONDS: four managed workers of class 1 with a row for every place. Prints what was decided.
int run_pulse(const arguments& args) {
  maps m;
  distribution even;
  for (unsigned p = 0; p < m.nr_places(); ++p) even.place[p] = 1.0 / m.nr_places();
  m.set_class(1, true);
  m.set_rows(1, even);
  m.agent_alive();
  const tactus_stats before = m.stats();
  {
    test_pool pool(m, 2, 4);
    std::vector<std::unique_ptr<looping_thread>> threads;
    for (unsigned i = 0; i < 4; ++i) {
      pool.set_tag(i, 1);
      threads.push_back(std::make_unique<looping_thread>([&pool, i] {
        sleep_ns(2'000'000);
        burn_cpu_ns(100'000);
        record(pool.page(i), 1, 1, 100'000);
      }));
      pool.adopt(threads.back()->tid(), i);
    }
    sleep_ns(seconds_to_ns(args, 0, 1));
  }
  const tactus_stats after = m.stats();
  const std::uint64_t rows = after.decisions[TACTUS_SOURCE_ROW] - before.decisions[TACTUS_SOURCE_ROW];
  const std::uint64_t tasks = after.completions - before.completions;
  expect(rows > 20, "rows were followed: %llu decisions", static_cast<unsigned long long>(rows));
  expect(tasks > 20, "completions were reported: %llu tasks", static_cast<unsigned long long>(tasks));
  return finish();
}

int set_abi(const arguments& args) {
  if (args.empty()) give_up("abi needs a number");
  maps m;
  m.control->abi_version = static_cast<unsigned>(std::atoi(args[0].c_str()));
  return 0;
}

int hold_other_scheduler(const arguments& args) {
  if (args.empty()) give_up("other-scheduler needs the object file");
  bpf_object* object = bpf_object__open_file(args[0].c_str(), nullptr);
  bpf_map* ops = object && !bpf_object__load(object) ? bpf_object__find_map_by_name(object, "other_ops") : nullptr;
  bpf_link* link = ops ? bpf_map__attach_struct_ops(ops) : nullptr;
  if (!link) give_up("cannot load %s: %s", args[0].c_str(), std::strerror(errno));
  pause();
  return 0;
}

}  // namespace tactus::vmtest
