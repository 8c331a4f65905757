// SPDX-License-Identifier: Apache-2.0
//
// Rule 6: over any 2 s of saturation a thread with arbitrary tags gets at most its weight's share
// + 10 %, unmanaged threads beside managed ones get theirs, and what a pool writes into its pages
// moves no counter of a domain beyond the clamp of that pool.
//
// Shares are measured by the threads' CPU clocks, sampled by a real-time thread every 100 ms; every
// window of 2 s is looked at. Detached runs of the same crowd are not needed: CPU time given out is
// compared with CPU time given out, whatever an emulated CPU is worth. What the host takes from a CPU at
// a stretch is seen and allowed for.
#include <sys/resource.h>

#include <algorithm>
#include <memory>
#include <random>

#include "kernel_tests.h"
#include "stall_meter.h"
#include "support.h"

#include "bpf/policy.h"

namespace tactus::vmtest {
namespace {

constexpr unsigned k_hostile_slot = 1, k_other_slot = 2;
constexpr std::uint64_t k_window_ns = 2'000'000'000, k_step_ns = 100'000'000;
// Two ends of a window fall into slices: one slice and tick of each thread per end.
constexpr double k_edge_ns = 2 * 8e6;
// Shorter stalls are not allowed for: the scheduler makes them good (TACTUS_LAG_LATE_NS, 40 ms).
constexpr std::uint64_t k_stall_ns = 20'000'000;

// CPU clocks of some threads at equal steps.
class shares {
 public:
  explicit shares(std::vector<int> tids) : tids_(std::move(tids)) {}
  void measure(std::uint64_t length_ns) {
    const std::uint64_t end = now_ns() + length_ns;
    do {
      std::vector<std::uint64_t> sample;
      for (const int tid : tids_) sample.push_back(cpu_time_ns(tid));
      samples_.push_back(std::move(sample));
      times_.push_back(now_ns());
      sleep_ns(k_step_ns);
    } while (now_ns() < end);
  }
  // The largest and smallest part of all CPU time of the crowd that one thread got in any window, less
  // and plus what it may have got or lost by the ends of the window and by CPUs that stood still.
  struct extremes { double most = 0, least = 1; };
  extremes of(std::size_t thread) const {
    constexpr std::size_t steps = k_window_ns / k_step_ns;
    extremes e;
    for (std::size_t from = 0; from + steps < samples_.size(); ++from) {
      double all = 0, mine = 0;
      for (std::size_t t = 0; t < tids_.size(); ++t) {
        const auto ran = static_cast<double>(samples_[from + steps][t] - samples_[from][t]);
        all += ran;
        if (t == thread) mine = ran;
      }
      if (all <= 0) continue;
      const double unsure = k_edge_ns + static_cast<double>(stalls_.inside({times_[from], times_[from + steps]}));
      e.most = std::max(e.most, (mine - unsure) / all);
      e.least = std::min(e.least, (mine + unsure) / all);
    }
    return e;
  }
  std::uint64_t stalled_ns() const { return stalls_.inside({times_.front(), times_.back()}); }

