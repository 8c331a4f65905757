// SPDX-License-Identifier: Apache-2.0
//
// The public pool: a thin shell around pool_core, and its statistics.
#include <tactus/pool.hpp>

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
  for (unsigned c = 0; c < core_->classes.size(); ++c) {
    class_stats& s = out.classes.emplace_back();
    const detail::class_entry& e = core_->classes.entry(c);
    s.name = core_->classes.name(c);
    s.id = core_->classes.id(c);
    s.priority = e.priority;
    s.weight = e.weight;
    std::uint64_t run_units = 0;
    const auto add = [&](const auto& from, const auto& get) {
      s.finished += get(from.finished).load(std::memory_order_acquire);
      s.submitted += get(from.submitted).load(std::memory_order_acquire);
      s.missed += get(from.missed).load(std::memory_order_relaxed);
      s.failed += get(from.failed).load(std::memory_order_relaxed);
      run_units += get(from.run_units).load(std::memory_order_relaxed);
    };
    for (unsigned i = 0; i < core_->nr_threads(); ++i)
      add(core_->workers[i].tags.counters(c), [](const auto& counter) -> const auto& { return counter; });
    for (const auto& shard : core_->guests) add(shard, [c](const auto& counters) -> const auto& { return counters[c]; });
    s.run_time = std::chrono::nanoseconds(static_cast<std::int64_t>(
        static_cast<double>(run_units) * (1u << TACTUS_RUN_UNIT_TICKS_LOG2) * 1000.0 / clock.ticks_per_us));
  }
  return out;
}

}  // namespace tactus
