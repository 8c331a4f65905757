// SPDX-License-Identifier: Apache-2.0
//
// publisher.h's implementation.
#include "agent/publish/publisher.h"

#include "agent/publish/bank.h"
#include "agent/config/privileges.h"
#include "agent/serve/clock.h"
#include "agent/serve/log.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

namespace tactus::agent {
namespace {

constexpr std::uint64_t k_ms = 1'000'000;
constexpr std::uint64_t k_sample_ns = 1000 * k_ms;  // some tens of small files each time
constexpr std::uint64_t k_route_ns = 100 * k_ms;
constexpr std::uint64_t k_fold_ns = 1000 * k_ms;
constexpr std::uint64_t k_forget_ns = 5000 * k_ms;
constexpr int k_nice = 5;  // less urgent than the work it serves
constexpr double k_budget_share = 0.4;
constexpr std::uint64_t k_longest_wait_ns = 500 * k_ms;  // progress is shown at least so often

std::uint64_t thread_cpu_ns() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000ull + static_cast<std::uint64_t>(t.tv_nsec);
}

template <typename T>
void store(T& to, T value) {
  __atomic_store_n(&to, value, __ATOMIC_RELEASE);
}

}  // namespace

// Puts the learner's rows into the spare bank.
class publisher::bank_sink final : public learn::row_sink {
 public:
  bank_sink(tactus_row* rows, unsigned bank, std::uint32_t version) : rows_(rows), bank_(bank), version_(version) {}
  void put(unsigned slot, unsigned situation, const tactus_row& row) override {
    write_row(&rows_[tactus_row_index(bank_, slot, situation)], row, version_);
    count_++;
  }
  std::uint64_t count() const { return count_; }

 private:
  tactus_row* rows_;
  unsigned bank_;
  std::uint32_t version_;
  std::uint64_t count_ = 0;
};

publisher::publisher(parts p, std::shared_ptr<scheduler_maps> maps, publish_settings settings)
    : p_(p),
      maps_(std::move(maps)),
      settings_(settings),
      inputs_(maps_),
      seen_(std::make_unique<std::array<class_figures, TACTUS_MAX_SLOTS>>()) {
  figures_.version = maps_->control()->version;
  progress_ns_ = now_ns();
  // Rows of an agent before this one: of classes that this one does not know (yet).
  for (unsigned i = 0; i < 2 * TACTUS_MAX_SLOTS; i++) store(maps_->classes()[i].in_use, static_cast<__u16>(0));
  apply_settings();
}

publisher::~publisher() { stop(); }

void publisher::start() {
  thread_ = std::thread([this] { loop(); });
}

void publisher::stop() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void publisher::set_settings(const publish_settings& s) {
  const std::lock_guard lock(mutex_);
  settings_ = s;
  apply_settings();
}

void publisher::apply_settings() {
  tactus_control* c = maps_->control();
  store(c->confidence_threshold, static_cast<__u32>(settings_.confidence_threshold * 65535));
  store(c->explore_ppm, static_cast<__u32>(settings_.explore_share * 1e6));
  store(c->hold_limit_ns, static_cast<__u64>(settings_.hold_limit_us * 1000ull));
  store(c->heartbeat_limit_ns, static_cast<__u64>(settings_.heartbeat_limit_ms * k_ms));
}

void publisher::wake() {
  const std::lock_guard lock(mutex_);
  woken_ = true;
  changed_.notify_all();
}

void publisher::reset_slot(unsigned slot) {
  if (slot == 0 || slot >= TACTUS_MAX_SLOTS) return;
  p_.stats.reset_slot(slot);
  // The publisher may be writing one of these from an older view; the next turn puts that right.
  for (unsigned bank = 0; bank < 2; bank++) store(maps_->classes()[bank * TACTUS_MAX_SLOTS + slot].in_use, static_cast<__u16>(0));
  wake();
}

bool publisher::wait_applied(unsigned timeout_ms) {
  wake();
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  std::unique_lock lock(mutex_);
  return changed_.wait_until(lock, until, [&] { return applied_mode_.load() == static_cast<int>(p_.learning.mode.load()); });
}

std::uint64_t publisher::period_ns() const {
  const std::uint64_t idle_ms = std::max(settings_.idle_period_ms, settings_.period_ms);
  std::uint64_t ms = settings_.period_ms;
  // The same weights: rows change only as far as speeds and the state of the machine do.
  if (!p_.learning.active()) {
    ms = 4 * idle_ms;
  } else {
    if (learner_settled_.load()) ms *= 8;
    else if (!learner_moved_.load()) ms *= 4;
    if (p_.budget.over()) ms *= 4;
    ms = std::min(ms, idle_ms);
  }
  // On a machine where compiling is slow, publishing may take this much of the budget and no more:
  // the learners want the rest.
  const double least_ns = turn_cpu_ns_ / (k_budget_share * std::max(p_.budget.share(), 0.01));
  return std::max({ms * k_ms, k_least_flip_ns, static_cast<std::uint64_t>(std::min(least_ns, 2e9))});
}

