// SPDX-License-Identifier: Apache-2.0
//
// The public pool: a thin shell around pool_core, and its statistics.
#include <tactus/pool.hpp>

#include "memory_watch.h"
#include "pool_core.h"
#include "registration.h"

namespace tactus {

pool::pool(const pool_options& options) : core_(new detail::pool_core(options)) {}
pool::~pool() { delete core_; }
void pool::wait() { core_->wait(); }
void pool::shutdown(stop_mode mode) {
  if (mode == stop_mode::cancel && !core_->called_from_task()) stop_.request_stop();
  core_->shutdown(mode);
}
unsigned pool::resize(unsigned workers) { return core_->resize(workers); }
unsigned pool::workers() const noexcept { return core_->active_workers(); }
unsigned pool::max_workers() const noexcept { return core_->nr_workers; }
unsigned pool::spares() const noexcept { return core_->nr_spares; }
const std::string& pool::name() const noexcept { return core_->options.name; }
bool pool::registered() const noexcept { return core_->agent->registered(); }
registration_status pool::registration() const { return core_->agent->status(); }

bool detail::called_from_task_of(const pool_core& core) noexcept { return core.called_from_task(); }

pool_stats pool::stats() const {
  pool_stats out;
  const detail::tick_clock& clock = core_->clock;
  out.clock = clock.name();
  out.spare_wakeups = core_->nr_spare_wakeups_.load(std::memory_order_relaxed);
  for (unsigned i = 0; i < core_->nr_threads(); ++i) {
    out.parked += core_->workers[i].nr_parked.load(std::memory_order_relaxed);
    out.stolen += core_->workers[i].nr_stolen.load(std::memory_order_relaxed);
  }
  const auto fill = [&](class_stats& s, const detail::class_counts& counts) {
    s.submitted = counts.submitted;
    s.finished = counts.finished;
    s.missed = counts.missed;
    s.failed = counts.failed;
    s.run_time = std::chrono::nanoseconds(static_cast<std::int64_t>(
        static_cast<double>(counts.run_units) * (1u << TACTUS_RUN_UNIT_TICKS_LOG2) * 1000.0 / clock.ticks_per_us));
  };
  for (unsigned c = 0; c < core_->classes.size(); ++c) {
    class_stats& s = out.classes.emplace_back();
    const detail::class_record& r = core_->classes.entry(c);
    s.name = r.name;
    s.id = r.id;
    s.priority = r.priority;
    s.weight = r.weight;
    fill(s, core_->classes.counts(c));
  }
  for (unsigned r = 0; r < k_selection_reasons; ++r)
    out.selections[r] = core_->nr_selections_[r].load(std::memory_order_relaxed);
  out.memory_pressure = core_->under_pressure();
  out.deferred = core_->memory->deferred();
  out.memory = core_->memory->status();
  out.evictions = core_->classes.evictions();
  out.evicted.name = "evicted";
  fill(out.evicted, core_->classes.evicted_counts());
  return out;
}

}  // namespace tactus
