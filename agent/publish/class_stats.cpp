// SPDX-License-Identifier: Apache-2.0
//
// class_stats.h's implementation.
#include "agent/publish/class_stats.h"

#include <algorithm>
#include <cmath>

namespace tactus::agent {
namespace {

constexpr double k_fast_step = 0.02;    // per task: some 50 tasks
constexpr double k_slow_step = 0.0005;  // some 2000 tasks
constexpr std::uint64_t k_longest_report_ns = 10'000'000'000ull;

// The step of an exponential filter after n tasks at once.
double step_for(double step, double n) { return 1 - std::pow(1 - step, n); }

}  // namespace

double class_figures::mean_run_ns() const {
  double run = 0, tasks = 0;
  for (const auto& p : place) {
    run += p.run_ns;
    tasks += p.tasks;
  }
  return tasks > 0 ? run / tasks : 0;
}

double class_figures::variation() const {
  return task_ns > 0 ? std::max(0.0, task_ns_squared / (task_ns * task_ns) - 1) : 0;
}

void class_stats::add_run(class_figures& c, std::size_t place, double run_ns) {
  c.place[place].run_ns += run_ns;
  c.place[place].run_total_ns += static_cast<std::uint64_t>(run_ns);
}

void class_stats::add_tasks(class_figures& c, std::size_t place, double tasks) {
  class_at_place& p = c.place[place];
  p.tasks += tasks;
  p.tasks_total += static_cast<std::uint64_t>(tasks);
  if (p.tasks > k_window) {
    const double keep = k_window / p.tasks;
    p.tasks *= keep;
    p.run_ns *= keep;
  }
}

bool class_stats::on_completion(const tactus_completion_event& event, std::size_t bytes, const pool_table& pools,
                                completion_split* split) {
  const std::lock_guard lock(mutex_);
  constexpr std::size_t k_fixed = offsetof(tactus_completion_event, records);
  if (bytes < k_fixed || event.nr_records > TACTUS_EVENT_RECORDS ||
      bytes < k_fixed + event.nr_records * sizeof(tactus_record) || event.place >= TACTUS_MAX_PLACES) {
    events_.malformed++;
    return false;
  }
  events_.completion_events++;
  const std::uint64_t now = event.head.time_ns;
  const double run_ns = static_cast<double>(std::min<std::uint64_t>(event.stint_run_ns, k_longest_report_ns));
  places_[event.place].busy_ns += static_cast<std::uint64_t>(run_ns);
  places_[event.place].wait_ns += std::min<std::uint64_t>(event.stint_wait_ns, k_longest_report_ns);
  if (event.stopped == 1) {
    const bool known = stints_[event.stint % stints_.size()].stint == event.stint;
    (known ? events_.joined : events_.unjoined)++;
  }

  // How the worker's CPU time since its last report splits over what it did: by the wall time of
  // each record within that time, and the rest for the task still under way.
  last_report& last = reports_[event.head.tid % reports_.size()];
  std::uint64_t boundary = last.tid == event.head.tid ? last.time_ns : 0;
  last = {event.head.tid, now};
  std::array<double, TACTUS_EVENT_RECORDS + 1> wall{};
  std::array<std::uint8_t, TACTUS_EVENT_RECORDS + 1> slot{};
  double whole = 0, tasks = 0;
  for (unsigned i = 0; i < event.nr_records; i++) {
    const tactus_record& r = event.records[i];
    slot[i] = pools.slot_of(event.pool, r.local_class) & (TACTUS_MAX_SLOTS - 1);
    const double ns = clock_.ticks_to_ns(static_cast<double>(r.run_units) * (1u << TACTUS_RUN_UNIT_TICKS_LOG2), event.clock);
    const std::uint64_t end = clock_.moment_to_ns(r.end_ticks, event.clock);
    if (event.clock == TACTUS_CLOCK_NONE || end == 0) {
      events_.records_without_clock++;
      wall[i] = r.count;  // no better weight than the number of tasks
    } else {
      const double room = boundary != 0 ? static_cast<double>(static_cast<std::int64_t>(end - boundary)) : ns;
      wall[i] = std::clamp(ns, 0.0, std::max(room, 0.0));
      boundary = end;
    }
    whole += wall[i];
    class_figures& c = slots_[slot[i]];
    c.completions += r.count;
    c.missed += (r.flags & TACTUS_RECORD_MISSED) != 0 ? 1 : 0;
    c.failed += (r.flags & TACTUS_RECORD_FAILED) != 0 ? 1 : 0;
    c.wall_total_ns += static_cast<std::uint64_t>(std::min(ns, 1e15));
    c.last_event_ns = now;
    tasks += r.count;
  }
  unsigned parts = event.nr_records;
  slot[parts] = event.slot & (TACTUS_MAX_SLOTS - 1);
  if (slot[parts] != 0 && event.clock != TACTUS_CLOCK_NONE) {
    const double open = boundary != 0 ? static_cast<double>(static_cast<std::int64_t>(now - boundary)) : run_ns;
    wall[parts] = std::clamp(open, 0.0, run_ns);
    whole += wall[parts];
    parts++;
  } else if (parts == 0 && slot[0] != 0) {
    wall[0] = whole = 1;
    parts = 1;
  }
  if (whole > 0) {
    for (unsigned i = 0; i < parts; i++) {
      const double part_ns = run_ns * wall[i] / whole;
      add_run(slots_[slot[i]], event.place, part_ns);
      if (i < event.nr_records && event.records[i].count != 0) {
        class_figures& c = slots_[slot[i]];
        const double one = part_ns / event.records[i].count;
        const double step = c.task_ns == 0 ? 1 : k_fast_step;
        c.task_ns += step * (one - c.task_ns);
        c.task_ns_squared += step * (one * one - c.task_ns_squared);
        if (one > 0) c.run_log2.add(std::log2(one), event.records[i].count);
        if (split != nullptr) split->task_ns[i] = one;
      }
      slots_[slot[i]].last_event_ns = now;
    }
  }
  if (split != nullptr) {
    split->nr = event.nr_records;
    std::copy_n(slot.begin(), split->nr, split->slot.begin());
  }
  for (unsigned i = 0; i < event.nr_records; i++) {
    class_figures& c = slots_[slot[i]];
    const double count = event.records[i].count;
    add_tasks(c, event.place, count);
    const class_at_place& p = c.place[event.place];
    if (p.tasks >= 1) {
      const double mean = p.run_ns / p.tasks;
      const auto move = [&](double& filter, double step) {
        filter += filter == 0 ? mean : step_for(step, count) * (mean - filter);
      };
      move(c.recent_run_ns, k_fast_step);
      move(c.usual_run_ns, k_slow_step);
    }
  }
  events_.tasks += static_cast<std::uint64_t>(tasks);
  service_run_ns_ += run_ns;
  service_tasks_ += tasks;
  constexpr double k_service_window = 2000;
  if (service_tasks_ > k_service_window) {
    service_run_ns_ *= k_service_window / service_tasks_;
    service_tasks_ = k_service_window;
  }
  return true;
}

void class_stats::on_decision(const tactus_decision_event& event) {
  const std::lock_guard lock(mutex_);
  events_.decisions++;
  if (event.source < TACTUS_NR_SOURCES) events_.by_source[event.source]++;
  stints_[event.stint % stints_.size()].stint = event.stint;
  class_figures& c = slots_[event.slot & (TACTUS_MAX_SLOTS - 1)];
  c.decisions++;
  c.visits[event.situation & (TACTUS_NR_SITUATIONS - 1)] += 1;
  c.last_event_ns = event.head.time_ns;
}

void class_stats::on_malformed() {
  const std::lock_guard lock(mutex_);
  events_.malformed++;
}

void class_stats::on_fold(unsigned slot, std::uint64_t tasks, std::uint64_t missed, double wall_ns, std::uint64_t now) {
  const std::lock_guard lock(mutex_);
  class_figures& c = slots_[slot & (TACTUS_MAX_SLOTS - 1)];
  c.completions += tasks;
  c.folded += tasks;
  c.missed += missed;
  c.wall_total_ns += static_cast<std::uint64_t>(std::clamp(wall_ns, 0.0, 1e15));
  c.last_event_ns = now;
  events_.tasks += tasks;
}

void class_stats::reset_slot(unsigned slot) {
  const std::lock_guard lock(mutex_);
  slots_[slot & (TACTUS_MAX_SLOTS - 1)] = {};
}

double class_stats::service_time_ns() const {
  const std::lock_guard lock(mutex_);
  return service_tasks_ >= 1 ? service_run_ns_ / service_tasks_ : 0;
}

std::uint64_t class_stats::tasks() const {
  const std::lock_guard lock(mutex_);
  return events_.tasks;
}

void class_stats::forget_visits(float factor) {
  const std::lock_guard lock(mutex_);
  for (auto& c : slots_) {
    for (auto& v : c.visits) v *= factor;
  }
}

}  // namespace tactus::agent