void publisher::loop() {
  nice_this_thread(k_nice);
  for (;;) {
    const std::uint64_t now = now_ns();
    progress_ns_.store(now, std::memory_order_relaxed);
    const std::uint64_t cpu_before = thread_cpu_ns();
    try {
      step(now);
      turn_cpu_ns_ += 0.3 * (static_cast<double>(thread_cpu_ns() - cpu_before) - turn_cpu_ns_);
    } catch (const std::exception& e) {
      static limited_log log(3);
      log.warning(fmt::format("a version was not published: {}", e.what()));
    }
    std::unique_lock lock(mutex_);
    while (!ended_ && !woken_) {
      // Nearer once the learner moves.
      const std::uint64_t due = std::max(last_flip_ns_, now) + period_ns(), at = now_ns();
      if (at >= due) break;
      changed_.wait_for(lock, std::chrono::nanoseconds(std::min(k_longest_wait_ns, due - at)));
      progress_ns_.store(now_ns(), std::memory_order_relaxed);
      if (p_.learner.stats().updates != last_updates_) learner_moved_ = true;
    }
    if (ended_) return;
    if (woken_) {
      // However often it is woken, the banks keep their distance in time.
      const std::uint64_t soonest = last_flip_ns_ + k_least_flip_ns;
      while (!ended_ && now_ns() < soonest) changed_.wait_for(lock, std::chrono::nanoseconds(soonest - std::min(soonest, now_ns()) + 1));
      woken_ = false;
    }
  }
}

void publisher::sample(std::uint64_t now) {
  if (now - last_sample_ns_ < k_sample_ns && last_sample_ns_ != 0) return;
  last_sample_ns_ = now;
  sense::managed_usage usage;
  std::uint64_t busy_ns = 0;
  const auto places = p_.stats.read([&](const auto&, const auto& all, const auto&) { return all; });
  for (const auto& f : places) busy_ns += f.busy_ns;
  usage.cpu_seconds_total = static_cast<double>(busy_ns) * 1e-9;
  double waiting = 0;
  for (std::uint32_t d = 0; d < maps_->nr_domains(); d++) waiting += std::max<double>(0, maps_->domains()[d].nr_waiting);
  usage.waiting_workers = waiting;
  state_ = p_.sampler.sample(usage);
  std::vector<cpu_share> cpus;
  for (const auto& c : p_.sampler.last().cpus) cpus.push_back({static_cast<float>(c.busy), static_cast<float>(c.steal)});
  inputs_.observe(now, places, cpus);
  const std::lock_guard lock(mutex_);
  machine_ = {state_, p_.sampler.sources()};
}

// What the rewards of the tasks to come depend on.
void publisher::tell_rewards(const std::array<slot_class, TACTUS_MAX_SLOTS>& slots) {
  reward_surroundings s;
  for (unsigned i = 0; i < TACTUS_MAX_SLOTS; i++) {
    s.expected_ns[i] = (*seen_)[i].mean_run_ns();
    s.urgent[i] = slots[i].priority >= TACTUS_PRIORITY_HIGH;
  }
  const auto& places = maps_->places();
  s.utilisation.fill(learn::task_outcome::unknown);
  for (std::size_t p = places.size(); p-- > 0;) {
    s.utilisation[p] = inputs_.place_busy(p);
    s.node[p] = places[p].node;
    s.home_node[places[p].domain % TACTUS_MAX_DOMAINS] = places[p].node;
    s.several_nodes |= places[p].node != places[0].node;
  }
  const auto known = [&](unsigned i) { return (state_.present >> i & 1) != 0; };
  if (known(sense::k_l3_miss_rate)) s.miss_rate = state_.value[sense::k_l3_miss_rate];
  if (known(sense::k_temperature)) s.heat = state_.value[sense::k_temperature];
  if (known(sense::k_throttling) && state_.value[sense::k_throttling] > 0) s.heat = 1;
  if (std::isnan(s.heat) && known(sense::k_throttling)) s.heat = 0;
  p_.rewards.surroundings(s);
}

