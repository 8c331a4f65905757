// SPDX-License-Identifier: Apache-2.0
//
// tactus-vm-pool FILE: a real pool of libtactus under load until SIGTERM: three classes, one urgent,
// submitted from outside and from tasks. In the end FILE holds "SUBMITTED FINISHED REGISTERED", where
// FINISHED is counted by the tasks themselves; exit code 0 when both are equal.
#include <tactus/tactus.hpp>

#include <signal.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>

namespace {

void work(std::chrono::microseconds span) {
  const auto end = std::chrono::steady_clock::now() + span;
  while (std::chrono::steady_clock::now() < end) {
  }
}

}  // namespace

int main(int argc, char** argv) {
  using namespace std::chrono_literals;
  if (argc != 2) {
    std::fputs("usage: tactus-vm-pool FILE   (ends with SIGTERM)\n", stderr);
    return 64;
  }
  sigset_t end_signals;
  sigemptyset(&end_signals);
  sigaddset(&end_signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &end_signals, nullptr);

  tactus::pool_options options;
  options.name = "vm-pool";
  tactus::pool pool(options);
  tactus::task_class urgent("urgent", {.priority = 3, .weight = 4, .deadline = 5ms});
  tactus::task_class medium("medium"), tiny("tiny", {.priority = 0});
  std::atomic<unsigned long> submitted{0}, finished{0};
  bool registered = false;
  const timespec now{};
  while (sigtimedwait(&end_signals, nullptr, &now) != SIGTERM) {
    submitted += 1 + 2 + 2 * 10;
    pool.detach(urgent, [&] { work(200us); ++finished; });
    for (int i = 0; i < 2; ++i)
      pool.detach(medium, [&] {
        for (int k = 0; k < 10; ++k) pool.detach(tiny, [&] { work(30us); ++finished; });
        work(300us);
        ++finished;
      });
    registered = registered || pool.registered();
    std::this_thread::sleep_for(5ms);
  }
  pool.wait();
  pool.shutdown();
  if (std::FILE* file = std::fopen(argv[1], "w")) {
    std::fprintf(file, "%lu %lu %d\n", submitted.load(), finished.load(), registered);
    std::fclose(file);
  }
  return submitted == finished ? 0 : 1;
}
