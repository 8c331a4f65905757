// SPDX-License-Identifier: Apache-2.0
// policy.h: the learner online, in the agent's own words: class statistics, place features, tiers,
// confidence (agent/publish) and machine state (agent/sense) are the agent's code, fed with what the
// simulated machine would show; the learner is agent/learn without threads of its own.
//
// What publisher.cpp does around them is repeated here: compile into the spare bank, flip. The flip
// comes publish_lag_ns after the inputs were taken. The reader of the rings delivers at once (its
// poll of 5 ms only bounds what a ring holds).
#include <algorithm>
#include <cstring>

#include "agent/learn/api.h"
#include "agent/publish/bank.h"
#include "agent/publish/class_stats.h"
#include "agent/publish/inputs.h"
#include "agent/sense/state.h"
#include "agent/serve/class_slots.h"
#include "sim/policy/policy.h"

namespace tactus::sim {
namespace {

// The maps as input_builder wants to see them: topology only.
class simulated_maps final : public agent::scheduler_maps {
 public:
  explicit simulated_maps(const machine_topology& t) {
    cpus_ = t.cpus;
    places_ = t.places;
    nr_domains_ = t.nr_domains;
  }
  int set_pool(std::uint32_t, const tactus_pool_conf&) override { return 0; }
  int get_pool(std::uint32_t, tactus_pool_conf&) override { return 0; }
  int set_worker(int, const agent::worker_entry&) override { return 0; }
  int clear_worker(int) override { return 0; }
  std::size_t consume_events(const event_sink&, int, std::size_t) override { return 0; }
  bool read_stats(tactus_stats&) override { return false; }
  bool replaced() const override { return false; }
};

struct staged_rows final : learn::row_sink {
  void put(unsigned slot, unsigned situation, const tactus_row& row) override { rows.push_back({slot, situation, row}); }
  struct entry {
    unsigned slot, situation;
    tactus_row row;
  };
  std::vector<entry> rows;
};

learn::learner_config config_of(const policy_settings& s) {
  learn::learner_config c;
  c.seed = s.seed;
  if (s.discount_beta > 0) c.discount_beta = s.discount_beta;
  if (s.learning_rate > 0) c.learning_rate_start = s.learning_rate;
  if (s.floor >= 0) c.floor = s.floor;
  return c;
}

class learned_policy final : public policy, public event_sink {
 public:
  learned_policy(const std::string& checkpoint, const policy_settings& settings)
      : settings_(settings), own_(std::make_unique<learn::learner_set>(config_of(settings))), learner_(*own_), version_(own_version_),
        stats_(clock_), slots_(63) {
    if (!checkpoint.empty()) learner_.load(checkpoint);
    learner_.start(0);  // learns in submit, deterministically
  }
  learned_policy(learn::learner_set& shared, std::uint32_t& version, const policy_settings& settings)
      : settings_(settings), learner_(shared), version_(version), stats_(clock_), slots_(63) {}

  void attach(simulation& s) override {
    simulation_ = &s;
    scheduler& sched = s.sched();
    sched.sink = this;
    s.keep_records();
    register_pools();
    inputs_ = std::make_unique<agent::input_builder>(maps());
    // Rows before the first task, as the start model's are.
    publish(0);
    flip();
    s.every(settings_.publish_ns, settings_.publish_ns, [this](std::uint64_t now) { publish(now); });
    s.every(settings_.publish_ns, settings_.publish_ns + std::min(settings_.publish_lag_ns, settings_.publish_ns - 1),
            [this](std::uint64_t) { flip(); });
    s.on_topology([this] {
      inputs_ = std::make_unique<agent::input_builder>(maps());
      busy_before_.clear();
      // The agent opens the maps anew; until its next flip nothing is in use.
      for (tactus_class_conf& c : simulation_->sched().classes) c.in_use = 0;
      staged_.rows.clear();
      publish(simulation_->now_ns());
    });
  }
  void set_learning(bool on) override { learner_.set_learning(on); }
  void save(const std::string& file) const override { learner_.save(file); }
  std::vector<std::pair<std::string, double>> figures() const override {
    const learn::learner_stats s = learner_.stats();
    return {{"decisions trained", double(s.decisions_trained)}, {"updates", double(s.updates)},
            {"explained variance", s.explained_variance},       {"entropy", s.entropy},
            {"hold ratio", s.hold_ratio},                       {"sequence gaps", double(s.sequence_gaps)}};
  }

