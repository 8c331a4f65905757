// SPDX-License-Identifier: Apache-2.0
// Which sleeping worker is woken: the rules with their reasons, the map of CPUs, and the pool's counts.
#include "cpu_map.h"
#include "pools.h"
#include "selector.h"

#include <chrono>
#include <doctest/doctest.h>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <sched.h>
#include <thread>
#include <unistd.h>
#include <vector>

using namespace tactus;
using detail::candidate;

namespace {

struct chosen {
  unsigned worker;
  selection_reason reason;
  friend bool operator==(const chosen&, const chosen&) = default;
};
chosen by(selection_rule rule, const std::vector<candidate>& candidates) {
  const auto s = detail::selector_for(rule).choose(candidates);
  return {s.worker, s.reason};
}

}  // namespace

TEST_CASE("each rule chooses by what it is named after, and says so") {
  const std::vector<candidate> some = {{.worker = 4, .queued = 1, .distance = 0, .suit = 200},
                                       {.worker = 5, .queued = 0, .distance = 4, .suit = 10},
                                       {.worker = 6, .queued = 0, .distance = 1, .suit = 30}};
  CHECK(by(selection_rule::least_queued, some) == chosen{5, selection_reason::least_queued});
  CHECK(by(selection_rule::locality, some) == chosen{6, selection_reason::near});
  CHECK(by(selection_rule::staged, some) == chosen{4, selection_reason::learned_row});
}

TEST_CASE("rows that do not tell candidates apart leave it to locality, and that to the queues") {
  const std::vector<candidate> same_suit = {{.worker = 0, .queued = 0, .distance = 3, .suit = 100},
                                            {.worker = 1, .queued = 0, .distance = 2, .suit = 60}};
  CHECK(by(selection_rule::staged, same_suit) == chosen{1, selection_reason::near});
  const std::vector<candidate> same_place = {{.worker = 0, .queued = 1, .distance = 2}, {.worker = 1, .queued = 0, .distance = 2}};
  CHECK(by(selection_rule::staged, same_place) == chosen{1, selection_reason::least_queued});
  CHECK(by(selection_rule::locality, same_place) == chosen{1, selection_reason::least_queued});
}

TEST_CASE("of those that suit, the nearest") {
  const std::vector<candidate> some = {{.worker = 0, .queued = 0, .distance = 4, .suit = 255},
                                       {.worker = 1, .queued = 0, .distance = 2, .suit = 220},
                                       {.worker = 2, .queued = 0, .distance = 0, .suit = 0}};
  CHECK(by(selection_rule::staged, some) == chosen{1, selection_reason::learned_row});
}

TEST_CASE("one candidate, and equal ones") {
  const std::vector<candidate> one = {{.worker = 7}}, equal = {{.worker = 2}, {.worker = 3}};
  for (const auto rule : {selection_rule::least_queued, selection_rule::locality, selection_rule::staged}) {
    CHECK(by(rule, one) == chosen{7, selection_reason::only_one});
    CHECK(by(rule, equal) == chosen{2, selection_reason::first});
  }
  CHECK(name_of(selection_reason::learned_row) == "learned row");
}

TEST_CASE("the map of CPUs: cores, caches, nodes and core types of a machine of files") {
  const auto root = std::filesystem::temp_directory_path() / ("tactus-cpus-" + std::to_string(getpid()));
  const auto write = [&](const std::string& file, const std::string& text) {
    const auto path = root / "sys/devices/system" / file;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text << '\n';
  };
  write("cpu/online", "0-4,6");  // 5 is offline
  write("node/online", "0-1");
  write("node/node0/cpulist", "0-3");
  write("node/node1/cpulist", "4-6");
  for (int c : {0, 1, 2, 3, 4, 6}) {
    const std::string own = "cpu/cpu" + std::to_string(c);
    write(own + "/topology/core_cpus_list", c < 2 ? "0-1" : std::to_string(c));
    write(own + "/cache/index3/shared_cpu_list", c < 3 ? "0-2" : c == 3 ? "3" : "4,6");
    write(own + "/cpu_capacity", c == 6 ? "446" : "1024");
  }
  const auto map = detail::cpu_map::read(root);
  std::filesystem::remove_all(root);
  CHECK(map.distance(1, 1) == 0);
  CHECK(map.distance(0, 1) == 1);
  CHECK(map.distance(0, 2) == 2);
  CHECK(map.distance(0, 3) == 3);
  CHECK(map.distance(3, 4) == 4);
  CHECK(map.distance(4, 6) == 2);
  CHECK(map.distance(0, 5) == 2);   // offline: not known
  CHECK(map.distance(-1, 99) == 2);
  CHECK(map.cpus()[6].capacity == 446);
  CHECK(map.cpus()[5].core == -1);
}

TEST_CASE("this machine's map knows every CPU we may run on") {
  const auto& map = detail::machine_cpus();
  REQUIRE_FALSE(map.cpus().empty());
  const int here = sched_getcpu();
  CHECK(map.cpus()[static_cast<std::size_t>(here)].core >= 0);
  CHECK(map.distance(here, here) == 0);
}

TEST_CASE("a pool counts its choices by reason") {
  pool p(test::quiet(3));
  const auto total = [&] {
    const auto counts = p.stats().selections;
    return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
  };
  for (int i = 0; i < 20; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));  // all sleep
    p.submit([] {}).get();
  }
  CHECK(total() >= 10);
}
