// SPDX-License-Identifier: Apache-2.0
//
// daemon.h's implementation: life cycle. What the control socket says is in daemon_commands.cpp.
#include "agent/serve/daemon.h"

#include "agent/config/privileges.h"
#include "agent/models/machine.h"
#include "agent/serve/clock.h"
#include "agent/serve/log.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <thread>

namespace tactus::agent {
namespace {

constexpr std::uint64_t k_look_ns = 200'000'000;
constexpr std::uint64_t k_pin_look_ns = 1'000'000'000;
constexpr std::uint64_t k_memory_look_ns = 5'000'000'000;
// A loader that is still setting modes must not end the agent; a wrong mode that stays must.
constexpr std::uint64_t k_rights_patience_ns = 5'000'000'000;
constexpr int k_learner_nice = 10;

sense::sampler_options sampling_of(const config& c) {
  sense::sampler_options o;
  o.cgroup = c.cgroup;
  return o;
}

bool scheduler_is_partial() {
  std::string state, all;
  std::ifstream("/sys/kernel/sched_ext/state") >> state;
  std::ifstream("/sys/kernel/sched_ext/switch_all") >> all;
  return state == "enabled" && all == "0";
}

learn::learner_config on_this_machine(learn::learner_config c) {
  c.machine = machine_fingerprint();
  return c;
}

}  // namespace

agent_daemon::agent_daemon(const config& c, map_opener open_maps)
    : config_(c),
      open_maps_(std::move(open_maps)),
      budget_(c.cpu_share()),
      slots_(c.slots_per_uid),
      stats_(clock_),
      rewards_(learn::rewards_of(c.learner)),
      learner_(on_this_machine(c.learner)),
      sampler_(sampling_of(c)),
      checkpoints_(c.state, c.model),
      registry_(c.socket, slots_, pools_, limits(),
                [this](std::uint32_t uid) {
                  const std::lock_guard lock(mutex_);
                  return config_.trusts(uid);
                },
                scheduler_is_partial),
      control_(c.control, [this](const std::string& r, bool privileged) { return command(r, privileged); }) {
  learning_.wanted = c.learning;
  learning_.mode = c.mode;
}

agent_daemon::~agent_daemon() { stop(); }

publish_settings agent_daemon::settings() const {
  return {config_.period_ms, config_.idle_period_ms, config_.confidence_threshold, config_.explore_share,
          config_.hold_limit_us, config_.heartbeat_limit_ms};
}

registration_limits agent_daemon::limits() const {
  registration_limits l;
  l.pools_per_uid = config_.pools_per_uid;
  l.workers_per_uid = config_.workers_per_uid;
  l.workers_total = config_.workers_total;
  return l;
}

std::shared_ptr<publisher> agent_daemon::publisher_now() const {
  const std::lock_guard lock(mutex_);
  return publisher_;
}

void agent_daemon::apply_learning() { learner_.set_learning(learning_.active()); }

bool agent_daemon::load_checkpoint() {
  const loaded_checkpoint loaded = checkpoints_.load(learner_, slots_);
  for (const auto& m : loaded.messages) log_warning("{}", m);
  learning_.completions = loaded.completions;
  switch (loaded.from) {
    case loaded_checkpoint::source::last: loaded_from_ = "checkpoint"; break;
    case loaded_checkpoint::source::previous: loaded_from_ = "previous checkpoint"; break;
    case loaded_checkpoint::source::model: loaded_from_ = "installed model"; break;
    case loaded_checkpoint::source::clone: loaded_from_ = "clone"; break;
  }
  log_info("policy starts from: {}", loaded_from_);
  if (const auto frozen = learner_.stats().frozen_updates; frozen != 0) {
    log_info("that was learned on another machine: for {} updates only the critic learns", frozen);
  }
  return loaded.damaged;
}

void agent_daemon::start() {
  started_ns_ = last_checkpoint_ns_ = now_ns();
  apply_learning();
  // Threads inherit niceness, and it cannot be taken back without rights: a short-lived thread
  // lowers its own and starts the learners.
  const unsigned learners = config_.learners;
  std::thread([&] {
    nice_this_thread(k_learner_nice);
    learner_.start(static_cast<int>(learners));
  }).join();
  slots_.on_reset([this](unsigned slot) {
    if (const auto p = publisher_now()) p->reset_slot(slot);
    else stats_.reset_slot(slot);
  });
  registry_.start();
  control_.start();
}

void agent_daemon::stop() {
  if (started_ns_.exchange(0) == 0) return;
  control_.stop();
  detach("the agent ends");
  registry_.stop();
  learner_.stop();
  const std::lock_guard lock(checkpoint_mutex_);
  if (const std::string why = checkpoints_.save(learner_, slots_, learning_.completions); !why.empty()) {
    log_warning("the last checkpoint was not written: {}", why);
  }
}

bool agent_daemon::attached() const {
  const std::lock_guard lock(mutex_);
  return maps_ != nullptr;
}

void agent_daemon::attach(std::shared_ptr<scheduler_maps> maps) {
  auto pub = std::make_shared<publisher>(publisher::parts{slots_, pools_, stats_, learner_, sampler_, budget_, clock_, learning_, rewards_, recorder_}, maps,
                                         settings());
  auto reader = std::make_shared<event_reader>(event_reader::parts{pools_, stats_, learner_, budget_, learning_, rewards_, recorder_}, maps);
  {
    const std::lock_guard lock(mutex_);
    maps_ = maps;
    publisher_ = pub;
    reader_ = reader;
    generation_ = __atomic_load_n(&maps->control()->generation, __ATOMIC_ACQUIRE);
  }
  registry_.attach(maps);
  pub->start();
  reader->start();
  heart_.watch(maps->control(), [p = pub.get(), r = reader.get()] { return std::min(p->progress_ns(), r->progress_ns()); });
  log_info("scheduler found: {} places, {} domains, generation {}", maps->places().size(), maps->nr_domains(), generation_);
  said_.clear();
}

void agent_daemon::detach(const char* why) {
  std::shared_ptr<publisher> pub;
  std::shared_ptr<event_reader> reader;
  {
    const std::lock_guard lock(mutex_);
    if (!maps_) return;
    pub = std::move(publisher_);
    reader = std::move(reader_);
    publisher_.reset();
    reader_.reset();
  }
  heart_.rest();
  recorder_.stop();
  registry_.detach();
  reader->stop();
  pub->stop();
  const std::lock_guard lock(mutex_);
  maps_.reset();
  log_info("scheduler let go: {}", why);
}

bool agent_daemon::same_topology() const {
  try {
    const auto now = open_maps_();
    const auto equal = [](const auto& a, const auto& b) {
      return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(a[0])) == 0);
    };
    return equal(now->cpus(), maps_->cpus()) && equal(now->places(), maps_->places());
  } catch (const maps_error&) {
    return false;
  }
}

