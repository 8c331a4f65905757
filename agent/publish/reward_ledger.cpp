// SPDX-License-Identifier: Apache-2.0
//
// reward_ledger.h's implementation.
#include "agent/publish/reward_ledger.h"

namespace tactus::agent {
namespace {

std::uint32_t key(unsigned domain, std::uint16_t group) { return domain << 16 | group; }

}  // namespace

void reward_ledger::surroundings(const reward_surroundings& s) {
  const std::lock_guard lock(mutex_);
  around_ = s;
}

void reward_ledger::credit(const tactus_completion_event& event, const completion_split& split, std::uint16_t group) {
  if (!on_ || split.nr == 0) return;
  const std::size_t place = event.place % TACTUS_MAX_PLACES;
  const unsigned domain = event.head.domain % TACTUS_MAX_DOMAINS;
  const std::lock_guard lock(mutex_);
  learn::task_outcome task;
  task.utilisation = around_.utilisation[place];
  task.miss_rate = around_.miss_rate;
  task.heat = around_.heat;
  // Home is the node of the pool's domain; the kernel does not say where a task's memory is.
  if (around_.several_nodes) task.cross_node = around_.node[place] != around_.home_node[domain] ? 1 : 0;
  double& points = points_[key(domain, group)];
  for (unsigned i = 0; i < split.nr; i++) {
    const tactus_record& r = event.records[i];
    const unsigned slot = split.slot[i];
    task.expected_ns = around_.expected_ns[slot];
    task.actual_ns = split.task_ns[i];
    task.urgent_in_time = around_.urgent[slot] && (r.flags & TACTUS_RECORD_DEADLINE) != 0 && (r.flags & TACTUS_RECORD_MISSED) == 0;
    const learn::task_reward reward = learn::reward_of(weights_, task);
    points += reward.total * r.count;
    figures_.total += reward.total * r.count;
    figures_.tasks += r.count;
    for (std::size_t t = 0; t < reward.term.size(); t++) {
      figures_.sum[t] += reward.term[t] * r.count;
      if ((reward.present >> t & 1) != 0) figures_.tasks_of[t] += r.count;
    }
  }
}

double reward_ledger::points(unsigned domain, std::uint16_t group) const {
  if (!on_) return 0;
  const std::lock_guard lock(mutex_);
  const auto it = points_.find(key(domain % TACTUS_MAX_DOMAINS, group));
  return it != points_.end() ? it->second : 0;
}

reward_ledger::figures reward_ledger::figures_now() const {
  const std::lock_guard lock(mutex_);
  return figures_;
}

}  // namespace tactus::agent