  // event_sink: as event_reader.cpp hands them on.
  void decision(const tactus_decision_event& e) override {
    stats_.on_decision(e);
    const agent::pool_brief pool = pools_.brief(e.pool);
    learner_.submit(learn::decision_of(e, pool.group, pool.trusted));
  }
  void completion(const tactus_completion_event& e, std::size_t bytes) override {
    stats_.on_completion(e, bytes, pools_);
    learner_.skip(e.head.domain, e.head.sequence);
  }

 private:
  std::shared_ptr<simulated_maps> maps() { return std::make_shared<simulated_maps>(simulation_->topology()); }

  // The simulated registration: classes get slots in their order.
  void register_pools() {
    const workload& load = simulation_->load();
    for (std::size_t c = 0; c < load.classes.size(); ++c) {
      const task_class_spec& spec = load.classes[c];
      tactus_class_desc d{};
      d.priority = static_cast<__u8>(spec.priority);
      d.weight = static_cast<__u8>(spec.weight);
      d.deadline_us = static_cast<__u32>(spec.deadline_ns / 1000);
      d.fingerprint[0] = c + 1;
      std::strncpy(d.name, spec.name.c_str(), sizeof(d.name) - 1);
      if (slots_.acquire(k_uid, d) != simulation::slot_of(static_cast<unsigned>(c)))
        throw std::logic_error("classes do not get slots in their order");
    }
    for (std::size_t i = 0; i < load.pools.size(); ++i) {
      auto p = std::make_shared<agent::pool>();
      const tactus_pool_conf& conf = simulation_->sched().pools[i + 1];
      p->index = static_cast<std::uint32_t>(i + 1);
      p->uid = k_uid;
      p->nr_workers = conf.nr_workers;
      p->home_domain = conf.home_domain;
      p->trusted = true;
      for (unsigned c = 0; c < TACTUS_MAX_LOCAL_CLASSES; ++c) p->slot_of[c] = conf.slot_of[c];
      pools_.add(std::move(p));
    }
  }

  learn::machine_state state_of(std::uint64_t now, std::vector<agent::cpu_share>& shares) {
    const simulation& s = *simulation_;
    const auto n = static_cast<unsigned>(s.on().cpus.size());
    const bool first = busy_before_.empty();
    busy_before_.resize(n);
    stolen_before_.resize(n);
    const double passed = static_cast<double>(std::max<std::uint64_t>(1, now - sampled_ns_));
    sense::raw_state raw;
    double waiting = 0;
    for (unsigned c = 0; c < n; ++c) {
      const std::uint64_t busy = s.busy_ns(c), stolen = s.stolen_ns(c);
      sense::cpu_shares share;
      share.present = s.online(c);
      share.steal = static_cast<double>(stolen - stolen_before_[c]) / passed;
      share.busy = std::max(0.0, static_cast<double>(busy - busy_before_[c]) / passed - share.steal);
      share.node = static_cast<int>(s.on().cpus[c].node);
      busy_before_[c] = busy;
      stolen_before_[c] = stolen;
      raw.cpus.push_back(share);
      shares.push_back({static_cast<float>(share.busy), static_cast<float>(share.steal)});
    }
    sampled_ns_ = now;
    for (unsigned d = 0; d < s.sched().nr_domains; ++d) waiting += std::max(0, s.sched().domains[d].nr_waiting);
    raw.waiting_workers = waiting;
    raw.managed_share = inputs_->managed_busy_cpus() / n;
    if (s.on().heat.present) {
      raw.temperature_c = s.temperature_c();
      raw.critical_temperature_c = s.on().heat.critical_c;
      raw.throttling = s.capped();
    }
    if (first) {
      raw.cpus.clear();  // shares are rates: none yet
      shares.clear();
    }
    return sense::encode(raw);
  }