void agent_daemon::follow_scheduler(std::uint64_t now) {
  if (maps_) {
    // Opening a pin is a few system calls: now and then is enough, the generation is a load.
    if (now - last_pin_look_ns_ >= k_pin_look_ns) {
      last_pin_look_ns_ = now;
      if (maps_->replaced()) return detach("its maps were replaced");
    }
    if (const std::uint64_t g = __atomic_load_n(&maps_->control()->generation, __ATOMIC_ACQUIRE); g != generation_) {
      if (!same_topology()) return detach("the machine's CPUs changed");
      log_info("the scheduler was loaded again, generation {}; registrations live on", g);
      const std::lock_guard lock(mutex_);
      generation_ = g;
    }
    return;
  }
  try {
    attach(open_maps_());
    rights_since_ns_ = 0;
  } catch (const maps_error& e) {
    const bool rights = e.why() == maps_error::kind::rights || e.why() == maps_error::kind::damaged;
    if (e.why() == maps_error::kind::abi) throw;
    if (rights && rights_since_ns_ == 0) rights_since_ns_ = now;
    if (!rights) rights_since_ns_ = 0;
    if (rights && now - rights_since_ns_ > k_rights_patience_ns) throw;
    if (said_ != e.what()) {
      said_ = e.what();
      log_info("waiting for the scheduler: {}", e.what());
    }
  }
}

