// SPDX-License-Identifier: Apache-2.0
// What a worker writes into its tag page: tags, records, merging, folding, exact
// totals, the change of pages, and that none of it makes a system call.
#include "tag_writer.h"

#include <cstring>
#include <doctest/doctest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <map>
#include <memory>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace tactus::detail;

namespace {

struct totals {
  std::uint64_t count = 0, missed = 0, failed = 0, units = 0, records = 0;
};

// A page, its writer, and a reader that plays the kernel.
struct fixture {
  std::unique_ptr<tactus_tag_page> page = std::make_unique<tactus_tag_page>();
  tag_writer writer;
  std::map<unsigned, totals> seen;
  std::uint64_t last_end = 0;

  explicit fixture(tick_clock clock = process_clock()) { writer.init(page.get(), clock); }
  void take() { take(*page); }
  void take(tactus_tag_page& from) {
    CHECK(from.head - from.tail <= TACTUS_RING_RECORDS);
    for (; from.tail != from.head; ++from.tail) {
      const tactus_record& r = from.ring[from.tail % TACTUS_RING_RECORDS];
      REQUIRE(r.count >= 1);
      totals& t = seen[r.local_class];
      t.count += r.count;
      t.units += r.run_units;
      if (r.flags & TACTUS_RECORD_MISSED) t.missed += r.count;
      if (r.flags & TACTUS_RECORD_FAILED) t.failed += r.count;
      ++t.records;
      CHECK(r.end_ticks >= last_end);
      last_end = r.end_ticks;
    }
  }
};

std::uint64_t tag(unsigned c, std::uint64_t deadline_ns = 0) { return tactus_tag_make(c, 1, deadline_ns); }

void spin_us(double us) {
  const auto& clock = process_clock();
  const std::uint64_t until = clock.read() + static_cast<std::uint64_t>(us * clock.ticks_per_us);
  while (clock.read() < until) {
  }
}

}  // namespace

TEST_CASE("clock kinds by kernel clocksource") {
#if TACTUS_HAS_TSC
  CHECK(clock_for_source("tsc") == TACTUS_CLOCK_TSC);
#endif
  CHECK(clock_for_source("kvm-clock") == TACTUS_CLOCK_NS);
  CHECK(clock_for_source("hyperv_clocksource_tsc_page") == TACTUS_CLOCK_NS);
  CHECK(clock_for_source("hpet") == TACTUS_CLOCK_NONE);
  CHECK(clock_for_source("acpi_pm") == TACTUS_CLOCK_NONE);
}

TEST_CASE("the tag is in the page while a task runs and 0 when the worker sleeps") {
  fixture f;
  CHECK(f.page->tag == 0);
  f.writer.begin(tag(3));
  CHECK(f.page->tag == tag(3));
  f.writer.end(1);
  f.writer.begin(tag(4, 123456789));
  CHECK(f.page->tag == tag(4, 123456789));
  f.writer.end(1);
  f.writer.park();
  CHECK(f.page->tag == 0);
}

TEST_CASE("a long task is one record with its own time, published at its end") {
  fixture f;
  const auto& clock = process_clock();
  for (int i = 0; i < 10; ++i) {
    f.writer.begin(tag(1));
    spin_us(100);
    f.writer.end(1);
    CHECK(f.page->head == static_cast<unsigned>(i) + 1);
  }
  f.take();
  CHECK(f.seen[1].count == 10);
  CHECK(f.seen[1].records == 10);
  if (clock.recorded()) CHECK(static_cast<double>(f.seen[1].units) * 16 >= 10 * 100 * clock.ticks_per_us * 0.99);
}

