// SPDX-License-Identifier: Apache-2.0
//
// Rule 1: affinity and cpusets are always obeyed. Managed workers run and sleep while their masks
// change hundreds of times and the rows send all of them to one place after the other, allowed or
// not. Each worker looks where it is and compares with the mask that was in force while it looked.
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <random>

#include "kernel_tests.h"
#include "support.h"

namespace tactus::vmtest {
namespace {

constexpr unsigned k_workers = 6;
constexpr unsigned k_slot = 1;

// The mask in force for one worker; odd sequence: it is being changed.
struct guarded_mask {
  std::atomic<unsigned> sequence{0};
  std::atomic<std::uint64_t> cpus{~0ull};
  std::atomic<std::uint64_t> looks{0}, violations{0};
  std::atomic<int> bad_cpu{-1};
};

void look(guarded_mask& m) {
  const unsigned before = m.sequence.load(std::memory_order_seq_cst);
  if (before & 1) return;
  const std::uint64_t cpus = m.cpus.load(std::memory_order_seq_cst);
  const int cpu = sched_getcpu();
  if (m.sequence.load(std::memory_order_seq_cst) != before) return;
  m.looks.fetch_add(1, std::memory_order_relaxed);
  if (!(cpus >> cpu & 1)) {
    if (!m.violations.fetch_add(1)) note("worker on CPU %d with mask %llx in force", cpu, static_cast<unsigned long long>(cpus));
    m.bad_cpu = cpu;
  }
}

class crowd {
 public:
  explicit crowd(maps& m) : pool_(m, 3, k_workers) {
    for (unsigned i = 0; i < k_workers; ++i) {
      pool_.set_tag(i, k_slot);
      threads_[i] = std::make_unique<looping_thread>([this, i] {
        // Half of them sleep often (wake-up decisions), half run on (ends of slices).
        burn_cpu_ns(i % 2 ? 300'000 : 3'000'000);
        look(masks[i]);
        if (i % 2 || masks[i].looks % 8 == 0) sleep_ns(300'000);
        look(masks[i]);
      });
      pool_.adopt(threads_[i]->tid(), i);
    }
  }
  int tid(unsigned i) const { return threads_[i]->tid(); }
  void report(const char* what, unsigned changes) {
    std::uint64_t looks = 0, violations = 0;
    int cpu = -1;
    for (guarded_mask& m : masks) {
      looks += m.looks.exchange(0);
      violations += m.violations.exchange(0);
      if (m.bad_cpu != -1) cpu = m.bad_cpu.exchange(-1);
    }
    expect(violations == 0, "%s: %llu looks during %u changes, %llu on a forbidden CPU (last %d)", what,
           static_cast<unsigned long long>(looks), changes, static_cast<unsigned long long>(violations), cpu);
    expect(looks > changes, "%s: workers ran on all along", what);
  }
  std::array<guarded_mask, k_workers> masks;

 private:
  test_pool pool_;
  std::array<std::unique_ptr<looping_thread>, k_workers> threads_;
};

std::uint64_t random_mask(std::mt19937& random, unsigned cpus) {
  std::uint64_t mask = 0;
  while (!mask) mask = random() & ((1ull << cpus) - 1);
  return mask;
}

std::string cpu_list(std::uint64_t mask) {
  std::string list;
  for (unsigned c = 0; c < 64; ++c)
    if (mask >> c & 1) list += (list.empty() ? "" : ",") + std::to_string(c);
  return list;
}

// Rows that send everything to one place, another each time.
void point_rows(maps& m, std::mt19937& random, unsigned places) {
  distribution d = distribution::all_on(random() % places);
  if (random() % 4 == 0) d = distribution::hold();
  m.set_rows(k_slot, d);
}

void change_affinities(maps& m, crowd& workers, std::mt19937& random, unsigned changes) {
  const unsigned cpus = nr_cpus(), places = m.nr_places();
  for (unsigned n = 0; n < changes; ++n) {
    const unsigned i = random() % k_workers;
    const std::uint64_t mask = random_mask(random, cpus);
    cpu_set_t set;
    CPU_ZERO(&set);
    for (unsigned c = 0; c < cpus; ++c)
      if (mask >> c & 1) CPU_SET(c, &set);
    guarded_mask& g = workers.masks[i];
    g.sequence.fetch_add(1);
    if (sched_setaffinity(workers.tid(i), sizeof(set), &set)) give_up("sched_setaffinity failed");
    g.cpus = mask;
    g.sequence.fetch_add(1);
    if (n % 5 == 0) point_rows(m, random, places);
    sleep_ns(2'000'000);
  }
}

void change_cpuset(maps& m, crowd& workers, std::mt19937& random, unsigned changes) {
  const std::string group = "/sys/fs/cgroup/tactus-vm-test";
  const unsigned cpus = nr_cpus(), places = m.nr_places();
  mkdir(group.c_str(), 0755);
  if (!write_file(group + "/cgroup.procs", std::to_string(getpid())))
    give_up("cannot enter %s: the cpuset controller is missing?", group.c_str());
  cpu_set_t all;
  CPU_ZERO(&all);
  for (unsigned c = 0; c < cpus; ++c) CPU_SET(c, &all);
  for (unsigned i = 0; i < k_workers; ++i) {
    workers.masks[i].sequence.fetch_add(1);
    sched_setaffinity(workers.tid(i), sizeof(all), &all);
    workers.masks[i].cpus = ~0ull;
    workers.masks[i].sequence.fetch_add(1);
  }
  for (unsigned n = 0; n < changes; ++n) {
    const std::uint64_t mask = random_mask(random, cpus);
    for (guarded_mask& g : workers.masks) g.sequence.fetch_add(1);
    if (!write_file(group + "/cpuset.cpus", cpu_list(mask))) give_up("cannot write %s/cpuset.cpus", group.c_str());
    for (guarded_mask& g : workers.masks) {
      g.cpus = mask;
      g.sequence.fetch_add(1);
    }
    if (n % 3 == 0) point_rows(m, random, places);
    sleep_ns(15'000'000);
  }
  for (guarded_mask& g : workers.masks) g.sequence.fetch_add(1);  // from here on everything is allowed
  write_file("/sys/fs/cgroup/cgroup.procs", std::to_string(getpid()));
  rmdir(group.c_str());
}

}  // namespace

int test_affinity(const arguments&) {
  constexpr unsigned k_affinity_changes = 500, k_cpuset_changes = 150;
  maps m;
  std::mt19937 random(1);
  m.set_class(k_slot, true);
  point_rows(m, random, m.nr_places());
  m.agent_alive();
  const tactus_stats before = m.stats();
  {
    become_realtime();  // this thread alone: it changes the masks
    crowd workers(m);
    change_affinities(m, workers, random, k_affinity_changes);
    workers.report("affinity", k_affinity_changes);
    change_cpuset(m, workers, random, k_cpuset_changes);
    workers.report("cpuset", k_cpuset_changes);
  }
  const tactus_stats after = m.stats();
  expect(after.decisions[TACTUS_SOURCE_ROW] - before.decisions[TACTUS_SOURCE_ROW] > 200,
         "rows were followed meanwhile: %llu decisions, %llu more found no legal place in them",
         after.decisions[TACTUS_SOURCE_ROW] - before.decisions[TACTUS_SOURCE_ROW],
         after.decisions[TACTUS_SOURCE_FALLBACK_ILLEGAL] - before.decisions[TACTUS_SOURCE_FALLBACK_ILLEGAL]);
  expect(scheduler_enabled(), "the scheduler is still loaded");
  return finish();
}

}  // namespace tactus::vmtest
