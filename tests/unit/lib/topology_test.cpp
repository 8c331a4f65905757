// SPDX-License-Identifier: Apache-2.0
// The map of CPUs from sysfs and by hwloc, and what a pool does with it: whom a worker steals from first, who
// is woken for an urgent task. Machines of several nodes and core types are files, or hwloc's descriptions.
#include "../sense/fixture_tree.h"
#include "hwloc_map.h"
#include "pool_core.h"
#include "pools.h"
#include "thread_state.h"
#include "victim_order.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <mutex>
#include <sched.h>
#include <thread>

using namespace tactus;
using namespace std::chrono_literals;
using detail::cpu_map;
using tactus::test::fixture_tree;

namespace {

bool have_hwloc() {
  if (!detail::read_by_hwloc("pu:1").cpus().empty()) return true;
  MESSAGE("not checked: no hwloc here");
  return false;
}

// Two nodes with a cache each: CPUs 0-3 are two small cores of two threads, CPUs 4-7 four large cores.
std::string hybrid_xml() {
  unsigned id = 0;
  const auto sets = [](const char* cpus, const char* nodes) {
    std::string out;
    for (const char* prefix : {"", "complete_"})
      out += std::string(" ") + prefix + "cpuset=\"" + cpus + "\" " + prefix + "nodeset=\"" + nodes + "\"";
    return out;
  };
  const auto object = [&](const std::string& what, const std::string& inside) {
    return "<object " + what + " gp_index=\"" + std::to_string(++id) + "\">" + inside + "</object>";
  };
  const auto pu = [&](unsigned cpu, const char* set, const char* node) {
    return object("type=\"PU\" os_index=\"" + std::to_string(cpu) + "\"" + sets(set, node), "");
  };
  const auto core = [&](const char* set, const char* node, const std::string& pus) {
    return object("type=\"Core\"" + sets(set, node), pus);
  };
  const auto package = [&](const char* set, const char* node, unsigned number, const std::string& cores) {
    const std::string index = " os_index=\"" + std::to_string(number) + "\"";
    return object("type=\"Package\"" + index + sets(set, node),
                  object("type=\"NUMANode\"" + index + sets(set, node) + " local_memory=\"1048576\"", "") +
                      object("type=\"L3Cache\"" + sets(set, node) +
                                 " cache_size=\"1048576\" depth=\"3\" cache_linesize=\"64\" cache_associativity=\"0\" cache_type=\"0\"",
                             cores));
  };
  const std::string small = core("0x3", "0x1", pu(0, "0x1", "0x1") + pu(1, "0x2", "0x1")) +
                            core("0xc", "0x1", pu(2, "0x4", "0x1") + pu(3, "0x8", "0x1"));
  const std::string large = core("0x10", "0x2", pu(4, "0x10", "0x2")) + core("0x20", "0x2", pu(5, "0x20", "0x2")) +
                            core("0x40", "0x2", pu(6, "0x40", "0x2")) + core("0x80", "0x2", pu(7, "0x80", "0x2"));
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE topology SYSTEM \"hwloc2.dtd\">\n<topology version=\"2.0\">" +
         object("type=\"Machine\" os_index=\"0\"" + sets("0xff", "0x3") + " allowed_cpuset=\"0xff\" allowed_nodeset=\"0x3\"",
                package("0xf", "0x1", 0, small) + package("0xf0", "0x2", 1, large)) +
         "<cpukind cpuset=\"0xf\"><info name=\"CoreType\" value=\"IntelAtom\"/></cpukind>"
         "<cpukind cpuset=\"0xf0\"><info name=\"CoreType\" value=\"IntelCore\"/></cpukind></topology>";
}

void check_hybrid(const cpu_map& map) {
  REQUIRE(map.cpus().size() == 8);
  CHECK(map.distance(0, 1) == 1);
  CHECK(map.distance(0, 2) == 2);
  CHECK(map.distance(4, 5) == 2);
  CHECK(map.distance(0, 4) == 4);
  CHECK(map.capacity(3) == 512);
  CHECK(map.capacity(4) == 1024);
  CHECK_FALSE(map.flat());
}

// Makes the calling thread, and with it pools that it makes, run on CPU 0; for as long as it lives.
class on_cpu_0 {
 public:
  on_cpu_0() {
    cpu_set_t zero;
    CPU_ZERO(&zero);
    CPU_SET(0, &zero);
    sched_getaffinity(0, sizeof before_, &before_);
    there = sched_setaffinity(0, sizeof zero, &zero) == 0;
    if (!there) MESSAGE("not checked: CPU 0 is not ours");
  }
  ~on_cpu_0() { sched_setaffinity(0, sizeof before_, &before_); }
  bool there = false;