  void publish(std::uint64_t now) {
    if (busy_before_.empty() || now - sampled_ns_ >= k_sample_ns) {
      std::vector<agent::cpu_share> shares;
      state_ = state_of(now, shares);
      if (settings_.disguise) settings_.disguise(state_);
      const auto places = stats_.read([](const auto&, const auto& all, const auto&) { return all; });
      inputs_->observe(now + 1, places, shares);
    }
    stats_.read([&](const auto& all, const auto&, const auto&) { seen_ = all; });
    const auto slots = slots_.snapshot();
    const learn::learner_stats learner = learner_.stats();
    agent::input_builder::request request;
    request.version = ++version_;
    request.state = state_;
    request.explained_variance = learner.explained_variance;
    request.decisions_trained = learner.decisions_trained;
    for (unsigned i = 0; i <= simulation_->load().classes.size(); ++i) request.wanted[i] = true;
    staged_inputs_ = inputs_->build(request, slots, seen_);
    staged_.rows.clear();
    learner_.compile(staged_inputs_, staged_);
    learner_.set_service_time_ns(stats_.service_time_ns());
  }

  void flip() {
    if (staged_.rows.empty()) return;
    scheduler& s = simulation_->sched();
    const unsigned spare = 1 - (s.control.bank & 1);
    for (const staged_rows::entry& e : staged_.rows)
      agent::write_row(&s.rows[tactus_row_index(spare, e.slot, e.situation)], e.row, staged_inputs_->version);
    for (unsigned slot = 0; slot < TACTUS_MAX_SLOTS; ++slot) {
      const learn::class_inputs& c = staged_inputs_->classes[slot];
      tactus_class_conf& conf = s.classes[spare * TACTUS_MAX_SLOTS + slot];
      conf.in_use = c.in_use ? 1 : 0;
      conf.deadline = c.deadline ? 1 : 0;
      std::copy(c.tier.begin(), c.tier.end(), std::begin(conf.tier));
      conf.version = staged_inputs_->version;
    }
    staged_.rows.clear();
    s.control.version = staged_inputs_->version;
    s.control.bank = spare;
    s.control.mode = TACTUS_MODE_LEARNED;
  }

  static constexpr std::uint32_t k_uid = 1000;
  static constexpr std::uint64_t k_sample_ns = 1'000'000'000;  // as publisher.cpp
  policy_settings settings_;
  std::unique_ptr<learn::learner_set> own_;
  learn::learner_set& learner_;
  std::uint32_t own_version_ = 0;
  std::uint32_t& version_;  // of the rows compiled last
  agent::tick_clock clock_;
  agent::class_stats stats_;
  agent::class_slots slots_;
  agent::pool_table pools_;
  std::unique_ptr<agent::input_builder> inputs_;
  simulation* simulation_ = nullptr;
  std::array<agent::class_figures, TACTUS_MAX_SLOTS> seen_{};
  learn::machine_state state_;
  std::vector<std::uint64_t> busy_before_, stolen_before_;
  std::uint64_t sampled_ns_ = 0;
  std::shared_ptr<learn::policy_inputs> staged_inputs_;
  staged_rows staged_;
};

}  // namespace

std::unique_ptr<policy> make_learned(learn::learner_set& shared, std::uint32_t& version, const policy_settings& settings) {
  return std::make_unique<learned_policy>(shared, version, settings);
}

std::unique_ptr<policy> make_learned(const std::string& checkpoint, const policy_settings& settings) {
  return std::make_unique<learned_policy>(checkpoint, settings);
}

}  // namespace tactus::sim
