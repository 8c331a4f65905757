// SPDX-License-Identifier: Apache-2.0
// The frame example's load: who submits what, when, and whether the results are right.
//
//   audio    every period one task per stream, due at the period's start; urgent, deadline = period
//   physics  every frame one step in several tasks; a step waits for the one before; high
//   path     every frame some queries; normal
//   loading  a fixed number of streams; each waits for its data, then submits one task; background
//
// Sizes and rates are fixed by the configuration and never adapt, so that they are the same in every
// arm of a comparison. Drivers are ordinary threads on an absolute timer; a late driver shows in the
// latency, which counts from the time a task was due. Where tasks pile up, the newest are dropped and
// counted (as missed where the class has a deadline), so that memory stays bounded.
// Every result is compared with one computed at start: a wrong one is counted.
// Relies on: an executor. Does not: adapt, sleep in tasks, touch files after start.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <queue>
#include <string>
#include <thread>
#include <vector>

#include "asset_store.h"
#include "audio_mixer.h"
#include "executor.h"
#include "meter.h"
#include "nbody.h"
#include "path_grid.h"

namespace tactus::frame {

struct game_config {
  std::uint64_t seed = 1;

  std::int64_t audio_period_ns = 5'000'000;
  unsigned audio_streams = 2;
  unsigned audio_rooms = 1;
  unsigned audio_voices = 8;  // per room

  std::int64_t frame_period_ns = 16'666'667;
  unsigned physics_bodies = 256;
  unsigned physics_tasks = 4;
  unsigned path_queries = 2;  // per frame
  unsigned path_side = 80;

  unsigned load_streams = 4;
  std::int64_t load_think_ns = 0;  // from the end of one to the submission of the next
  asset_store::config assets;

  std::array<class_attributes, k_task_kinds> classes;
};

// Thread-safety: one thread constructs, starts, measures and stops; tasks run anywhere.
class game {
 public:
  // Makes the inputs and the right answers; says on `progress` what it is at. May take seconds.
  // Throws std::invalid_argument or std::runtime_error with what to change.
  game(const game_config& cfg, const std::function<void(const std::string&)>& progress);
  ~game();
  game(const game&) = delete;
  game& operator=(const game&) = delete;

  // REQUIRES: not started. `pool` must outlive the game or its stop().
  void start(executor& pool);
  // Ends the drivers and waits for every task. Idempotent.
  void stop();

  // Measures the load as it runs for so long, then waits until every task submitted in that time has
  // ended (at most settle_limit_s; throws std::runtime_error when one has not). `tick(seconds)` is
  // called about every 100 ms with the time measured so far.
  window_summary measure(double seconds, const std::function<void(double)>& tick = {});

  const game_config& config() const { return cfg_; }
  const asset_store& assets() const { return assets_; }
  // Hash over the right answers of a class: the same for the same seed and sizes (and, for loading,
  // the same files).
  std::uint64_t checksum(task_kind kind) const;
  // Tasks of all kinds that gave a wrong result since the start, measured or not.
  std::uint64_t wrong_results() const { return wrong_.load(); }

  static constexpr double k_settle_limit_s = 60;

 private:
  friend struct task;
  void run_task(const task& t);
  bool work(const task& t, bool& last_of_step);
  void submit(task_kind kind, std::uint64_t argument, std::int64_t due_ns);
  void audio_driver();
  void frame_driver();
  void think_driver();
  void physics_due(std::int64_t due_ns);
  void start_step(std::int64_t due_ns);
  void step_ended();
  void load_next(std::int64_t due_ns);
  void sleep_until(std::int64_t ns) const;

  const game_config cfg_;
  audio_mixer audio_;
  nbody physics_;
  path_grid paths_;
  asset_store assets_;
  std::vector<std::uint64_t> audio_answers_, physics_answers_, path_answers_;

  meter meter_;
  executor* pool_ = nullptr;
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> drivers_;
  std::atomic<std::uint64_t> wrong_{0};
  std::array<std::atomic<unsigned>, k_task_kinds> pending_{};

  // Tasks in flight of the even and the odd epoch; a measurement ends by starting a new epoch and
  // waiting until the old one is empty.
  std::atomic<unsigned> epoch_{0};
  std::array<std::atomic<std::int64_t>, 2> in_flight_{};

  std::mutex step_mutex_;
  bool step_runs_ = false;
  std::queue<std::int64_t> steps_due_;
  std::atomic<unsigned> chunks_left_{0};

  std::atomic<std::uint64_t> next_piece_{0};
  std::mutex think_mutex_;
  std::condition_variable think_changed_;
  std::queue<std::int64_t> thinking_;  // equal think times: first in is first due
};

}  // namespace tactus::frame
