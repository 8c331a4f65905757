// SPDX-License-Identifier: Apache-2.0
//
// A timer's signal, handled by the main thread: the threads of pools block all signals, so of them only
// what /proc tells is seen. The handler calls what signal handlers should not (opendir, stdio): the
// program is lost anyway.
#include "tests/hang_report.h"

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <dirent.h>
#include <execinfo.h>
#include <initializer_list>
#include <unistd.h>

extern "C" __attribute__((weak)) void __sanitizer_print_stack_trace(void);

namespace tactus::test {
namespace {

std::atomic<const char*> running{"(none)"};

// One line of /proc/self/task/TID/NAME.
void print_line_of(const char* tid, const char* name) {
  char path[300], text[400];
  std::snprintf(path, sizeof path, "/proc/self/task/%s/%s", tid, name);
  std::FILE* file = std::fopen(path, "r");
  const bool is_there = file && std::fgets(text, sizeof text, file);
  if (file) std::fclose(file);
  std::fprintf(stderr, "    %-8s %s", name, is_there ? text : "?\n");
}

void report(int) {
  std::fprintf(stderr, "\nThis test hangs, in test case \"%s\". The main thread is at:\n", running.load());
  if (__sanitizer_print_stack_trace) {
    __sanitizer_print_stack_trace();
  } else {
    void* frames[64];
    backtrace_symbols_fd(frames, backtrace(frames, 64), STDERR_FILENO);
  }
  DIR* threads = opendir("/proc/self/task");
  while (const dirent* entry = threads ? readdir(threads) : nullptr) {
    if (entry->d_name[0] == '.') continue;
    std::fprintf(stderr, "  thread %s\n", entry->d_name);
    for (const char* name : {"comm", "stat", "syscall", "wchan"}) print_line_of(entry->d_name, name);
    std::fputc('\n', stderr);
  }
  if (threads) closedir(threads);
}

}  // namespace

void now_running(const char* test_case) { running.store(test_case); }

void report_hang_in_time() {
  const char* seconds = std::getenv("TACTUS_TEST_SECONDS");
  if (!seconds || std::atoi(seconds) <= 0) return;
  const int signal = SIGRTMIN + 9;
  struct sigaction action {};
  action.sa_handler = report;
  action.sa_flags = SA_RESTART | SA_RESETHAND;
  sigaction(signal, &action, nullptr);
  sigevent event{};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = signal;
  timer_t timer;
  const itimerspec when{{}, {std::atoi(seconds), 0}};
  if (timer_create(CLOCK_MONOTONIC, &event, &timer) == 0) timer_settime(timer, 0, &when, nullptr);
}

}  // namespace tactus::test
