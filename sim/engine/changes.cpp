// SPDX-License-Identifier: Apache-2.0
// simulation.h: what happens to CPUs by itself: heat, changes of speed, hotplug.
#include <algorithm>
#include <cmath>

#include "sim/engine/simulation.h"

namespace tactus::sim {

void simulation::fire_heat() {
  const machine_heat& h = machine_.heat;
  const double passed = static_cast<double>(k_heat_step_ns);
  for (heat_zone& z : heat_) {
    double busy = 0;
    for (std::size_t i = 0; i < z.cpus.size(); ++i) {
      const std::uint64_t total = busy_ns(z.cpus[i]);
      busy += static_cast<double>(total - z.busy_before_ns[i]) / passed;
      z.busy_before_ns[i] = total;
    }
    busy /= static_cast<double>(z.cpus.size());
    const double power = busy * (z.capped ? h.capped_speed * h.capped_speed : 1);
    const double target = h.idle_c + (h.full_load_c - h.idle_c) * power;
    z.temperature_c += (target - z.temperature_c) * (1 - std::exp(-passed / static_cast<double>(h.tau_ns)));
    const bool cap = z.capped ? z.temperature_c > h.limit_c - h.hysteresis_c : z.temperature_c > h.limit_c;
    if (cap == z.capped) continue;
    z.capped = cap;
    for (const unsigned c : z.cpus) {
      progress(c);
      own_speed(c);
      set_speed(c);
      plan(c);
    }
  }
  heap_.set(heat_entry_, now_ + k_heat_step_ns);
}

void simulation::fire_machine_event() {
  while (next_machine_event_ < machine_events_.size() && machine_events_[next_machine_event_].at_ns <= now_) {
    const machine_event& e = machine_events_[next_machine_event_++];
    if (e.kind != machine_event::what::speed) {
      change_cpus(e);
      continue;
    }
    for (const unsigned c : e.cpus) {
      progress(c);
      cpu_[c].factor = e.speed;
      own_speed(c);
      set_speed(c);
      plan(c);
    }
  }
  heap_.set(machine_entry_, next_machine_event_ < machine_events_.size() ? machine_events_[next_machine_event_].at_ns : event_heap::k_never);
}

// Hotplug ejects the scheduler; it is loaded again at once, with the maps kept and a new epoch. What
// waits is handed to it anew; what runs on CPUs that stay goes on.
void simulation::change_cpus(const machine_event& e) {
  const bool on = e.kind == machine_event::what::online;
  for (const unsigned c : e.cpus) {
    sim_cpu& cpu = cpu_[c];
    if (cpu.online == on) continue;
    cpu.online = on;
    cpu.waking = cpu.resched = cpu.throttled = false;
    if (cpu.curr == nullptr) continue;
    progress(c);
    sim_thread& p = *cpu.curr;
    op_begin(op_record::kind::stopping, &p);
    sched_.stopping(p, true);
    op_end(op_record::kind::stopping, static_cast<std::int32_t>(c), p.tid, 1, 0);
    go_idle(c);
    plan(c);
  }
  std::vector<bool> is_online;
  for (const sim_cpu& cpu : cpu_) is_online.push_back(cpu.online);
  topology_ = topology_of(machine_, is_online);
  for (sim_thread& p : threads_)
    if (p.queue != nullptr) p.queue->remove(p);
  sched_.init(topology_, now_);
  op_begin(op_record::kind::init, nullptr);
  op_end(op_record::kind::init, -1, 0, 0, 0);
  for (std::uint32_t d = 0; d < TACTUS_MAX_DOMAINS; ++d) heap_.set(first_timer_ + d, event_heap::k_never);
  for (unsigned c = 0; c < cpu_.size(); ++c)
    if (cpu_[c].online && cpu_[c].curr == nullptr) sched_.idle.set_idle(c);
  if (topology_changed_) topology_changed_();
  unsigned next = 0;
  for (sim_thread& p : threads_) {
    bool lifted = false;
    if (!cpu_[static_cast<unsigned>(p.cpu)].online) {
      // select_fallback_rq: any CPU it may use, else any at all
      bool found = false;
      for (unsigned i = 0; i < cpu_.size() && !found; ++i) {
        next = next + 1 < cpu_.size() ? next + 1 : 0;
        found = cpu_[next].online && p.may_run_on(next);
      }
      if (!found) {
        lifted = true;
        p.allowed = nullptr;
        p.nr_cpus_allowed = static_cast<std::uint32_t>(cpu_.size());
        next = topology_.places[0].first_cpu;
      }
      p.cpu = static_cast<std::int32_t>(next);
    }
    op_begin(op_record::kind::enable, &p);
    sched_.enable(p);
    op_end(op_record::kind::enable, p.cpu, p.tid, lifted ? 1 : 0, 0);
    if (cpu_[static_cast<unsigned>(p.cpu)].curr == &p) {
      op_begin(op_record::kind::running, &p);
      sched_.running(p);
      op_end(op_record::kind::running, p.cpu, p.tid, 0, 0);
    } else if (p.queued) {
      enqueue(p, false);
    }
  }
  // Enabling a scheduler makes every CPU go through __schedule().
  for (unsigned c = 0; c < cpu_.size(); ++c)
    if (cpu_[c].online && cpu_[c].curr == nullptr) begin_waking(c);
}

double simulation::temperature_c() const {
  double most = -1000;
  for (const heat_zone& z : heat_) most = std::max(most, z.temperature_c);
  return most;
}
bool simulation::capped() const {
  return std::any_of(heat_.begin(), heat_.end(), [](const heat_zone& z) { return z.capped; });
}

}  // namespace tactus::sim