bool publisher::step(std::uint64_t now) {
  const policy_mode mode = p_.learning.mode.load();
  tactus_control* control = maps_->control();
  if (now - last_fold_ns_ >= k_fold_ns) {
    last_fold_ns_ = now;
    const std::uint64_t tasks = folds_.read(p_.pools, p_.clock, p_.stats, now);
    if (p_.learning.active()) p_.learning.completions += tasks;
  }
  // Nobody to publish for: the state of the machine is of no interest.
  if (!p_.pools.empty()) sample(now);
  const auto applied = [&] {
    const std::lock_guard lock(mutex_);
    applied_mode_ = static_cast<int>(mode);
    changed_.notify_all();
  };
  if (mode == policy_mode::fallback) {
    store(control->mode, static_cast<__u32>(TACTUS_MODE_FALLBACK));
    if (!routes_clear_) clear_routes();
    applied();
    return false;
  }
  if (last_flip_ns_ != 0 && now - last_flip_ns_ < k_least_flip_ns) return false;

  const auto slots = p_.slots.snapshot();
  p_.stats.read([&](const auto& all, const auto&, const auto&) { *seen_ = all; });
  if (p_.rewards.on()) tell_rewards(slots);
  const unsigned spare = 1 - (__atomic_load_n(&control->bank, __ATOMIC_RELAXED) & 1);
  input_builder::request request;
  unsigned active = 0;
  for (unsigned s = 0; s < TACTUS_MAX_SLOTS; s++) {
    const stamp wanted{slots[s].tenancy, mode};
    if (stamps_[spare][s].tenancy != wanted.tenancy && stamps_[1 - spare][s].tenancy != wanted.tenancy) {
      const std::lock_guard lock(mutex_);
      inputs_.forget_slot(s);
    }
    if (!slots[s].taken || slots[s].users == 0) continue;
    const bool lately = (*seen_)[s].last_event_ns != 0 && now - std::min(now, (*seen_)[s].last_event_ns) < k_active_ns;
    const __u16 in_use = __atomic_load_n(&maps_->classes()[spare * TACTUS_MAX_SLOTS + s].in_use, __ATOMIC_RELAXED);
    const bool stale = stamps_[spare][s] != wanted || in_use == 0;
    // Slot 0 alone moves nothing: it is written along with others.
    request.wanted[s] = lately || stale;
    active += (s != 0 || stale) && request.wanted[s];
  }
  {
    const std::lock_guard lock(mutex_);
    figures_.active_classes = active;
  }
  const bool mode_pending = applied_mode_.load() != static_cast<int>(mode);
  if (active == 0 && !mode_pending) {
    rest(slots, spare);
    // A pool whose classes have rows already, from before it came, needs its table all the same.
    if (p_.pools.changes() != routed_changes_ || routes_clear_) write_routes(now, 1 - spare, *seen_);
    return false;
  }
  request.wanted[0] = true;
  for (const auto& pool : p_.pools.all()) {
    for (unsigned c = 0; pool->trusted && c < TACTUS_MAX_LOCAL_CLASSES; c++)
      request.trusted[pool->slot_of[c].load(std::memory_order_relaxed) & (TACTUS_MAX_SLOTS - 1)] = true;
  }

  request.version = figures_.version + 1 != 0 ? figures_.version + 1 : 1;
  request.state = state_;
  const auto started = now_ns();
  const auto learner = p_.learner.stats();
  learner_moved_ = learner.updates != last_updates_;
  last_updates_ = learner.updates;
  learner_settled_ = learner.converged;
  request.explained_variance = learner.explained_variance;
  request.decisions_trained = learner.decisions_trained;
  bank_sink sink(maps_->rows(), spare, request.version);
  {
    const std::lock_guard lock(mutex_);  // status reads speeds and tiers
    const auto in = inputs_.build(request, slots, *seen_);
    for (unsigned s = 0; s < TACTUS_MAX_SLOTS; s++) {
      if (!request.wanted[s]) continue;
      tactus_class_conf& conf = maps_->classes()[spare * TACTUS_MAX_SLOTS + s];
      conf.deadline = in->classes[s].deadline ? 1 : 0;
      std::copy(in->classes[s].tier.begin(), in->classes[s].tier.end(), std::begin(conf.tier));
      // Random places are for comparison: unmanaged threads then know nothing of speeds either.
      if (s == 0 && mode == policy_mode::random) std::memset(conf.tier, 0, sizeof(conf.tier));
      std::memset(conf.name, 0, sizeof(conf.name));
      std::memcpy(conf.name, slots[s].name.data(), std::min(slots[s].name.size(), sizeof(conf.name) - 1));
      store(conf.version, request.version);
    }
    if (mode == policy_mode::learned) {
      p_.learner.compile(in, sink);
    } else {
      const tactus_row row = uniform_row(static_cast<unsigned>(in->nr_places));
      for (unsigned s = 0; s < TACTUS_MAX_SLOTS; s++) {
        for (unsigned i = 0; request.wanted[s] && i < TACTUS_NR_SITUATIONS; i++) sink.put(s, i, row);
      }
    }
  }
  for (unsigned s = 0; s < TACTUS_MAX_SLOTS; s++) {
    if (!request.wanted[s]) continue;
    stamps_[spare][s] = {slots[s].tenancy, mode};
    store(maps_->classes()[spare * TACTUS_MAX_SLOTS + s].in_use, static_cast<__u16>(1));
  }
  rest(slots, spare);
  store(control->version, request.version);
  store(control->bank, static_cast<__u32>(spare));
  store(control->mode, static_cast<__u32>(TACTUS_MODE_LEARNED));
  last_flip_ns_ = now_ns();
  p_.recording.flipped(*maps_);
  p_.learner.set_service_time_ns(p_.stats.service_time_ns());
  if (last_flip_ns_ - last_route_ns_ >= k_route_ns || routes_clear_ || p_.pools.changes() != routed_changes_)
    write_routes(last_flip_ns_, spare, *seen_);
  if (now - last_forget_ns_ >= k_forget_ns) {
    last_forget_ns_ = now;
    p_.stats.forget_visits(0.5f);
  }
  {
    const std::lock_guard lock(mutex_);
    figures_.flips++;
    figures_.rows += sink.count();
    figures_.version = request.version;
    figures_.period_ms = static_cast<double>(period_ns()) * 1e-6;
    figures_.novelty = inputs_.novelty_score();
    figures_.compile_ms = static_cast<double>(last_flip_ns_ - started) * 1e-6;
  }
  applied();
  return true;
}

