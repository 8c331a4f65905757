// SPDX-License-Identifier: Apache-2.0
// Sizing: affinity, cpusets and quotas of both cgroup versions, from fixture
// trees; presets; and a pool that changes its size.
#include "../sense/fixture_tree.h"
#include "pools.h"

#include <sizing.h>

#include <doctest/doctest.h>
#include <algorithm>
#include <numeric>
#include <sched.h>
#include <thread>

using namespace tactus;
using tactus::test::fixture_tree;

namespace {

std::vector<unsigned> cpus(unsigned n) {
  std::vector<unsigned> out(n);
  std::iota(out.begin(), out.end(), 0u);
  return out;
}

constexpr const char* k_v2_mount = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
constexpr const char* k_v1_mounts =
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

}  // namespace

TEST_CASE("without limits all CPUs of the affinity mask count") {
  fixture_tree t;
  CHECK(detail::read_cpu_budget_at(t.root(), cpus(6)).cpus == 6);
  CHECK(detail::read_cpu_budget_at(t.root(), cpus(6)).quota == 0);
  CHECK(workers_for({.cpus = 6, .quota = 0}) == 6);
  const cpu_budget here = read_cpu_budget();
  CHECK(here.cpus >= 1);
  CHECK(here.cpus <= detail::affinity_cpus().size());
}

TEST_CASE("parts of CPUs become whole workers") {
  const auto workers = [](double quota, quota_rounding r, unsigned cpus = 8) {
    return workers_for({.cpus = cpus, .quota = quota}, r);
  };
  using enum quota_rounding;
  CHECK(workers(0.5, nearest) == 1);
  CHECK(workers(0.5, down) == 1);
  CHECK(workers(0.05, up) == 1);
  for (auto r : {nearest, down, up}) CHECK(workers(1, r) == 1);
  CHECK(workers(1.2, nearest) == 1);
  CHECK(workers(1.2, up) == 2);
  CHECK(workers(1.5, nearest) == 2);
  CHECK(workers(1.5, down) == 1);
  CHECK(workers(1.5, up) == 2);
  CHECK(workers(2.7, nearest) == 3);
  CHECK(workers(2.99999, down) == 3);
  CHECK(workers(100, nearest, 4) == 4);
}

TEST_CASE("the quota of cgroup v2 is that of the tightest group above us") {
  fixture_tree t;
  t.put("proc/self/cgroup", "0::/user.slice/job\n");
  t.put("proc/self/mountinfo", k_v2_mount);
  CHECK(detail::read_cpu_budget_at(t.root(), cpus(8)).quota == 0);
  t.put("sys/fs/cgroup/user.slice/job/cpu.max", "max 100000\n");
  CHECK(detail::read_cpu_budget_at(t.root(), cpus(8)).quota == 0);
  t.put("sys/fs/cgroup/user.slice/job/cpu.max", "150000 100000\n");
  CHECK(detail::read_cpu_budget_at(t.root(), cpus(8)).quota == doctest::Approx(1.5));
  t.put("sys/fs/cgroup/user.slice/cpu.max", "50000 100000\n");
  CHECK(detail::read_cpu_budget_at(t.root(), cpus(8)).quota == doctest::Approx(0.5));
  t.put("sys/fs/cgroup/user.slice/cpu.max", "600000 200000\n");
  CHECK(detail::read_cpu_budget_at(t.root(), cpus(8)).quota == doctest::Approx(1.5));
}

TEST_CASE("the quota of cgroup v1, where the controller is mounted with another") {
  fixture_tree t;
  t.put("proc/self/cgroup", "5:cpuset:/\n3:cpu,cpuacct:/docker/f00\n0::/\n");
  t.put("proc/self/mountinfo", k_v1_mounts);
  const std::string folder = "sys/fs/cgroup/cpu,cpuacct/docker/f00/";
  t.put(folder + "cpu.cfs_quota_us", "-1\n");
  t.put(folder + "cpu.cfs_period_us", "100000\n");
  CHECK(detail::read_cpu_budget_at(t.root(), cpus(4)).quota == 0);
  t.put(folder + "cpu.cfs_quota_us", "50000\n");
  CHECK(detail::read_cpu_budget_at(t.root(), cpus(4)).quota == doctest::Approx(0.5));
}

TEST_CASE("a container sees its own group as the root of the mount") {
  fixture_tree t;  // v1: the path is the host's, the mount's root is that very group
  t.put("proc/self/cgroup", "3:cpu:/docker/f00\n");
  t.put("proc/self/mountinfo", "32 31 0:29 /docker/f00 /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n");
  t.put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n");
  t.put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  CHECK(detail::read_cpu_budget_at(t.root(), cpus(4)).quota == doctest::Approx(2));
  fixture_tree u;  // v2 with a cgroup name space; a path from outside of it
  u.put("proc/self/cgroup", "0::/../other\n");
  u.put("proc/self/mountinfo", k_v2_mount);
  u.put("sys/fs/cgroup/cpu.max", "100000 100000\n");
  CHECK(detail::read_cpu_budget_at(u.root(), cpus(4)).quota == doctest::Approx(1));
}