void agent_daemon::watch_memory(std::uint64_t now) {
  if (now - last_memory_ns_ < k_memory_look_ns) return;
  last_memory_ns_ = now;
  std::ifstream in("/proc/self/statm");
  long size = 0, resident = 0, shared = 0;
  if (!(in >> size >> resident >> shared)) return;
  const double mib = static_cast<double>(resident - shared) * static_cast<double>(::sysconf(_SC_PAGESIZE)) / (1 << 20);
  const std::lock_guard lock(mutex_);
  memory_mib_ = mib;
  static limited_log log(1);
  if (mib > config_.memory_mib) log.warning(fmt::format("memory {:.0f} MiB is above its budget of {} MiB", mib, config_.memory_mib));
}

void agent_daemon::judge_challenger() {
  if (!learning_.active()) return;
  const learn::held_out_report report = learner_.validate(judged_until_);
  if (!champion_judge::ready(report)) return;
  judged_until_ = report.last;
  const auto learner = learner_.stats();
  bool go_back;
  {
    const std::lock_guard lock(mutex_);
    go_back = config_.champion || !report.finite;
  }
  const std::lock_guard lock(checkpoint_mutex_);
  switch (judge_.judge(report, learner.explained_variance, learner.decisions_trained)) {
    case verdict::promote:
      if (const std::string why = checkpoints_.save_champion(learner_); !why.empty()) log_warning("champion not written: {}", why);
      else log_info("the weights after {} updates are the champion now", learner.updates);
      break;
    case verdict::restore:
      if (go_back) learner_.restore_champion();
      log_warning("the present weights are clearly worse than the champion's: {}",
                  go_back ? "the champion's are back" : "left as they are (agent.champion = false)");
      break;
    case verdict::keep:
    case verdict::wait: break;
  }
}

void agent_daemon::tick() {
  budget_.measure();
  const std::uint64_t now = now_ns();
  if (now - last_second_ns_ >= 1'000'000'000) {
    last_second_ns_ = now;
    clock_.calibrate();
    watch_memory(now);
    judge_challenger();
  }
  if (now - last_look_ns_ >= k_look_ns) {
    last_look_ns_ = now;
    follow_scheduler(now);
  }
  if (now - last_checkpoint_ns_ >= config_.checkpoint_period_s * 1'000'000'000ull) {
    last_checkpoint_ns_ = now;
    const std::lock_guard lock(checkpoint_mutex_);
    static limited_log log(1);
    if (const std::string why = checkpoints_.save(learner_, slots_, learning_.completions); !why.empty()) {
      log.warning(fmt::format("checkpoint not written: {}", why));
    } else {
      checkpoints_written_++;
    }
  }
}

void agent_daemon::reconfigure(const config& c) {
  std::shared_ptr<publisher> pub;
  {
    const std::lock_guard lock(mutex_);
    const bool restart = c.socket != config_.socket || c.control != config_.control || c.pins != config_.pins ||
                         c.state != config_.state || c.learners != config_.learners || c.memory_mib != config_.memory_mib;
    if (restart) log_warning("sockets, folders, learners and memory change only with a restart");
    if (c.mode != config_.mode) learning_.mode = c.mode;
    if (c.learning != config_.learning) learning_.wanted = c.learning;
    config next = c;
    next.socket = config_.socket;
    next.control = config_.control;
    next.pins = config_.pins;
    next.state = config_.state;
    next.learners = config_.learners;
    next.memory_mib = config_.memory_mib;
    config_ = next;
    pub = publisher_;
  }
  budget_.set_share(c.cpu_share());
  slots_.set_quota(c.slots_per_uid);
  registry_.set_limits(limits());
  apply_learning();
  if (pub) {
    pub->set_settings(settings());
    pub->wake();
  }
  log_info("configuration read again");
}

}  // namespace tactus::agent
