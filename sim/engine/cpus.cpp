// SPDX-License-Identifier: Apache-2.0
// simulation.h: what a CPU does. __schedule() follows balance_one(), put_prev_task_scx() and
// set_next_task_scx() of kernel 6.18; the speed of a CPU is its own x events x heat x siblings, and 0
// while the host does not run it (bandwidth control, steal).
#include <algorithm>
#include <cmath>
#include <map>

#include "sim/engine/simulation.h"

namespace tactus::sim {
namespace {

constexpr std::uint64_t k_slice_of_core_ns = 20'000'000;  // SCX_SLICE_DFL

}  // namespace

void simulation::make_cpus() {
  const auto n = static_cast<unsigned>(machine_.cpus.size());
  cpu_.resize(n);
  std::map<unsigned, std::vector<unsigned>> cores, sockets;
  for (unsigned c = 0; c < n; ++c) {
    cores[machine_.cpus[c].core].push_back(c);
    sockets[machine_.cpus[c].socket].push_back(c);
  }
  for (const auto& [core, threads] : cores)
    for (std::size_t i = 0; i < threads.size(); ++i)
      cpu_[threads[i]].sibling = static_cast<std::uint16_t>(threads[(i + 1) % threads.size()]);
  zone_of_.assign(n, 0);
  if (machine_.heat.present)
    for (const auto& [socket, cpus] : sockets) {
      for (const unsigned c : cpus) zone_of_[c] = static_cast<unsigned>(heat_.size());
      heat_.push_back({machine_.heat.idle_c, false, cpus, std::vector<std::uint64_t>(cpus.size(), 0)});
    }
  for (unsigned c = 0; c < n; ++c) {
    sim_cpu& cpu = cpu_[c];
    const cpu_spec& s = machine_.cpus[c];
    if (s.quota_ns != 0) {
      cpu.budget_ns = s.quota_ns;
      // Each host cgroup counts its own periods.
      cpu.period_end_ns = s.period_ns * (c + 1) / n + 1;
    }
    if (s.steal_share > 0) {
      cpu.steal = random_stream(options_.seed, stream::steal, c);
      cpu.steal_change_ns = 1 + steal_gap(c);
    }
    own_speed(c);
    sched_.idle.set_idle(c);
  }
  if (!heat_.empty()) heap_.set(heat_entry_, k_heat_step_ns);
  machine_events_ = machine_.events;
  std::stable_sort(machine_events_.begin(), machine_events_.end(),
                   [](const machine_event& a, const machine_event& b) { return a.at_ns < b.at_ns; });
  if (!machine_events_.empty()) heap_.set(machine_entry_, machine_events_[0].at_ns);
}

// ---- speed and progress

void simulation::own_speed(unsigned c) {
  sim_cpu& cpu = cpu_[c];
  double speed = machine_.cpus[c].speed * cpu.factor;
  if (!heat_.empty() && heat_[zone_of_[c]].capped) speed *= machine_.heat.capped_speed;
  for (unsigned s = cpu.sibling; s != c; s = cpu_[s].sibling)
    if (cpu_[s].curr != nullptr) {
      speed *= machine_.smt_speed;
      break;
    }
  cpu.own_q16 = std::max(1u, static_cast<std::uint32_t>(speed * 65536 + 0.5));
}

// REQUIRES: progress(c) was called at this time.
void simulation::set_speed(unsigned c) {
  sim_cpu& cpu = cpu_[c];
  if (cpu.curr == nullptr || cpu.throttled || cpu.stolen) {
    cpu.speed_q16 = 0;
    return;
  }
  std::uint64_t speed = cpu.own_q16;
  if (cpu.curr->has_task) speed = speed * class_speed_q16_[cpu.curr->task.task_class * cpu_.size() + c] >> 16;
  cpu.speed_q16 = speed != 0 ? speed : 1;
}

// Work done and budget used since the last time.
void simulation::progress(unsigned c) {
  sim_cpu& cpu = cpu_[c];
  const std::uint64_t passed = now_ - cpu.updated_ns;
  cpu.updated_ns = now_;
  if (cpu.curr == nullptr || cpu.speed_q16 == 0 || passed == 0) return;
  const std::uint64_t done = passed * cpu.speed_q16;
  cpu.curr->work_left -= std::min(cpu.curr->work_left, done);
  if (machine_.cpus[c].quota_ns != 0) cpu.budget_ns -= std::min(cpu.budget_ns, passed);
}

// When this CPU must be looked at next.
void simulation::plan(unsigned c) {
  const sim_cpu& cpu = cpu_[c];
  std::uint64_t at = cpu.steal_change_ns;
  const bool stopped = cpu.throttled || cpu.stolen;
  if (cpu.curr != nullptr) {
    if (!stopped) {
      const std::uint64_t left = cpu.curr->work_left;
      at = std::min(at, now_ + (left + cpu.speed_q16 - 1) / cpu.speed_q16);
      at = std::min(at, cpu.next_tick_ns);
      if (cpu.resched) at = now_;
    }
    if (machine_.cpus[c].quota_ns != 0) {
      at = std::min(at, cpu.period_end_ns);
      if (!stopped) at = std::min(at, now_ + cpu.budget_ns);
    }
  } else if (cpu.waking && !stopped) {
    at = std::min(at, cpu.wake_at_ns);
  }
  heap_.set(c, at);
}

// Until the host takes the CPU away, or gives it back.
std::uint64_t simulation::steal_gap(unsigned c) {
  const cpu_spec& s = machine_.cpus[c];
  const double burst = static_cast<double>(s.steal_burst_ns);
  const double mean = cpu_[c].stolen ? burst : burst * (1 - s.steal_share) / s.steal_share;
  return static_cast<std::uint64_t>(-mean * std::log(cpu_[c].steal.unit()));
}

void simulation::fire_cpu(unsigned c) {
  sim_cpu& cpu = cpu_[c];
  const cpu_spec& spec = machine_.cpus[c];
  progress(c);
  if (cpu.steal_change_ns <= now_) {
    cpu.stolen = !cpu.stolen;
    if (cpu.stolen) cpu.steal_begin_ns = now_;
    else if (cpu.curr != nullptr) cpu.stolen_ns += now_ - cpu.steal_begin_ns;  // /proc/stat counts what was wanted
    cpu.steal_change_ns = now_ + 1 + steal_gap(c);
  }
  if (spec.quota_ns != 0 && cpu.curr != nullptr) {
    if (now_ >= cpu.period_end_ns) {
      cpu.period_end_ns += spec.period_ns * ((now_ - cpu.period_end_ns) / spec.period_ns + 1);
      cpu.budget_ns = spec.quota_ns;
      cpu.throttled = false;
    } else if (cpu.budget_ns == 0 && cpu.curr->work_left != 0) {
      cpu.throttled = true;
    }
  }
  set_speed(c);
  if (!cpu.throttled && !cpu.stolen) {
    if (cpu.curr == nullptr) {
      if (cpu.waking && cpu.wake_at_ns <= now_) {
        cpu.waking = false;
        schedule(c);
      }
    } else {
      if (cpu.curr->work_left == 0) end_task(*cpu.curr, c);
      if (cpu.curr != nullptr && cpu.next_tick_ns <= now_) {
        cpu.next_tick_ns += tick_ns_ * ((now_ - cpu.next_tick_ns) / tick_ns_ + 1);
        update_curr(c);
        op_begin(op_record::kind::tick, cpu.curr);
        sched_.tick(*cpu.curr);
        op_end(op_record::kind::tick, static_cast<std::int32_t>(c), cpu.curr->tid, 0, 0);
        if (cpu.curr->slice_ns == 0) cpu.resched = true;
      }
      if (cpu.resched && cpu.curr != nullptr) schedule(c);
    }
  }
  plan(c);
}

// ---- __schedule

void simulation::update_curr(unsigned c) {
  sim_cpu& cpu = cpu_[c];
  const std::uint64_t ran = now_ - cpu.exec_start_ns;
  cpu.exec_start_ns = now_;
  cpu.curr->slice_ns -= std::min(cpu.curr->slice_ns, ran);
}

// REQUIRES: progress(c) was called. The current thread, if any, either is runnable or has just gone to
// sleep (stopping was told).
void simulation::schedule(unsigned c) {
  sim_cpu& cpu = cpu_[c];
  const auto id = static_cast<std::int32_t>(c);
  for (;;) {
    cpu.resched = false;
    sim_thread* prev = cpu.curr;
    dispatch_queue& local = sched_.local[c];
    const bool runnable = prev != nullptr && prev->queued;
    if (runnable) {
      update_curr(c);
      if (prev->slice_ns != 0) return;
    }
    if (local.first == nullptr) {
      op_begin(op_record::kind::dispatch, prev);
      sched_.dispatch(id, prev);
      op_end(op_record::kind::dispatch, id, prev != nullptr ? prev->tid : 0, runnable ? 1 : 0,
             local.first != nullptr ? local.first->tid : 0);
    }
    if (runnable) {
      if (prev->slice_ns != 0) return;
      if (local.first == nullptr) {  // nobody else: it goes on
        prev->slice_ns = k_slice_of_core_ns;
        return;
      }
    }
    auto* next = static_cast<sim_thread*>(local.first);
    if (next != nullptr) local.remove(*next);
    if (runnable) {
      op_begin(op_record::kind::stopping, prev);
      sched_.stopping(*prev, true);
      op_end(op_record::kind::stopping, id, prev->tid, 1, 0);
      enqueue(*prev, false);
    }
    if (next == nullptr) {
      go_idle(c);
      return;
    }
    start_thread(c, *next);
    if (next->neighbour || next->has_task || begin_task(*next, c)) {
      set_speed(c);
      return;
    }
    sleep_current(c);  // its task was taken by another worker meanwhile
  }
}

void simulation::start_thread(unsigned c, sim_thread& p) {
  sim_cpu& cpu = cpu_[c];
  const auto from = p.managed && p.t.epoch == sched_.epoch ? p.t.last_cpu : static_cast<unsigned>(p.cpu);
  const bool was_idle = cpu.curr == nullptr;
  p.cpu = static_cast<std::int32_t>(c);
  if (p.slice_ns == 0) p.slice_ns = k_slice_of_core_ns;
  std::uint64_t overhead = cpu.last != &p ? machine_.costs.switch_ns : 0;
  if (p.has_task && from != c) overhead += migration_ns(p, from, c);
  p.work_left += overhead << 16;
  cpu.curr = &p;
  cpu.last = &p;
  cpu.exec_start_ns = now_;
  op_begin(op_record::kind::running, &p);
  sched_.running(p);
  op_end(op_record::kind::running, static_cast<std::int32_t>(c), p.tid, 0, 0);
  if (was_idle) {
    sched_.idle.test_and_clear(c);
    cpu.next_tick_ns = (now_ / tick_ns_ + 1) * tick_ns_;
    // The periods of bandwidth control go on while the CPU is idle.
    if (const cpu_spec& s = machine_.cpus[c]; s.quota_ns != 0 && now_ >= cpu.period_end_ns) {
      cpu.period_end_ns += s.period_ns * ((now_ - cpu.period_end_ns) / s.period_ns + 1);
      cpu.budget_ns = s.quota_ns;
    }
    busy_changes(c, true);
  }
}

// The current thread has nothing to do. REQUIRES: a schedule() follows.
void simulation::sleep_current(unsigned c) {
  sim_thread& p = *cpu_[c].curr;
  p.queued = false;
  update_curr(c);
  op_begin(op_record::kind::stopping, &p);
  sched_.stopping(p, false);
  op_end(op_record::kind::stopping, static_cast<std::int32_t>(c), p.tid, 0, 0);
  if (!p.neighbour) {
    p.page.tag = 0;
    pools_[p.pool].sleeps(p);
  }
}

void simulation::go_idle(unsigned c) {
  sim_cpu& cpu = cpu_[c];
  const bool was_busy = cpu.curr != nullptr;
  cpu.curr = nullptr;
  cpu.speed_q16 = 0;
  if (cpu.online) sched_.idle.set_idle(c);
  if (was_busy) busy_changes(c, false);
}

// Siblings share the core's speed.
void simulation::busy_changes(unsigned c, bool busy) {
  sim_cpu& cpu = cpu_[c];
  if (busy) cpu.busy_begin_ns = now_;
  else cpu.busy_ns += now_ - cpu.busy_begin_ns;
  if (cpu.sibling == c || machine_.smt_speed == 1) return;
  for (unsigned s = cpu.sibling; s != c; s = cpu_[s].sibling) {
    progress(s);
    own_speed(s);
    if (cpu_[s].curr != nullptr) {
      set_speed(s);
      plan(s);
    }
  }
}

void simulation::begin_waking(unsigned c) {
  sim_cpu& cpu = cpu_[c];
  if (cpu.waking || !cpu.online) return;
  cpu.waking = true;
  cpu.wake_at_ns = now_ + machine_.costs.wake_ns;
  plan(c);
}

void simulation::local_inserted(unsigned c, bool preempt) { kick_cpu(c, preempt); }

void simulation::kick_cpu(unsigned c, bool preempt) {
  sim_cpu& cpu = cpu_[c];
  if (cpu.curr == nullptr) {
    begin_waking(c);
  } else if (preempt) {
    progress(c);
    cpu.curr->slice_ns = 0;
    cpu.resched = true;
    plan(c);
  }
}

std::uint64_t simulation::migration_ns(const sim_thread& p, unsigned from, unsigned to) const {
  const cpu_spec &a = machine_.cpus[from], &b = machine_.cpus[to];
  const machine_costs& m = machine_.costs;
  const std::uint64_t ns = a.core == b.core ? m.migrate_core_ns
                           : a.cache == b.cache ? m.migrate_cache_ns
                           : a.node == b.node   ? m.migrate_node_ns
                                                : m.migrate_far_ns;
  return static_cast<std::uint64_t>(static_cast<double>(ns) * load_.classes[p.task.task_class].footprint);
}

std::uint64_t simulation::busy_ns(unsigned c) const {
  return cpu_[c].busy_ns + (cpu_[c].curr != nullptr ? now_ - cpu_[c].busy_begin_ns : 0);
}
std::uint64_t simulation::stolen_ns(unsigned c) const {
  return cpu_[c].stolen_ns;
}
}  // namespace tactus::sim