 private:
  cpu_set_t before_;
};

// A pool that takes this for the hybrid machine above.
pool_options on_hybrid(unsigned workers) {
  static const fixture_tree tree;  // hwloc's environment is read once in a process
  tree.put("hybrid.xml", hybrid_xml());
  setenv("HWLOC_XMLFILE", (tree.root() / "hybrid.xml").c_str(), 1);
  setenv("HWLOC_THISSYSTEM", "1", 1);
  pool_options out = test::quiet(workers);
  out.topology = topology_source::hwloc;
  return out;
}

void until_all_sleep(pool& p) {
  while (p.core().nr_idle() < p.workers()) std::this_thread::sleep_for(100us);
  std::this_thread::sleep_for(1ms);  // a worker that counts as idle may take it back once more
  while (p.core().nr_idle() < p.workers()) std::this_thread::sleep_for(100us);
}

}  // namespace

TEST_CASE("sysfs: cores, caches, nodes and stated capacities") {
  const fixture_tree t;
  const std::string system = "sys/devices/system/";
  t.put(system + "cpu/online", "0-4,6\n");  // 5 is offline
  t.put(system + "node/online", "0-1\n");
  t.put(system + "node/node0/cpulist", "0-3\n");
  t.put(system + "node/node1/cpulist", "4-6\n");
  for (int c : {0, 1, 2, 3, 4, 6}) {
    const std::string own = system + "cpu/cpu" + std::to_string(c);
    t.put(own + "/topology/core_cpus_list", c < 2 ? "0-1\n" : std::to_string(c) + "\n");
    t.put(own + "/cache/index3/shared_cpu_list", c < 3 ? "0-2\n" : c == 3 ? "3\n" : "4,6\n");
    t.put(own + "/cpu_capacity", c == 6 ? "446\n" : "1024\n");
  }
  const cpu_map map = cpu_map::read(t.root());
  CHECK(map.distance(1, 1) == 0);
  CHECK(map.distance(0, 1) == 1);
  CHECK(map.distance(0, 2) == 2);
  CHECK(map.distance(0, 3) == 3);
  CHECK(map.distance(3, 4) == 4);
  CHECK(map.distance(4, 6) == 2);
  CHECK(map.distance(0, 5) == 2);   // offline: not known
  CHECK(map.distance(-1, 99) == 2);
  CHECK(map.capacity(6) == 446);
  CHECK(map.capacity(5) == 1024);
  CHECK(map.cpus()[5].core == -1);
}

TEST_CASE("sysfs: core types where no capacity is stated, by Intel's name or by frequency") {
  const fixture_tree t;
  const std::string cpu = "sys/devices/system/cpu/";
  t.put(cpu + "online", "0-2\n");
  CHECK(cpu_map::read(t.root()).capacity(2) == 1024);
  for (int c : {0, 1, 2})
    t.put(cpu + "cpu" + std::to_string(c) + "/cpufreq/cpuinfo_max_freq", c == 2 ? "3500000\n" : "5000000\n");
  CHECK(cpu_map::read(t.root()).capacity(0) == 1024);
  CHECK(cpu_map::read(t.root()).capacity(2) == 716);
  t.put("sys/devices/cpu_atom/cpus", "1\n");
  CHECK(cpu_map::read(t.root()).capacity(0) == 1024);
  CHECK(cpu_map::read(t.root()).capacity(1) == 512);
  CHECK(cpu_map::read(t.root()).capacity(2) == 1024);
}

TEST_CASE("a machine is flat where each CPU is a core and all share a cache") {
  CHECK(cpu_map().flat());
  CHECK(cpu_map({{0, 0, 0}, {1, 0, 0}, {}}).flat());
  CHECK_FALSE(cpu_map({{0, 0, 0}, {0, 0, 0}}).flat());  // two threads of a core
  CHECK_FALSE(cpu_map({{0, 0, 0}, {1, 1, 0}}).flat());
}

TEST_CASE("hwloc: synthetic machines of several nodes, and a hybrid one in XML") {
  if (!have_hwloc()) return;
  const cpu_map map = detail::read_by_hwloc("pack:2 numa:2 l3:2 core:2 pu:2");  // 32 CPUs
  REQUIRE(map.cpus().size() == 32);
  CHECK(map.distance(0, 1) == 1);
  CHECK(map.distance(0, 2) == 2);
  CHECK(map.distance(0, 4) == 3);
  CHECK(map.distance(0, 8) == 4);
  CHECK(map.distance(0, 31) == 4);
  CHECK(map.capacity(31) == 1024);
  CHECK(detail::read_by_hwloc("pack:1 core:4 pu:1").flat());
  check_hybrid(detail::read_by_hwloc(hybrid_xml()));
  CHECK(detail::read_by_hwloc("nonsense:x").cpus().empty());
}

