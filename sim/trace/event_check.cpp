// SPDX-License-Identifier: Apache-2.0
#include "sim/trace/event_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

namespace tactus::sim {
namespace {

using entry = rows_in_force::entry;

bool by_row(const tactus_decision_event& e) { return e.source == TACTUS_SOURCE_ROW || e.source == TACTUS_SOURCE_MIXED; }
bool forced(const tactus_decision_event& e) { return e.source >= TACTUS_SOURCE_FORCED_BOUND; }

bool got_cpu(const tactus_decision_event& e) { return e.cpu != 0xffff; }

// Whether the situation has the tier of a place as one with an idle CPU.
bool has_tier(const tactus_decision_event& e, const entry& row, std::uint32_t place) { return (e.situation >> (row.tier[place] & 3) & 1) != 0; }

// Place in the order in which policy.h draws: places by number, hold last.
std::uint32_t rank(std::uint32_t action) { return std::min<std::uint32_t>(action, TACTUS_MAX_PLACES); }

// The draw of policy.h that gives this action: the actions rise with the random number, so that number
// is found by halving. Its action differs where no number gives the one sought.
template <class Draw>
tactus_choice draw_of(std::uint32_t action, Draw draw) {
  std::uint64_t low = 0, high = 1ull << 32;  // the least number whose action is not before `action`
  tactus_choice c{};
  while (low < high) {
    const std::uint64_t middle = (low + high) / 2;
    draw(static_cast<std::uint32_t>(middle), c);
    if (c.den != 0 && rank(c.action) >= rank(action)) high = middle;
    else low = middle + 1;
  }
  draw(static_cast<std::uint32_t>(std::min<std::uint64_t>(low, ~0u)), c);
  return c;
}

bool same(const tactus_choice& c, const tactus_decision_event& e) {
  return c.action == e.chosen && c.num == e.prob_num && c.den == e.prob_den;
}

std::string text(const tactus_choice& c) { return fmt::format("action {} with probability {}/{}", c.action, c.num, c.den); }

}  // namespace

void event_check::add(const tactus_completion_event& e) {
  events_.push_back({e.head, completions_.size(), false});
  completions_.push_back({e.stint, e.stopped});
}

// The row that the decision names, among what was in force when it was made or came later: between the
// reading of the clock and that of the bank there may have been a flip, but never back.
const entry* event_check::row_of(const tactus_decision_event& e) const {
  auto from = std::upper_bound(rows_.begin(), rows_.end(), e.head.time_ns, [](std::uint64_t t, const rows_in_force& r) { return t < r.time_ns; });
  if (from != rows_.begin()) --from;
  for (; from != rows_.end(); ++from) {
    const auto found = from->table.find(tactus_row_index(0, e.slot, e.situation));
    if (found != from->table.end() && found->second.row.version_end == e.version) return &found->second;
  }
  return nullptr;
}

// Legal actions and situation from what was seen.
std::string event_check::inputs_agree(const tactus_decision_event& e, const entry* row) const {
  const std::uint32_t n = state_.nr_places;
  if (e.legal == 0 || (n < 64 && e.legal >> n != 0)) return fmt::format("the legal places {:#x} are not of this machine", e.legal);
  if (e.prev_place >= n) return "it ran last at a place that is not there";
  const std::uint32_t domain = state_.places[e.prev_place].domain;
  const bool wake = e.moment == TACTUS_MOMENT_WAKE;
  if (e.source == TACTUS_SOURCE_FORCED_BOUND) return {};  // nobody asked: no situation
  const bool hold = !wake || tactus_hold_legal(e.nr_waiting, state_.domains[domain].nr_cpus);
  if (hold != (e.hold_legal != 0)) return fmt::format("with {} waiting hold is {}legal", e.nr_waiting, hold ? "" : "not ");
  if (tactus_waiting_step(e.nr_waiting) != e.situation >> 4) return fmt::format("{} waiting are step {}", e.nr_waiting, tactus_waiting_step(e.nr_waiting));
  if (row == nullptr) return {};
  // Which places were idle at a wake-up is not logged: their tiers are among those of the legal places,
  // and the tier of a CPU that was claimed is among them. When a CPU asks, it is the idle one, alone.
  const std::uint32_t tiers = tactus_idle_tiers(row->tier.data(), e.legal, n), idle_tiers = e.situation & 15;
  if ((idle_tiers & ~tiers) != 0) return fmt::format("the legal places are of the tiers {:#x}", tiers);
  if (!wake && std::popcount(idle_tiers) != 1) return "one CPU asks, of one tier";
  if (got_cpu(e) && e.used < n && !has_tier(e, *row, e.used)) return "the CPU's tier had no idle place";
  return {};
}

std::string event_check::choice_agrees(const tactus_decision_event& e, const entry* row) const {
  const bool confident = row != nullptr && row->row.confidence >= state_.control.confidence_threshold;
  const bool illegal = e.source == TACTUS_SOURCE_FALLBACK_ILLEGAL;
  if (!by_row(e)) {
    // A trusted row that a worker was taken without: it was being rewritten just then.
    const bool torn = e.source == TACTUS_SOURCE_FORCED_STEAL && confident;
    const bool drawn = torn || (illegal && e.moment == TACTUS_MOMENT_IDLE);
    if (!drawn && (e.prob_num != e.prob_den || e.prob_den == 0)) return "its probability is not 1, though no row chose";
    if (!drawn && e.chosen >= state_.nr_places) return "no row chose, and it was held";
  }
  if (e.source == TACTUS_SOURCE_FORCED_BOUND) return e.legal == 1ull << e.chosen ? "" : "forced, and another place was legal";
  if (forced(e) || row == nullptr) return {};
  const auto plain = [&](std::uint32_t random, tactus_choice& c) {
    tactus_sample(row->row.cdf, state_.nr_places, e.legal, e.hold_legal != 0, random, &c);
  };
  const tactus_choice c = draw_of(e.chosen, plain);
  if (illegal) return c.den == 0 ? "" : "the row has mass on a legal action";
  if (!by_row(e)) return {};
  if (confident != (e.source == TACTUS_SOURCE_ROW)) return confident ? "the row is trusted here" : "the row is not trusted here";
  if (e.source == TACTUS_SOURCE_ROW) return same(c, e) ? "" : fmt::format("policy.h here: {}", text(c));
  // Mixed: what the fallback would have done is not logged, so every action of it is tried.
  const auto explore = static_cast<std::uint32_t>((static_cast<std::uint64_t>(state_.control.explore_ppm) << 10) / 1'000'000);
  for (std::uint32_t fallback = 0; fallback < state_.nr_places; ++fallback) {
    const std::uint32_t mass = (e.legal >> fallback & 1) != 0 ? tactus_row_mass(row->row.cdf, fallback) : 0;
    for (const std::uint32_t random : {0u, TACTUS_EXPLORE_ONE - 1}) {  // follows the row, and does not
      tactus_choice mixed = c;
      tactus_mix(&mixed, fallback, mass, explore, random);
      if (same(mixed, e)) return {};
    }
  }
  return fmt::format("policy.h mixes no such probability; the row alone: {}", text(c));
}

// Where it was put.
std::string event_check::use_agrees(const tactus_decision_event& e, const entry* row) const {
  const bool wake = e.moment == TACTUS_MOMENT_WAKE;
  if (got_cpu(e) && (e.cpu >= state_.nr_cpus || state_.cpus[e.cpu].place != e.used)) return fmt::format("CPU {} is not of the place", e.cpu);
  if (wake && e.chosen == TACTUS_HOLD) return e.used == TACTUS_HOLD && !got_cpu(e) ? "" : "it chose to hold and was put somewhere";
  if (!wake && !got_cpu(e)) {
    if (e.used != TACTUS_HOLD || e.source != TACTUS_SOURCE_ROW) return "refused, and not by a row";
    return row != nullptr && e.chosen < state_.nr_places && has_tier(e, *row, e.chosen) ? "refused, though the row chose this tier" : "";
  }
  if (e.used >= state_.nr_places) return "it was put nowhere";
  if (e.used == e.chosen) return {};
  if (wake && (e.legal >> e.used & 1) == 0) return "it was sent on to a place that is not legal";
  if (!wake && !by_row(e)) return e.source == TACTUS_SOURCE_FALLBACK_ILLEGAL ? "" : "taken by another place than the forced one";
  if (e.chosen >= state_.nr_places) return "taken, though the row chose to hold";
  if (row != nullptr && row->tier[e.used] != row->tier[e.chosen]) return "it went to another tier than the one chosen";
  return {};
}

// A worker that sleeps wakes up; one that is awake is asked, or stops.
std::string event_check::order_agrees(const tactus_decision_event& e) {
  worker& w = workers_[e.head.tid];
  const bool wake = e.moment == TACTUS_MOMENT_WAKE, refused = !wake && !got_cpu(e);
  if (wake && w.at == moment::awake && e.stint <= w.stint + 1) return "it wakes up, but had not stopped";
  if (!wake && w.at == moment::asleep) return "it was asked while it slept";
  const bool new_life = wake && e.stint == (static_cast<std::uint64_t>(e.head.tid) << 32) + 1;  // registered anew
  if (w.at != moment::unknown && !new_life) {
    if (e.head.time_ns < w.time_ns) return "it comes before the worker's last event";
    if (refused ? e.stint != w.stint : e.stint <= w.stint) return fmt::format("its stint follows {}", w.stint);
  }
  w = {moment::awake, e.stint, e.head.time_ns};
  return {};
}

std::string event_check::order_agrees(const tactus_event_head& head, const completion_brief& e) {
  worker& w = workers_[head.tid];
  if (w.at != moment::unknown && e.stint < w.stint) return fmt::format("its stint is before {}", w.stint);
  if (w.at == moment::asleep && e.stint == w.stint) {
    if (e.stopped != 0) return "it stops, but had stopped";
    return {};  // what did not fit into the report of its stop
  }
  // A later stint without a decision: a worker bound to one CPU, for which there is nothing to decide.
  w = {e.stopped == 1 ? moment::asleep : moment::awake, e.stint, head.time_ns};
  return {};
}

std::string event_check::check(event_counts& counts) {
  std::stable_sort(rows_.begin(), rows_.end(), [](const auto& a, const auto& b) { return a.time_ns < b.time_ns; });
  std::stable_sort(events_.begin(), events_.end(), [](const event& a, const event& b) {
    return a.head.domain != b.head.domain ? a.head.domain < b.head.domain : a.head.sequence < b.head.sequence;
  });
  const event* before = nullptr;
  for (const event& ev : events_) {
    if (before != nullptr && before->head.domain == ev.head.domain) {
      if (ev.head.sequence == before->head.sequence) return fmt::format("domain {}: two events have number {}", ev.head.domain, ev.head.sequence);
      if (ev.head.sequence != before->head.sequence + 1) {
        counts.lost += ev.head.sequence - before->head.sequence - 1;
        workers_.clear();  // any of them may have done anything
      }
    } else {
      workers_.clear();
    }
    before = &ev;
    std::string difference;
    if (ev.is_decision) {
      const tactus_decision_event& d = decisions_[ev.index];
      const entry* row = d.version != 0 ? row_of(d) : nullptr;
      difference = order_agrees(d);
      if (d.version != 0 && row == nullptr) {
        ++counts.without_rows;
      } else {
        if (difference.empty()) difference = inputs_agree(d, row);
        if (difference.empty()) difference = choice_agrees(d, row);
        if (difference.empty()) difference = use_agrees(d, row);
        ++counts.decisions;
        counts.by_row += by_row(d);
      }
    } else {
      difference = order_agrees(ev.head, completions_[ev.index]);
      ++counts.completions;
    }
    if (!difference.empty())
      return fmt::format("domain {} event {} ({}, worker {}, t {}): {}", ev.head.domain, ev.head.sequence,
                         ev.is_decision ? "decision" : "completion", ev.head.tid, ev.head.time_ns, difference);
  }
  return {};
}

}  // namespace tactus::sim
