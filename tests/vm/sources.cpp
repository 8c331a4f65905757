// SPDX-License-Identifier: Apache-2.0
//
// Rules 3 and 4: what makes a decision leave its row, each counted by its reason, and the true
// probabilities in the events.
//
// Frequencies: the events of a known row are compared with the probabilities they carry; a bound of
// 4.5 standard deviations makes a false alarm rarer than once in 100,000 tests.
#include <algorithm>
#include <cmath>
#include <map>
#include <memory>

#include "kernel_tests.h"
#include "support.h"

#include "bpf/policy.h"

namespace tactus::vmtest {
namespace {

constexpr unsigned k_slot = 1;

// Managed threads that sleep and run shortly, so that decisions are made all the time.
class pulses {
 public:
  pulses(maps& m, unsigned n, std::uint64_t period_ns) : pool_(m, 6, n) {
    for (unsigned i = 0; i < n; ++i) {
      pool_.set_tag(i, k_slot);
      threads_.push_back(std::make_unique<looping_thread>([period_ns] {
        sleep_ns(period_ns);
        burn_cpu_ns(50'000);
      }));
      pool_.adopt(threads_.back()->tid(), i);
    }
  }

 private:
  test_pool pool_;
  std::vector<std::unique_ptr<looping_thread>> threads_;
};

// Decisions per source while `length_ns` goes by.
std::array<std::uint64_t, TACTUS_NR_SOURCES> decisions_during(maps& m, std::uint64_t length_ns) {
  const tactus_stats before = m.stats();
  sleep_ns(length_ns);
  const tactus_stats after = m.stats();
  std::array<std::uint64_t, TACTUS_NR_SOURCES> d{};
  for (unsigned i = 0; i < d.size(); ++i) d[i] = after.decisions[i] - before.decisions[i];
  return d;
}

// Forced takes by a CPU that falls idle do not count: they follow every kind of wake-up decision.
void expect_only(maps& m, const char* what, tactus_source source) {
  sleep_ns(50'000'000);
  const auto d = decisions_during(m, 400'000'000);
  std::uint64_t others = 0;
  for (unsigned i = 0; i < d.size(); ++i)
    if (i != source && i != TACTUS_SOURCE_FORCED_BOUND && i != TACTUS_SOURCE_FORCED_STEAL) others += d[i];
  expect(d[source] > 30 && others == 0, "%s: %llu decisions with that source, %llu with another", what,
         static_cast<unsigned long long>(d[source]), static_cast<unsigned long long>(others));
}

void edit_rows(maps& m, const std::function<void(tactus_row&)>& edit) {
  for (unsigned bank = 0; bank < 2; ++bank)
    for (unsigned s = 0; s < TACTUS_NR_SITUATIONS; ++s) edit(m.rows[tactus_row_index(bank, k_slot, s)]);
}

void reasons(maps& m) {
  const unsigned places = m.nr_places();
  distribution even;
  for (unsigned p = 0; p < places; ++p) even.place[p] = 1.0 / places;
  m.set_class(k_slot, true);
  m.set_rows(k_slot, even);
  m.agent_alive();
  const pulses crowd(m, 2, 4'000'000);
  expect_only(m, "a good row", TACTUS_SOURCE_ROW);
  m.set_class(k_slot, false);
  expect_only(m, "a class without rows", TACTUS_SOURCE_FALLBACK_MISSING);
  m.set_class(k_slot, true);
  expect_only(m, "and back", TACTUS_SOURCE_ROW);
  edit_rows(m, [](tactus_row& r) { r.version_end = 0; });
  expect_only(m, "a row without a version", TACTUS_SOURCE_FALLBACK_MISSING);
  edit_rows(m, [](tactus_row& r) { r.version_end = r.version_begin + 1; });
  expect_only(m, "versions at the ends differ", TACTUS_SOURCE_FALLBACK_TORN);
  // All mass on a place that does not exist, none on hold: nothing legal is left.
  m.set_rows(k_slot, distribution::all_on(TACTUS_MAX_PLACES - 1));
  expect_only(m, "no mass on a legal action", TACTUS_SOURCE_FALLBACK_ILLEGAL);
  m.set_rows(k_slot, even);
  m.control->mode = TACTUS_MODE_FALLBACK;
  expect_only(m, "mode fallback", TACTUS_SOURCE_FALLBACK_MODE);
  m.control->mode = TACTUS_MODE_LEARNED;
  expect_only(m, "mode learned", TACTUS_SOURCE_ROW);
  m.set_rows(k_slot, even, 0.1);
  m.control->confidence_threshold = TACTUS_CDF_ONE / 2;
  expect_only(m, "low confidence", TACTUS_SOURCE_MIXED);
  m.set_rows(k_slot, even);
  m.agent_dead();
  expect_only(m, "an agent that never beat", TACTUS_SOURCE_FALLBACK_HEARTBEAT);
}

// Rule 3, kernel side: the heartbeat stops; fallback from the limit on, not later than a poll and a
// wake-up of the (emulated) worker after it; and rows again when it beats.
void heartbeat(maps& m) {
  constexpr std::uint64_t k_limit_ns = 500'000'000, k_slack_ns = 100'000'000;
  const pulses crowd(m, 2, 3'000'000);
  for (unsigned round = 0; round < 3; ++round) {
    m.agent_alive(false);
    const std::uint64_t last_beat = now_ns();
    const tactus_stats before = m.stats();
    std::uint64_t fell = 0;
    while (!fell && now_ns() < last_beat + 3'000'000'000) {
      sleep_ns(2'000'000);
      if (m.stats().decisions[TACTUS_SOURCE_FALLBACK_HEARTBEAT] > before.decisions[TACTUS_SOURCE_FALLBACK_HEARTBEAT])
        fell = now_ns() - last_beat;
    }
    expect(fell >= k_limit_ns && fell <= k_limit_ns + k_slack_ns,
           "silent agent: fallback after %.0f ms (limit 500 ms + %.0f ms for the emulator)", static_cast<double>(fell) / 1e6,
           static_cast<double>(k_slack_ns) / 1e6);
    const tactus_stats silent = m.stats();
    const std::uint64_t again = now_ns();
    m.agent_alive(false);
    std::uint64_t back = 0;
    while (!back && now_ns() < again + 3'000'000'000) {
      sleep_ns(2'000'000);
      if (m.stats().decisions[TACTUS_SOURCE_ROW] > silent.decisions[TACTUS_SOURCE_ROW]) back = now_ns() - again;
    }
    expect(back > 0 && back <= 1'000'000'000, "agent back: rows again after %.0f ms (limit 1 s)", static_cast<double>(back) / 1e6);
  }
}

// What the events of one kind of decision say: how often each action was drawn, and how often it
// should have been.
struct tally {
  std::uint64_t n = 0;
  std::map<unsigned, std::uint64_t> drawn;
  std::map<unsigned, double> probability;  // as logged with that action
  bool one_probability = true;             // the same each time
};

void add(tally& t, const tactus_decision_event& e) {
  ++t.n;
  ++t.drawn[e.chosen];
  const double p = e.prob_den ? static_cast<double>(e.prob_num) / e.prob_den : -1;
  const auto [it, fresh] = t.probability.emplace(e.chosen, p);
  if (!fresh && it->second != p) t.one_probability = false;
}

void check_tally(const char* what, const tally& t) {
  bool all = t.one_probability;
  double sum = 0;
  for (const auto& [action, n] : t.drawn) {
    const double p = t.probability.at(action), expected = p * static_cast<double>(t.n);
    const double deviation = std::sqrt(std::max(1e-9, expected * (1 - p)));
    const double z = deviation > 1e-3 ? (static_cast<double>(n) - expected) / deviation : 0;
    note("%s: action %u drawn %llu of %llu, logged probability %.4f, %.1f standard deviations", what, action,
         static_cast<unsigned long long>(n), static_cast<unsigned long long>(t.n), p, z);
    all = all && p > 0 && p <= 1 && std::abs(z) < 4.5;
    sum += p;
  }
  expect(all && sum > 0.999 && sum < 1.001, "%s: frequencies are as logged, probabilities sum to %.4f", what, sum);
}

// Collects decisions of slot k_slot until `enough`.
void collect(maps& m, const std::function<void(const tactus_decision_event&)>& take, const std::function<bool()>& enough,
             const char* what) {
  // A decision that was under way when the rows changed must not count.
  const unsigned version = m.control->version;
  events ring([&](const tactus_decision_event& e) {
    if (e.slot == k_slot && e.version == version) take(e);
  }, {});
  const std::uint64_t end = now_ns() + 20'000'000'000;
  while (!enough() && now_ns() < end) {
    ring.drain();
    sleep_ns(10'000'000);
  }
  expect(ring.malformed == 0, "%s: all %llu events are well formed", what, static_cast<unsigned long long>(ring.read));
  expect(enough(), "%s: enough decisions were seen", what);
}

}  // namespace

int test_sources(const arguments&) {
  maps m;
  become_realtime();
  reasons(m);
  heartbeat(m);
  expect(scheduler_enabled(), "the scheduler is still loaded");
  return finish();
}

int test_frequencies(const arguments&) {
  maps m;
  become_realtime();
  const unsigned places = m.nr_places();
  if (places < 2) give_up("needs two places");
  m.set_class(k_slot, true);
  m.agent_alive();
  m.control->confidence_threshold = TACTUS_CDF_ONE / 2;
  m.control->explore_ppm = 50'000;

  distribution d;  // half here, fifth there, the rest waits
  d.place[0] = 0.5;
  d.place[1] = 0.2;
  m.set_rows(k_slot, d);
  const pulses crowd(m, 4, 2'000'000);
  sleep_ns(100'000'000);
  tally wake, take;
  const std::uint64_t begin = now_ns();  // the ring still has events of other rows
  collect(m, [&](const tactus_decision_event& e) {
    if (e.source != TACTUS_SOURCE_ROW || e.head.time_ns < begin) return;
    // The same legal actions each time, so that the probabilities are the same.
    if (e.moment == TACTUS_MOMENT_WAKE && e.hold_legal && (e.legal & 3) == 3) add(wake, e);
    if (e.moment == TACTUS_MOMENT_IDLE && (e.legal & 3) == 3) add(take, e);
  }, [&] { return wake.n >= 1500; }, "a row");
  check_tally("wake-up", wake);
  if (take.n >= 100) check_tally("a CPU that fell idle", take);

  // Low confidence: the row wants nothing but holding, the fallback never does. So what holds follows
  // the row, and it must be explore_ppm of all, rounded to 1/1024 as policy.h has it.
  m.set_rows(k_slot, distribution::hold(), 0.1);
  sleep_ns(100'000'000);
  std::uint64_t n = 0, followed = 0, wrong = 0;
  const unsigned explore = 50'000ull * TACTUS_EXPLORE_ONE / 1'000'000;
  collect(m, [&](const tactus_decision_event& e) {
    if (e.moment != TACTUS_MOMENT_WAKE || e.source != TACTUS_SOURCE_MIXED || !e.hold_legal) return;
    ++n;
    const bool held = e.chosen == TACTUS_HOLD;
    followed += held;
    const double p = static_cast<double>(e.prob_num) / e.prob_den;
    const double right = static_cast<double>(held ? explore : TACTUS_EXPLORE_ONE - explore) / TACTUS_EXPLORE_ONE;
    wrong += std::abs(p - right) > 1e-9;
  }, [&] { return n >= 2000; }, "low confidence");
  const double share = static_cast<double>(explore) / TACTUS_EXPLORE_ONE;
  const double deviation = std::sqrt(share * (1 - share) / static_cast<double>(n));
  expect(std::abs(static_cast<double>(followed) / static_cast<double>(n) - share) < 4.5 * deviation,
         "low confidence: %.2f %% of %llu decisions followed the row, wanted %.2f %%", 100.0 * static_cast<double>(followed) / static_cast<double>(n),
         static_cast<unsigned long long>(n), 100 * share);
  expect(wrong == 0, "low confidence: every logged probability is the mixed one; %llu are not", static_cast<unsigned long long>(wrong));
  return finish();
}

}  // namespace tactus::vmtest