TEST_CASE("hwloc and sysfs say the same of this machine; without hwloc there is sysfs") {
  const cpu_map& files = detail::machine_cpus(topology_source::sysfs);
  REQUIRE_FALSE(files.cpus().empty());
  CHECK(files.cpus()[static_cast<std::size_t>(sched_getcpu())].core >= 0);
  CHECK(detail::read_by_hwloc({}, "libtactus-no-such-library.so.1").cpus().empty());
  if (!have_hwloc()) return;
  const cpu_map by_hwloc = detail::read_by_hwloc();
  for (int a = 0; a < static_cast<int>(files.cpus().size()); ++a) {
    CHECK(files.capacity(a) == by_hwloc.capacity(a));
    for (int b = 0; b <= a; ++b) CHECK_MESSAGE(files.distance(a, b) == by_hwloc.distance(a, b), a << " and " << b);
  }
}

TEST_CASE("victims: nearest first, all of them, from another start each time among equals") {
  if (!have_hwloc()) return;
  const cpu_map map = detail::read_by_hwloc("pack:2 numa:2 l3:2 core:2 pu:2");
  const std::array<int, 8> seen_on{31, 4, 1, 2, 8, 5, 3, 30};  // of threads 0..7; we are on CPU 0
  detail::victim_order order;
  order.init(8);
  const auto visited = [&](unsigned start) {
    std::vector<unsigned> out;
    order.visit(start, [&](unsigned i) {
      out.push_back(i);
      return false;
    });
    return out;
  };
  CHECK(visited(6) == std::vector<unsigned>{6, 7, 0, 1, 2, 3, 4, 5});  // nothing known yet
  order.arrange(map, 0, [&](unsigned i) { return seen_on[i]; });
  CHECK(visited(0) == std::vector<unsigned>{2, 3, 6, 1, 5, 0, 4, 7});
  CHECK(visited(5) == std::vector<unsigned>{2, 6, 3, 5, 1, 7, 0, 4});
  CHECK(order.visit(0, [](unsigned i) { return i == 1 ? 10u : 0u; }) == 10);  // ends at the first that gives something
}

TEST_CASE("a pool that asks for hwloc goes by what hwloc says") {
  if (!have_hwloc()) return;
  pool p(on_hybrid(1));
  check_hybrid(p.core().cpus);
  pool other(test::quiet(1));
  CHECK(&other.core().cpus == &detail::machine_cpus(topology_source::sysfs));
  CHECK(p.submit([] { return 1; }).get() + other.submit([] { return 2; }).get() == 3);
}

TEST_CASE("an urgent task wakes a worker of a fast core, an ordinary one the nearest") {
  const on_cpu_0 here;
  if (!here.there || !have_hwloc()) return;
  pool p(on_hybrid(2));
  const task_class ordinary("ordinary"), urgent("urgent", {.priority = 3});
  const auto who_runs = [&](const task_class& c) {
    until_all_sleep(p);
    p.core().workers[0].last_cpu = 4;
    p.core().workers[1].last_cpu = 2;
    return p.submit(c, [] { return detail::t_state.self->index; }).get();
  };
  CHECK(who_runs(ordinary) == 1);
  CHECK(who_runs(urgent) == 0);
  CHECK(p.stats().selections[static_cast<std::size_t>(selection_reason::near)] == 1);
  CHECK(p.stats().selections[static_cast<std::size_t>(selection_reason::fast)] == 1);
}

TEST_CASE("a worker steals from the same core first, then the same cache, then the other node") {
  const on_cpu_0 here;
  if (!here.there || !have_hwloc()) return;
  constexpr unsigned k_workers = 4;
  constexpr std::array<int, k_workers> k_seen_on{0, 4, 2, 1};  // of the thief, and of the victims in order of arrival
  for (int round = 0; round < 4; ++round) {
    pool p(on_hybrid(k_workers));
    std::atomic<unsigned> arrived{0}, ready{0};
    std::atomic<bool> thief_may_go{false}, victims_may_go{false};
    std::vector<int> stolen_from;  // the CPUs where the victims were seen; by the thief alone
    for (unsigned i = 0; i < k_workers; ++i)
      p.detach([&] {
        const unsigned place = arrived++;
        const int cpu = k_seen_on[place];
        while (arrived < k_workers) std::this_thread::sleep_for(100us);  // or a late worker would steal before it blocks
        detail::t_state.self->seen_on = cpu;
        if (place > 0) p.detach([&, cpu] { stolen_from.push_back(cpu); });  // into its own deque
        ++ready;
        (place == 0 ? thief_may_go : victims_may_go).wait(false);
      });
    while (ready < k_workers) std::this_thread::sleep_for(100us);
    thief_may_go = true;
    thief_may_go.notify_all();
    while (p.core().nr_idle() == 0) std::this_thread::sleep_for(100us);  // it has taken all there was
    victims_may_go = true;
    victims_may_go.notify_all();
    p.wait();
    CHECK(stolen_from == std::vector<int>{1, 2, 4});
  }
}