TEST_CASE("short tasks of one class merge; totals stay exact") {
  fixture f;
  for (int i = 0; i < 100'000; ++i) {
    f.writer.begin(tag(2));
    f.writer.end(3);
    if (i % 1000 == 0) f.take();
  }
  f.writer.park();
  f.take();
  CHECK(f.seen[2].count == 100'000);
  CHECK(f.seen[2].records < 10'000);
  CHECK(f.page->finished[2] == 100'000);
  CHECK(f.page->weight_finished == 300'000);
}

TEST_CASE("a change of class publishes the open record before the next begins") {
  fixture f;
  for (int i = 0; i < 60; ++i) {
    f.writer.begin(tag(1));
    f.writer.end(1);
    f.writer.begin(tag(2));
    f.writer.end(1);
  }
  CHECK(f.page->head == 119);  // the last one is open
  f.writer.park();
  f.take();
  CHECK(f.seen[1].count == 60);
  CHECK(f.seen[2].count == 60);
}

TEST_CASE("a record of 20 us is published though the class goes on") {
  fixture f;
  for (int i = 0; i < 200; ++i) {
    f.writer.begin(tag(1));
    spin_us(1);
    f.writer.end(1);
  }
  CHECK(f.page->head >= 3);
  f.writer.park();
  f.take();
  CHECK(f.seen[1].count == 200);
}

TEST_CASE("time runs over many records without loss") {
  fixture f;
  const auto& clock = process_clock();
  if (!clock.recorded()) return;
  const std::uint64_t start = clock.read();
  f.writer.begin(tag(1));
  f.writer.end(1);
  for (int i = 0; i < 20'000; ++i) {
    f.writer.begin(tag(1 + i % 3));
    f.writer.end(1);
    if (i % 50 == 0) f.take();
  }
  f.writer.park();
  const std::uint64_t whole = clock.read() - start;
  f.take();
  const std::uint64_t units = f.seen[1].units + f.seen[2].units + f.seen[3].units;
  CHECK(units * 16 <= whole);
  CHECK(static_cast<double>(units * 16) >= static_cast<double>(whole) * 0.5);
}

TEST_CASE("a full ring folds, per class and exactly, and goes on when tail moves") {
  fixture f;
  for (int i = 0; i < 1000; ++i) {
    f.writer.begin(tag(1 + i % 2));
    f.writer.end(1);
  }
  f.writer.park();
  CHECK(f.page->head == TACTUS_RING_RECORDS);
  CHECK(f.page->folded_classes == 0b110);
  f.take();
  CHECK(f.seen[1].count + f.page->fold[1].count == 500);
  CHECK(f.seen[2].count + f.page->fold[2].count == 500);
  const unsigned folded = f.page->fold[1].count;
  f.writer.begin(tag(1));
  f.writer.end(1);
  f.writer.park();
  CHECK(f.page->head == TACTUS_RING_RECORDS + 1);
  CHECK(f.page->fold[1].count == folded);
}

TEST_CASE("a tail that lies cannot make the writer leave the ring") {
  fixture f;
  f.page->tail = 0x80000000u;
  for (int i = 0; i < 300; ++i) {
    f.writer.begin(tag(1 + i % 2));
    f.writer.end(1);
  }
  f.writer.park();
  CHECK(f.page->fold[1].count + f.page->fold[2].count + f.page->head == 300);
}

TEST_CASE("deadlines: late tasks are marked, and only they") {
  fixture f;
  const auto& clock = process_clock();
  const auto deadline_in_us = [&](double us) {
    return clock.recorded() ? clock.read() + static_cast<std::uint64_t>(us * clock.ticks_per_us)
                            : tick_clock::now_ns() + static_cast<std::uint64_t>(us * 1000);
  };
  for (int i = 0; i < 20; ++i) {
    const std::uint64_t deadline = deadline_in_us(i % 4 == 0 ? 1 : 1e6);
    f.writer.begin(tag(5));
    spin_us(5);
    f.writer.end(1, 0, deadline);
  }
  f.writer.begin(tag(5));
  f.writer.end(1);  // no deadline
  f.writer.park();
  f.take();
  CHECK(f.seen[5].count == 21);
  CHECK(f.seen[5].missed == 5);
  CHECK(f.writer.counters(5).missed.load() == 5);
}

TEST_CASE("failed tasks do not share a record with others") {
  fixture f;
  for (int i = 0; i < 1000; ++i) {
    f.writer.begin(tag(1));
    f.writer.end(1, i % 10 == 0 ? TACTUS_RECORD_FAILED : 0u);
    if (i % 50 == 0) f.take();
  }
  f.writer.park();
  f.take();
  CHECK(f.seen[1].count == 1000);
  CHECK(f.seen[1].failed == 100);
  CHECK(f.writer.counters(1).failed.load() == 100);
}

TEST_CASE("a task that waits gives its time to its own class, what runs inside to theirs") {
  fixture f;
  const auto& clock = process_clock();
  if (!clock.recorded()) return;
  f.writer.begin(tag(1));
  spin_us(300);
  const std::uint64_t outer = f.writer.tag();
  f.writer.suspend();
  f.writer.begin(tag(2));
  CHECK(f.page->tag == tag(2));
  spin_us(1000);
  f.writer.end(1);
  f.writer.resume(outer);
  CHECK(f.page->tag == tag(1));
  spin_us(300);
  f.writer.end(1);
  f.writer.park();
  f.take();
  const double us1 = static_cast<double>(f.seen[1].units) * 16 / clock.ticks_per_us;
  const double us2 = static_cast<double>(f.seen[2].units) * 16 / clock.ticks_per_us;
  CHECK(f.seen[1].count == 1);
  CHECK(f.seen[2].count == 1);
  // The machine may take the CPU away, so only from below.
  CHECK(us1 >= 590);
  CHECK(us2 >= 990);
  CHECK(us1 + us2 <= static_cast<double>(f.last_end) / clock.ticks_per_us);
}

TEST_CASE("time between tasks counts for nobody after gap()") {
  fixture f;
  const auto& clock = process_clock();
  if (!clock.recorded()) return;
  f.writer.begin(tag(1));
  f.writer.end(1);
  f.writer.gap();
  spin_us(5000);
  f.writer.begin(tag(1));
  f.writer.end(1);
  f.writer.park();
  f.take();
  CHECK(f.seen[1].count == 2);
  CHECK(static_cast<double>(f.seen[1].units) * 16 < 5000 * clock.ticks_per_us);
}

TEST_CASE("without a trusted clock records carry counts and no times") {
  tick_clock none = process_clock();
  none.kind = TACTUS_CLOCK_NONE;
  fixture f(none);
  CHECK(f.page->clock == TACTUS_CLOCK_NONE);
  for (int i = 0; i < 10'000; ++i) {
    f.writer.begin(tag(1 + i / 5000));
    f.writer.end(1);
    if (i % 50 == 0) f.take();
  }
  f.writer.park();
  f.take();
  CHECK(f.seen[1].count == 5000);
  CHECK(f.seen[2].count == 5000);
  CHECK(f.seen[1].units == 0);
  CHECK(f.last_end == 0);
}

TEST_CASE("a worker changes pages at a task boundary; counters go on, the ring starts anew") {
  fixture f;
  auto shared = std::make_unique<tactus_tag_page>();
  for (int i = 0; i < 100; ++i) {
    f.writer.submitted(1, 2);
    f.writer.begin(tag(1));
    f.writer.end(2);
  }
  f.writer.begin(tag(2));
  f.writer.offer(shared.get());
  CHECK(f.writer.active() == f.page.get());  // a task runs
  f.writer.end(1);
  f.writer.begin(tag(1));
  CHECK(f.writer.active() == shared.get());
  CHECK(f.page->tag == 0);
  CHECK(shared->tag == tag(1));
  f.writer.end(2);
  f.writer.park();
  CHECK(shared->finished[1] == 101);
  CHECK(shared->finished[2] == 1);
  CHECK(shared->submitted[1] == 100);
  CHECK(shared->weight_submitted == 200);
  CHECK(shared->weight_finished == 203);
  CHECK(shared->clock == static_cast<unsigned>(process_clock().kind));
  f.seen.clear();
  f.take();
  f.last_end = 0;
  f.take(*shared);
  CHECK(f.seen[1].count == 101);
  CHECK(f.seen[2].count == 1);
  // back
  f.writer.offer(f.page.get());
  f.writer.park();
  CHECK(f.writer.active() == f.page.get());
  CHECK(f.page->finished[1] == 101);
}

// Counts system calls by forbidding them: in a child that may only write and
// exit, 200,000 tasks with tags, records, deadlines, submissions and page
// changes must survive. The control shows that one forbidden call is seen.
namespace {
int run_without_system_calls(bool with_a_call) {
  fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    fixture f;
    auto other = std::make_unique<tactus_tag_page>();
    sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    sock_fprog program{sizeof filter / sizeof filter[0], filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
      syscall(SYS_exit_group, 77);
    for (int i = 0; i < 200'000; ++i) {
      f.writer.submitted(1, 1);
      f.writer.begin(tag(1 + i / 100 % 3));
      f.writer.end(1, i % 1000 == 0 ? TACTUS_RECORD_FAILED : 0u, i % 10 == 0 ? f.last_end + 1 : 0);
      if (i % 5000 == 0) f.writer.offer(i % 2 ? other.get() : f.page.get());
      if (i % 777 == 0) f.writer.park();
    }
    if (with_a_call) syscall(SYS_getppid);
    syscall(SYS_exit_group, f.writer.counters(1).submitted.load() == 200'000 ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}
}  // namespace

TEST_CASE("tags and completions make no system call") {
  if (process_clock().kind == TACTUS_CLOCK_NONE) {
    MESSAGE("no clock here is free of system calls; deadlines would make one");
    return;
  }
  const int status = run_without_system_calls(false);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
    MESSAGE("seccomp is not allowed here");
    return;
  }
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(WIFSIGNALED(run_without_system_calls(true)));
}
