// SPDX-License-Identifier: Apache-2.0
// Parsers of single files, and growth of counters.
#include <doctest/doctest.h>

#include "agent/sense/counter.h"
#include "agent/sense/files.h"
#include "agent/sense/parse.h"

using namespace tactus::sense;

TEST_CASE("/proc/stat: each CPU by its number, cut and foreign lines left out") {
  const auto cpus = parse_stat(
      "cpu  9 9 9 9\ncpu0 1 2 3 4 5 6 7 8 9 10\ncpu2 1 2 3 4\ncpu3 1 2 3\ncpu4 1 -2 3 4\ncpu5 1 nan 3 4\ncpu1x 1 2 3 4\n"
      "cpu1024 1 2 3 4\ncpu99999999999 1 2 3 4\nintr 1 2\ncpu7 1 2 3 4\n");
  REQUIRE(cpus.size() == 3);
  CHECK(cpus[0].present);
  CHECK(cpus[0].total() == 36);
  CHECK(cpus[0].softirq == 7);
  CHECK(cpus[0].steal == 8);
  CHECK_FALSE(cpus[1].present);
  CHECK(cpus[2].total() == 10);
}

TEST_CASE("shares of the time between two lines; a counter that steps back stands still") {
  const cpu_ticks before{true, 10, 0, 10, 100, 50, 0, 0, 5}, now{true, 30, 0, 20, 160, 45, 6, 4, 5};
  const cpu_shares s = shares_between(before, now);
  CHECK(s.present);
  CHECK(s.busy == doctest::Approx(0.4));
  CHECK(s.interrupt == doctest::Approx(0.1));
  CHECK(s.iowait == 0);
  CHECK_FALSE(shares_between(now, now).present);
}

TEST_CASE("pressure: both lines, or the first alone; no number is no pressure") {
  const auto p = parse_pressure("some avg10=1.50 avg60=2.00 avg300=3.00 total=1\nfull avg10=0.50 avg60=0.25 avg300=0.10 total=1\n");
  REQUIRE(p);
  CHECK(p->some_avg10 == 1.5);
  CHECK(p->some_avg300 == 3);
  CHECK(p->full_avg60 == 0.25);
  CHECK(parse_pressure("some avg10=7.00")->some_avg10 == 7);
  CHECK_FALSE(parse_pressure("full avg10=7.00"));
  CHECK_FALSE(parse_pressure("some avg10=nan avg60=0"));
  CHECK_FALSE(parse_pressure("some avg10=inf avg60=0"));
  CHECK_FALSE(parse_pressure(""));
}

TEST_CASE("memory: a share only where the numbers make one") {
  CHECK(*parse_meminfo("MemTotal: 100 kB\nMemAvailable: 25 kB\n").memory == 0.75);
  CHECK(*parse_meminfo("SwapTotal: 100 kB\nSwapFree: 90 kB").swap == doctest::Approx(0.1));
  CHECK_FALSE(parse_meminfo("MemTotal: 100 kB\nMemAvailable: 250 kB\n").memory);
  CHECK_FALSE(parse_meminfo("MemTotal: 0 kB\nMemAvailable: 0 kB\n").memory);
  CHECK_FALSE(parse_meminfo("MemTotal: 100 kB\nMemAvailable: -5 kB\n").memory);
  CHECK_FALSE(parse_meminfo("SwapTotal: 0 kB\nSwapFree: 0 kB\n").swap);
  CHECK_FALSE(parse_meminfo("MemTotal: 100").memory);
}

TEST_CASE("numastat needs both counters") {
  CHECK(parse_numastat("numa_hit 1\nlocal_node 5\nother_node 6\n")->other == 6);
  CHECK_FALSE(parse_numastat("local_node 5\n"));
  CHECK_FALSE(parse_numastat("local_node 5\nother_node -6\n"));
}

TEST_CASE("CPU lists") {
  CHECK(parse_cpu_list("0-3,8,10-11\n", 1024) == std::vector<unsigned>{0, 1, 2, 3, 8, 10, 11});
  CHECK(parse_cpu_list("", 1024).empty());
  CHECK(parse_cpu_list("5-2", 1024).empty());
  CHECK(parse_cpu_list("0-4294967295", 4) == std::vector<unsigned>{0, 1, 2, 3});
  CHECK(parse_cpu_list("1,99999999999", 8) == std::vector<unsigned>{1});
}

TEST_CASE("a counter's growth: not at first, not over a gap, over a wrap of 32 bits, not over a reset") {
  counter c;
  CHECK_FALSE(c.grow(10));
  CHECK(*c.grow(15) == 5);
  CHECK_FALSE(c.grow(std::nullopt));
  CHECK_FALSE(c.grow(40));
  CHECK(*c.grow(4294967290.0) == 4294967250.0);
  CHECK(*c.grow(4) == 10);  // past 2^32
  CHECK_FALSE(c.grow(3));   // started anew
  CHECK(*c.grow(3) == 0);
}