TEST_CASE("the cpuset is intersected with the affinity mask") {
  fixture_tree t;
  t.put("proc/self/cgroup", "0::/job\n");
  t.put("proc/self/mountinfo", k_v2_mount);
  t.put("sys/fs/cgroup/job/cpuset.cpus.effective", "2-3,6\n");
  CHECK(detail::read_cpu_budget_at(t.root(), cpus(8)).cpus == 3);
  CHECK(detail::read_cpu_budget_at(t.root(), {0, 1, 2}).cpus == 1);
  CHECK(detail::read_cpu_budget_at(t.root(), {0, 1}).cpus == 2);  // contradiction: the mask holds
  CHECK(detail::parse_cpu_list("0-2,5,7-7") == std::vector<unsigned>{0, 1, 2, 5, 7});
  CHECK(detail::parse_cpu_list("").empty());
  CHECK(detail::parse_cpu_list("3-1").empty());
}

TEST_CASE("files full of nonsense set no limit") {
  fixture_tree t;
  t.put("proc/self/cgroup", "no colons\n0::\n:::::\n0::/job\n");
  t.put("proc/self/mountinfo", std::string("garbage\n- - -\n") + k_v2_mount);
  for (const char* text : {"", "x y", "100000", "0 100000", "-5 100000", "100000 0", "99999999999999999999 1"}) {
    t.put("sys/fs/cgroup/job/cpu.max", text);
    CHECK_MESSAGE(workers_for(detail::read_cpu_budget_at(t.root(), cpus(2))) >= 1, text);
  }
  t.put("sys/fs/cgroup/job/cpuset.cpus.effective", "none");
  CHECK(detail::read_cpu_budget_at(t.root(), cpus(2)).cpus == 2);
}

TEST_CASE("a pool has as many workers as the affinity mask has CPUs") {
  std::thread([] {
    const std::vector<unsigned> all = detail::affinity_cpus();
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(all.back(), &one);
    REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
    pool_options o;
    o.register_with_agent = false;
    CHECK(pool(o).workers() == 1);
  }).join();
}

TEST_CASE("presets have names and make pools that work") {
  for (auto which : {preset::basic, preset::performance, preset::latency, preset::throughput, preset::embedded,
                     preset::testing}) {
    CHECK(preset_of_name(name_of(which)) == which);
    pool_options o = options_for(which);
    o.register_with_agent = false;
    pool p(o);
    CHECK(p.submit([] { return 7; }).get() == 7);
    std::atomic<int> n{0};
    p.parallel_for(0, 100, [&](int) { ++n; });
    CHECK(n == 100);
  }
  CHECK_FALSE(preset_of_name("fast").has_value());
  CHECK(pool(preset::embedded).workers() <= 2);
  CHECK(pool(preset::testing).spares() == 0);
}

TEST_CASE("resize changes who takes tasks, and loses none") {
  pool_options o = test::quiet(2);
  o.max_workers = 4;
  pool p(o);
  CHECK(p.workers() == 2);
  CHECK(p.max_workers() == 4);
  // As many tasks run at once as there are workers.
  for (unsigned n : {4u, 1u, 3u, 2u, 4u}) {
    CHECK(p.resize(n) == n);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));  // for who is just looking for a task
    std::atomic<unsigned> inside{0}, most{0}, ran{0};
    p.detach_bulk(12, [&](std::size_t) {
      const unsigned now = ++inside;
      for (unsigned seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      --inside;
      ++ran;
    });
    while (ran < 12) std::this_thread::yield();
    p.wait();
    CHECK(most <= n);
    CHECK(ran == 12);
  }
  CHECK(p.resize(99) == 4);
  const unsigned as_budget = p.resize();
  CHECK(as_budget == std::min(4u, workers_for(read_cpu_budget())));
}

TEST_CASE("resizing while tasks stream in and wait for each other") {
  pool_options o = test::quiet(4);
  pool p(o);
  std::atomic<bool> stop{false};
  std::thread changer([&] {
    for (unsigned n = 1; !stop; n = n % 4 + 1) {
      p.resize(n);
      std::this_thread::yield();
    }
  });
  std::atomic<long> n{0};
  for (int round = 0; round < 300; ++round) {
    task_group g(p);
    for (int i = 0; i < 5; ++i)
      g.run([&] {
        task_group inner(p);
        for (int k = 0; k < 3; ++k) inner.run([&] { ++n; });
        inner.wait();
        n += p.submit([] { return 1; }).get();
      });
    g.wait();
  }
  stop = true;
  changer.join();
  CHECK(n == 300 * 5 * 4);
  p.resize(1);
}
