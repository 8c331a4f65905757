// SPDX-License-Identifier: Apache-2.0
//
// inputs.h's implementation.
#include "agent/publish/inputs.h"

#include <algorithm>
#include <cmath>

namespace tactus::agent {
namespace {

constexpr double k_rate_step = 0.3;  // of the places' rates, per observation
constexpr std::uint64_t k_least_window_ns = 20'000'000;
constexpr std::uint16_t k_batch_slice_10us = 300;  // 3 ms, as EEVDF's base slice: no worse than the default

float unit(double x) { return static_cast<float>(std::isfinite(x) ? std::clamp(x, 0.0, 1.0) : 0.0); }

// Cost of a class at each place; a class whose tasks vary much says less.
std::array<cost_sample, TACTUS_MAX_PLACES> samples_of(const class_figures& f) {
  std::array<cost_sample, TACTUS_MAX_PLACES> out{};
  const double worth = 1 / (1 + f.variation());
  for (std::size_t p = 0; p < TACTUS_MAX_PLACES; p++) out[p] = {f.place[p].run_ns * worth, f.place[p].tasks * worth};
  return out;
}

}  // namespace

input_builder::input_builder(std::shared_ptr<const scheduler_maps> maps) : maps_(std::move(maps)) {
  const auto& cpus = maps_->cpus();
  const std::size_t n = maps_->places().size();
  capacity_.assign(n, 0);
  members_.resize(n);
  rates_.resize(n);
  siblings_.resize(cpus.size());
  for (unsigned i = 0; i < cpus.size(); i++) {
    if (cpus[i].present == 0 || cpus[i].place >= n) continue;
    members_[cpus[i].place].push_back(i);
    capacity_[cpus[i].place] += cpus[i].capacity;
    for (unsigned j = 0; j < cpus.size(); j++) {
      if (j != i && cpus[j].present != 0 && cpus[j].core == cpus[i].core && cpus[j].node == cpus[i].node) siblings_[i].push_back(j);
    }
  }
  for (std::size_t p = 0; p < n; p++) {
    capacity_[p] = members_[p].empty() ? 1 : std::max(1.0, capacity_[p] / static_cast<double>(members_[p].size()));
  }
}

void input_builder::observe(std::uint64_t now, const std::array<place_figures, TACTUS_MAX_PLACES>& places,
                            const std::vector<cpu_share>& cpus) {
  if (observed_ns_ != 0 && now - observed_ns_ < k_least_window_ns) return;
  const double window = observed_ns_ != 0 ? static_cast<double>(now - observed_ns_) : 0;
  observed_ns_ = now;
  managed_busy_ = 0;
  for (std::size_t p = 0; p < rates_.size(); p++) {
    place_rates& r = rates_[p];
    const double n = std::max<double>(1, static_cast<double>(members_[p].size()));
    const auto move = [&](double& filter, double x) { filter += k_rate_step * (x - filter); };
    if (window > 0) {
      move(r.load, std::min(1.0, static_cast<double>(places[p].busy_ns - r.busy_ns) / (window * n)));
      move(r.queue, static_cast<double>(places[p].wait_ns - r.wait_ns) / (window * n));
    }
    r.busy_ns = places[p].busy_ns;
    r.wait_ns = places[p].wait_ns;
    managed_busy_ += r.load * n;
    if (cpus.empty()) continue;
    double busy = 0, steal = 0, sibling = 0;
    for (const unsigned cpu : members_[p]) {
      if (cpu >= cpus.size()) continue;
      busy += cpus[cpu].busy / n;
      steal += cpus[cpu].steal / n;
      float most = 0;
      for (const unsigned s : siblings_[cpu]) most = std::max(most, s < cpus.size() ? cpus[s].busy : 0.0f);
      sibling += most / n;
    }
    move(r.steal, steal);
    move(r.interference, std::max(0.0, busy - r.load) + steal);
    move(r.sibling_busy, sibling);
  }
}

void input_builder::place_features_of(unsigned slot, const class_figures& f, learn::class_inputs& out) {
  const auto& places = maps_->places();
  // Home: the domain where most of the class's tasks ended lately; its first place stands for it.
  std::array<double, TACTUS_MAX_DOMAINS> by_domain{};
  for (std::size_t p = 0; p < places.size(); p++) by_domain[places[p].domain & (TACTUS_MAX_DOMAINS - 1)] += f.place[p].tasks;
  const auto home = static_cast<std::size_t>(std::max_element(by_domain.begin(), by_domain.end()) - by_domain.begin());
  const bool has_home = by_domain[home] > 0;
  std::size_t home_place = 0;
  for (std::size_t p = places.size(); p-- > 0;) {
    if (places[p].domain == home) home_place = p;
  }
  const double best_capacity = *std::max_element(capacity_.begin(), capacity_.end());
  std::vector<float> distance(places.size(), 0);
  for (std::size_t p = 0; p < places.size(); p++) {
    const tactus_place& from = places[home_place];
    if (has_home && (from.near[1] >> p & 1) == 0 && places[p].node != from.node) distance[p] = (from.near[2] >> p & 1) != 0 ? 0.5f : 1.0f;
  }
  assign_tiers(speeds_[slot], distance, !tiers_known_[slot], tiers_[slot]);
  tiers_known_[slot] = true;
  for (std::size_t p = 0; p < places.size(); p++) {
    const place_rates& r = rates_[p];
    learn::place_features& x = out.place[p];
    x[learn::k_place_speed] = unit(speeds_[slot].speed[p]);
    x[learn::k_place_speed_known] = unit(speeds_[slot].known[p]);
    x[learn::k_place_capacity] = unit(capacity_[p] / best_capacity);
    x[learn::k_place_load] = unit(r.load);
    x[learn::k_place_interference] = unit(r.interference);
    x[learn::k_place_queue] = unit(r.queue / (r.queue + 1));
    x[learn::k_place_idle] = unit(1 - r.load - r.interference);
    x[learn::k_place_home_domain] = !has_home || places[p].domain == home ? 1 : 0;
    x[learn::k_place_node_distance] = distance[p];
    x[learn::k_place_tier_best] = tiers_[slot][p] == 0 ? 1 : 0;
    x[learn::k_place_tier] = unit(tiers_[slot][p] / 3.0);
    x[learn::k_place_sibling_busy] = unit(r.sibling_busy);
    out.tier[p] = tiers_[slot][p];
  }
}

void input_builder::forget_slot(unsigned slot) {
  if (slot >= TACTUS_MAX_SLOTS) return;
  tiers_known_[slot] = false;
  tiers_[slot] = {};
}

std::shared_ptr<learn::policy_inputs> input_builder::build(const request& r,
                                                           const std::array<slot_class, TACTUS_MAX_SLOTS>& slots,
                                                           const std::array<class_figures, TACTUS_MAX_SLOTS>& figures) {
  auto in = std::make_shared<learn::policy_inputs>();
  in->version = r.version;
  in->nr_places = static_cast<int>(maps_->places().size());
  in->state = r.state;

  // Speeds of one user's classes are estimated together, never across users: what one user's pages
  // claim must not move the features of another's rows.
  std::array<bool, TACTUS_MAX_SLOTS> done{};
  for (unsigned first = 1; first < TACTUS_MAX_SLOTS; first++) {
    if (done[first] || !r.wanted[first]) continue;
    std::vector<unsigned> group;
    std::vector<std::array<cost_sample, TACTUS_MAX_PLACES>> samples;
    for (unsigned s = first; s < TACTUS_MAX_SLOTS; s++) {
      if (done[s] || !slots[s].taken || (s != first && slots[s].uid != slots[first].uid)) continue;
      if (s != first && !r.wanted[s] && figures[s].last_event_ns == 0) continue;
      done[s] = true;
      group.push_back(s);
      samples.push_back(samples_of(figures[s]));
    }
    const auto speeds = estimate_speeds(samples, capacity_);
    for (std::size_t i = 0; i < group.size(); i++) speeds_[group[i]] = speeds[i];
  }

  {
    // Slot 0 is everybody's: it has no figures of its own, so it gets the places' general speeds.
    std::vector<std::array<cost_sample, TACTUS_MAX_PLACES>> samples(1);
    for (unsigned s = 1; s < TACTUS_MAX_SLOTS; s++) {
      if (slots[s].taken && r.trusted[s] && figures[s].last_event_ns != 0) samples.push_back(samples_of(figures[s]));
    }
    speeds_[0] = estimate_speeds(samples, capacity_)[0];
  }

  if (r.state.present != scored_.present || r.state.value != scored_.value) {  // a new sample
    scored_ = r.state;
    novelty_score_ = novelty_.observe(r.state);
  }
  const class_figures none;
  bool any_urgent = false;
  for (unsigned s = 1; s < TACTUS_MAX_SLOTS; s++) {
    any_urgent |= r.wanted[s] && (slots[s].deadline_us != 0 || slots[s].priority > TACTUS_PRIORITY_NORMAL);
  }
  for (unsigned s = 0; s < TACTUS_MAX_SLOTS; s++) {
    if (!r.wanted[s]) continue;
    const class_figures& f = s != 0 ? figures[s] : none;
    learn::class_inputs& c = in->classes[s];
    c.in_use = true;
    c.deadline = slots[s].deadline_us != 0;
    c.weight = static_cast<float>(slots[s].weight);
    c.confidence = static_cast<float>(class_confidence({f.recent_run_ns, f.usual_run_ns, r.explained_variance, r.decisions_trained, novelty_score_}));
    c.slice_10us = any_urgent && !c.deadline && slots[s].priority <= TACTUS_PRIORITY_NORMAL ? k_batch_slice_10us : 0;
    c.task = task_features_of(slots[s], f, maps_->places());
    place_features_of(s, f, c);
  }
  return in;
}

}  // namespace tactus::agent
