// SPDX-License-Identifier: Apache-2.0
//
// Completions on their way to the agent: 20,000 tasks per second and more, none lost; with a ring
// that is small on purpose, what is lost is counted, by event and by task, and nothing else suffers.
#include <algorithm>
#include <memory>

#include "kernel_tests.h"
#include "support.h"

namespace tactus::vmtest {
namespace {

constexpr unsigned k_slot = 1;

// Workers that finish tasks at a rate, as many records as there are tasks.
class producers {
 public:
  producers(maps& m, unsigned workers, unsigned per_second) : workers_(workers), pool_(m, 11, workers) {
    constexpr std::uint64_t k_period_ns = 2'000'000;
    const unsigned batch = per_second / workers / (1'000'000'000 / k_period_ns) + 1;
    for (unsigned i = 0; i < workers; ++i) {
      pool_.set_tag(i, k_slot);
      threads_.push_back(std::make_unique<looping_thread>([this, i, batch] {
        if (pause) {
          sleep_ns(10'000'000);
          return;
        }
        // What the emulator delayed is made up for in bits that fit the page, with a sleep between.
        if (!next_[i]) next_[i] = now_ns();
        sleep_until(std::max(next_[i], now_ns() + 100'000));
        unsigned n = 0;
        for (; n < 5 * batch && next_[i] <= now_ns(); n += batch, next_[i] += k_period_ns)
          for (unsigned k = 0; k < batch; ++k) record(pool_.page(i), k_slot, 1, 1'000);
        finished.fetch_add(n, std::memory_order_relaxed);
      }));
      pool_.adopt(threads_.back()->tid(), i);
    }
  }
  // What did not fit the page and was folded there: exact, and the agent's to read.
  std::uint64_t folded() {
    std::uint64_t n = 0;
    for (unsigned i = 0; i < workers_; ++i) n += pool_.page(i).fold[k_slot].count;
    return n;
  }
  std::atomic<std::uint64_t> finished{0};
  std::atomic<bool> pause{false};

 private:
  unsigned workers_;
  test_pool pool_;
  std::array<std::uint64_t, 16> next_{};
  std::vector<std::unique_ptr<looping_thread>> threads_;
};

struct seen {
  std::uint64_t tasks = 0, decisions = 0, completions = 0;
};

unsigned long long ull(std::uint64_t n) { return n; }

}  // namespace

int test_ring(const arguments&) {
  constexpr double k_wanted_per_s = 20'000;
  maps m;
  become_realtime();
  m.set_class(k_slot, true);
  m.set_rows(k_slot, distribution::all_on(0));
  m.agent_alive();
  seen got;
  events ring([&](const tactus_decision_event&) { ++got.decisions; },
              [&](const tactus_completion_event& e) {
                ++got.completions;
                for (unsigned i = 0; i < e.nr_records && i < TACTUS_EVENT_RECORDS; ++i) got.tasks += e.records[i].count;
              });
  ring.drain();  // what earlier tests left
  got = {};
  ring.missing = 0;
  const std::uint64_t lost_before = m.domains[0].lost;
  producers crowd(m, 4, 24'000);
  const std::uint64_t begin = now_ns();
  while (now_ns() < begin + 5'000'000'000) {
    ring.drain();
    sleep_ns(5'000'000);
  }
  crowd.pause = true;
  const double seconds = static_cast<double>(now_ns() - begin) / 1e9;
  sleep_ns(200'000'000);  // each goes to sleep once more and reports
  ring.drain();
  const double rate = static_cast<double>(crowd.finished) / seconds;
  note("%llu tasks in %.1f s (%.0f per s), %llu completion events, %llu decisions, %llu folded in pages", ull(crowd.finished),
       seconds, rate, ull(got.completions), ull(got.decisions), ull(crowd.folded()));
  expect(rate >= k_wanted_per_s, "at least %.0f tasks per second finished: %.0f", k_wanted_per_s, rate);
  expect(got.tasks + crowd.folded() == crowd.finished, "every task is in an event or folded: %llu + %llu of %llu", ull(got.tasks),
         ull(crowd.folded()), ull(crowd.finished));
  expect(crowd.folded() * 100 <= crowd.finished, "folding is the exception: %.2f %%",
         100.0 * static_cast<double>(crowd.folded()) / static_cast<double>(crowd.finished));
  expect(m.domains[0].lost == lost_before && ring.missing == 0, "no event is lost (%llu) or missing in the sequence (%llu)",
         ull(m.domains[0].lost - lost_before), ull(ring.missing));
  expect(ring.malformed == 0, "all events are well formed");
  return finish();
}

int test_small_ring(const arguments&) {
  maps m;
  become_realtime();
  m.set_class(k_slot, true);
  m.set_rows(k_slot, distribution::all_on(0));
  m.agent_alive();
  seen got;
  events ring({}, [&](const tactus_completion_event& e) {
    for (unsigned i = 0; i < e.nr_records && i < TACTUS_EVENT_RECORDS; ++i) got.tasks += e.records[i].count;
  });
  ring.drain();
  got = {};
  ring.missing = ring.read = 0;
  const tactus_stats before = m.stats();
  const std::uint64_t lost_before = m.domains[0].lost;
  producers crowd(m, 4, 20'000);
  for (unsigned i = 0; i < 15; ++i) {  // a reader that is much too slow
    sleep_ns(200'000'000);
    ring.drain();
  }
  crowd.pause = true;
  sleep_ns(200'000'000);
  ring.drain();
  // One event more, which fits, shows gaps at the end.
  crowd.pause = false;
  sleep_ns(20'000'000);
  crowd.pause = true;
  sleep_ns(100'000'000);
  ring.drain();
  const tactus_stats after = m.stats();
  const std::uint64_t lost = m.domains[0].lost - lost_before, lost_tasks = after.ring_lost_tasks - before.ring_lost_tasks;
  const std::uint64_t reported = after.completions - before.completions;
  note("%llu tasks, %llu events read, %llu lost with %llu tasks", ull(crowd.finished), ull(ring.read), ull(lost), ull(lost_tasks));
  expect(lost > 0, "a small ring and a slow reader lose events: %llu", ull(lost));
  expect(lost == after.ring_lost - before.ring_lost, "domain and counters agree on what is lost: %llu and %llu", ull(lost),
         ull(after.ring_lost - before.ring_lost));
  expect(ring.missing <= lost && ring.missing * 100 >= lost * 90,
         "gaps in the sequence tell of what is lost: %llu of %llu (the last ones have no successor)", ull(ring.missing), ull(lost));
  expect(got.tasks + lost_tasks == reported, "every reported task was read or counted as lost: %llu + %llu of %llu", ull(got.tasks),
         ull(lost_tasks), ull(reported));
  expect(reported + crowd.folded() == crowd.finished, "every finished task was reported or folded: %llu + %llu of %llu",
         ull(reported), ull(crowd.folded()), ull(crowd.finished));
  expect(crowd.finished > 15'000, "the workers ran on at their rate: %llu tasks in 3 s", ull(crowd.finished));
  expect(scheduler_enabled(), "the scheduler is still loaded");
  return finish();
}

}  // namespace tactus::vmtest