 private:
  std::vector<int> tids_;
  stall_meter stalls_{k_stall_ns};
  std::vector<std::vector<std::uint64_t>> samples_;
  std::vector<std::uint64_t> times_;
};

void spin() { burn_cpu_ns(100'000); }

struct member {
  bool managed;
  unsigned slot;
  int nice;
  bool naps;  // sleeps for a moment again and again, to gain from waking up
};

constexpr double weight_of(int nice) { return nice == 0 ? 1024 : nice == 5 ? 335 : nice == -5 ? 3121 : 0; }

// Runs a crowd that saturates all CPUs and checks that nobody gets more than the share of its weight
// + 10 %, nor less than 10 % below where `floor` asks for it.
void crowd(maps& m, const char* what, const std::vector<member>& members, const std::function<void(test_pool&)>& attack,
           bool floor) {
  test_pool pool(m, 8, static_cast<unsigned>(members.size()));
  std::vector<std::unique_ptr<looping_thread>> threads;
  std::vector<int> tids;
  double weights = 0;
  for (unsigned i = 0; i < members.size(); ++i) {
    const member& me = members[i];
    pool.set_tag(i, me.slot);
    threads.push_back(std::make_unique<looping_thread>(
        me.naps ? std::function<void()>([] { burn_cpu_ns(1'500'000); sleep_ns(50'000); }) : std::function<void()>(spin),
        [&me] { setpriority(PRIO_PROCESS, static_cast<id_t>(this_tid()), me.nice); }));
    tids.push_back(threads.back()->tid());
    if (me.managed) pool.adopt(tids.back(), i);
    weights += weight_of(me.nice);
  }
  std::unique_ptr<looping_thread> attacker;
  if (attack) attacker = std::make_unique<looping_thread>([&] { attack(pool); });
  sleep_ns(500'000'000);
  shares s(tids);
  s.measure(5'000'000'000);
  if (s.stalled_ns()) note("%s: the host let CPUs stand still for %.0f ms", what, static_cast<double>(s.stalled_ns()) / 1e6);
  const double cpus = nr_cpus();
  for (unsigned i = 0; i < members.size(); ++i) {
    // Nobody can use more than one CPU.
    const double fair = std::min(weight_of(members[i].nice) / weights, 1.0 / cpus);
    const auto e = s.of(i);
    const char* kind = members[i].managed ? members[i].slot == k_hostile_slot ? "hostile worker" : "worker" : "unmanaged";
    expect(e.most <= fair * 1.10, "%s: %s %u (nice %d) never got more than its share %.3f + 10 %%: at most %.3f", what, kind, i,
           members[i].nice, fair, e.most);
    if (floor && members[i].slot != k_hostile_slot)
      expect(e.least >= fair * 0.85, "%s: %s %u got its share %.3f less 15 %%: at least %.3f", what, kind, i, fair, e.least);
  }
}

std::uint64_t random64(std::mt19937_64& random) { return random(); }

// Everything a worker can say of itself: class, priority, deadline; half of them urgent and due now.
void random_tag(test_pool& pool, std::mt19937_64& random) {
  tactus_tag_page& page = pool.page(0);
  const std::uint64_t tag = random() % 2 ? tactus_tag_make(k_hostile_slot, TACTUS_PRIORITY_URGENT, now_ns())
                                         : random64(random) | TACTUS_TAG_VALID;
  __atomic_store_n(&page.tag, tag, __ATOMIC_RELAXED);
  __atomic_store_n(&page.next_tag, random64(random), __ATOMIC_RELAXED);
  sleep_ns(1'000'000);
}

}  // namespace

int test_fairness(const arguments&) {
  maps m;
  std::mt19937_64 random(6);
  become_realtime();
  m.set_class(k_hostile_slot, true);
  m.set_class(k_other_slot, true);
  m.agent_alive();
  distribution even;
  const unsigned places = m.nr_places();
  for (unsigned p = 0; p < places; ++p) even.place[p] = 1.0 / places;
  m.set_rows(k_other_slot, even);
  m.set_rows(k_hostile_slot, even);
  const auto attack = [&](test_pool& pool) { random_tag(pool, random); };

  const std::vector<member> mixed{{true, k_hostile_slot, 0, false}, {true, k_other_slot, 0, false},
                                  {false, k_other_slot, 0, false}, {false, k_other_slot, 0, false},
                                  {false, k_other_slot, 0, false}, {true, k_other_slot, 0, false}};
  crowd(m, "no attack", mixed, {}, true);
  crowd(m, "random urgent tags", mixed, attack, true);
  crowd(m, "random urgent tags and naps",
        {{true, k_hostile_slot, 0, true}, {true, k_other_slot, 0, false}, {false, k_other_slot, 0, false},
         {false, k_other_slot, 0, false}, {true, k_other_slot, 0, false}},
        attack, false);
  // The hostile class has a CPU for itself by its row; everybody else is sent to the other one.
  m.set_rows(k_hostile_slot, distribution::all_on(places - 1));
  m.set_rows(k_other_slot, distribution::all_on(0));
  crowd(m, "rows that give a CPU away",
        {{true, k_hostile_slot, 0, false}, {true, k_other_slot, 0, false}, {true, k_other_slot, 0, false},
         {true, k_other_slot, 0, false}},
        {}, false);
  // A slice of 20 ms, against default ones: time is charged, not slices.
  m.set_rows(k_hostile_slot, even, 1.0, 2000);
  m.set_rows(k_other_slot, even);
  crowd(m, "long slices", mixed, {}, false);
  crowd(m, "unequal weights",
        {{true, k_hostile_slot, 5, false}, {true, k_other_slot, 0, false}, {false, k_other_slot, 5, false},
         {false, k_other_slot, 0, false}, {true, k_other_slot, 0, false}, {false, k_other_slot, 0, false}},
        attack, false);
  expect(scheduler_enabled(), "the scheduler is still loaded");
  return finish();
}

int test_hostile_pages(const arguments&) {
  constexpr unsigned k_workers = 3;
  maps m;
  std::mt19937_64 random(7);
  become_realtime();
  m.set_class(k_other_slot, true);
  m.set_rows(k_other_slot, distribution::hold());
  m.agent_alive();
  const tactus_stats before = m.stats();
  const std::int64_t at_rest = m.domains[0].present;
  std::int64_t most = at_rest, least = at_rest;
  {
    test_pool pool(m, 9, k_workers), honest(m, 10, 1);
    std::vector<std::unique_ptr<looping_thread>> threads;
    for (unsigned i = 0; i < k_workers; ++i) {
      threads.push_back(std::make_unique<looping_thread>([] { burn_cpu_ns(200'000); sleep_ns(500'000); }));
      pool.adopt(threads.back()->tid(), i);
    }
    honest.set_tag(0, k_other_slot);
    looping_thread quiet([] { burn_cpu_ns(100'000); sleep_ns(5'000'000); });
    honest.adopt(quiet.tid(), 0);
    // All bytes of all pages of the pool, again and again.
    looping_thread attacker([&] {
      auto* words = reinterpret_cast<std::uint64_t*>(&pool.pool_page());
      for (unsigned i = 0; i < (1 + k_workers) * TACTUS_PAGE_BYTES / 8; ++i)
        __atomic_store_n(words + i, random64(random), __ATOMIC_RELAXED);
      sleep_ns(300'000);
    });
    for (unsigned i = 0; i < 1500; ++i) {
      const std::int64_t present = m.domains[0].present;
      most = std::max(most, present);
      least = std::min(least, present);
      sleep_ns(2'000'000);
    }
    const std::int64_t clamp = static_cast<std::int64_t>(TACTUS_PRESENT_PER_WORKER) * k_workers;
    expect(least >= 0 && most <= at_rest + clamp, "tasks present of the domain stay in 0 .. %lld + clamp %lld: %lld .. %lld",
           static_cast<long long>(at_rest), static_cast<long long>(clamp), static_cast<long long>(least),
           static_cast<long long>(most));
    expect(most > at_rest, "the pages were read");
  }
  const tactus_stats after = m.stats();
  note("%llu records skipped, %llu events, %llu lost", after.page_overruns - before.page_overruns,
       after.completion_events - before.completion_events, after.ring_lost - before.ring_lost);
  expect(after.page_overruns > before.page_overruns, "impossible heads of the ring were noticed");
  // The next tenant of the same index takes back what the pool left.
  {
    test_pool next(m, 9, 1);
    looping_thread thread([] { burn_cpu_ns(100'000); sleep_ns(2'000'000); });
    next.adopt(thread.tid(), 0);
    sleep_ns(300'000'000);
  }
  expect(m.domains[0].present == at_rest, "after the pool has gone the domain counts %lld tasks present, as before (%lld)",
         static_cast<long long>(m.domains[0].present), static_cast<long long>(at_rest));
  expect(m.domains[0].nr_waiting == 0 && m.domains[0].nr_held == 0, "nobody is left in the queues: %d waiting, %d held",
         m.domains[0].nr_waiting, m.domains[0].nr_held);
  expect(m.domains[0].changes_begun == m.domains[0].changes_ended, "changes of the area are balanced");
  expect(scheduler_enabled(), "the scheduler is still loaded");
  return finish();
}

}  // namespace tactus::vmtest