// Slots that nobody has: their rows must not be found. Others keep what they have.
void publisher::rest(const std::array<slot_class, TACTUS_MAX_SLOTS>& slots, unsigned bank) {
  for (unsigned s = 0; s < TACTUS_MAX_SLOTS; s++) {
    auto& conf = maps_->classes()[bank * TACTUS_MAX_SLOTS + s];
    if (!slots[s].taken && __atomic_load_n(&conf.in_use, __ATOMIC_RELAXED) != 0) store(conf.in_use, static_cast<__u16>(0));
  }
}

void publisher::write_routes(std::uint64_t now, unsigned bank, const std::array<class_figures, TACTUS_MAX_SLOTS>& figures) {
  last_route_ns_ = now;
  routed_changes_ = p_.pools.changes();
  const auto places = static_cast<unsigned>(maps_->places().size());
  std::array<bool, TACTUS_MAX_SLOTS> done{};
  for (const auto& p : p_.pools.all()) {
    tactus_route_table* t = p->route.table();
    const std::uint32_t before = __atomic_load_n(&t->sequence, __ATOMIC_RELAXED);
    // 0 stands for "no policy" and is not come across by counting: odd while writing, then even.
    __atomic_store_n(&t->sequence, (before | 1) == ~0u ? 1u : (before | 1), __ATOMIC_RELEASE);
    store(t->version, maps_->control()->version);
    for (unsigned c = 0; c < TACTUS_MAX_LOCAL_CLASSES; c++) {
      const unsigned s = p->slot_of[c].load(std::memory_order_relaxed);
      if (!done[s]) {
        done[s] = true;
        suit_of_rows(maps_->rows(), bank, s, figures[s].visits.data(), places, suits_[s].data());
      }
      for (unsigned i = 0; i < places; i++) __atomic_store_n(&t->suit[c][i], suits_[s][i], __ATOMIC_RELEASE);
    }
    __atomic_store_n(&t->sequence, __atomic_load_n(&t->sequence, __ATOMIC_RELAXED) + 1, __ATOMIC_RELEASE);
  }
  routes_clear_ = false;
}

void publisher::clear_routes() {
  for (const auto& p : p_.pools.all()) store(p->route.table()->sequence, 0u);
  routes_clear_ = true;
}

publisher::figures publisher::figures_now() const {
  const std::lock_guard lock(mutex_);
  return figures_;
}

publisher::machine publisher::machine_now() const {
  const std::lock_guard lock(mutex_);
  return machine_;
}

speed_estimate publisher::speeds(unsigned slot) const {
  const std::lock_guard lock(mutex_);
  return inputs_.speeds(slot & (TACTUS_MAX_SLOTS - 1));
}

std::array<std::uint8_t, TACTUS_MAX_PLACES> publisher::tiers(unsigned slot) const {
  const std::lock_guard lock(mutex_);
  return inputs_.tiers(slot & (TACTUS_MAX_SLOTS - 1));
}

}  // namespace tactus::agent
