// SPDX-License-Identifier: Apache-2.0
#include "game.h"

#include <sched.h>
#include <sys/prctl.h>
#include <time.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <stdexcept>

namespace tactus::frame {
namespace {

// More than this many tasks of a class pending, and new ones are dropped. Large enough that only a
// machine that cannot carry the load at all ever drops.
constexpr unsigned k_most_pending = 256;
constexpr std::size_t k_most_steps_due = 16;
// The epoch rides in the argument's top bit.
constexpr unsigned k_epoch_shift = 63;
constexpr std::uint64_t k_argument_mask = (std::uint64_t{1} << k_epoch_shift) - 1;

audio_mixer::config audio_config(const game_config& cfg) {
  audio_mixer::config out;
  out.rooms = cfg.audio_rooms;
  out.voices = cfg.audio_voices;
  out.seed = cfg.seed;
  const std::int64_t frames = cfg.audio_period_ns * out.sample_rate_hz / 1'000'000'000;
  if (frames < 1 || frames > 48'000)
    throw std::invalid_argument("audio: the period must be between 0.03 ms and 1 s");
  out.block_frames = static_cast<unsigned>(frames);
  while (out.fft_frames < 2 * out.block_frames) out.fft_frames *= 2;
  return out;
}

std::uint64_t hash_of(const std::vector<std::uint64_t>& answers) {
  return XXH3_64bits(answers.data(), answers.size() * sizeof answers[0]);
}

}  // namespace

void task::run() const { owner->run_task(*this); }

game::game(const game_config& cfg, const std::function<void(const std::string&)>& progress)
    : cfg_(cfg),
      audio_((progress("synthesising voices"), audio_config(cfg))),
      physics_({.bodies = cfg.physics_bodies, .seed = cfg.seed + 1}),
      paths_({.side = cfg.path_side, .seed = cfg.seed + 2}),
      assets_((progress("reading and compressing files"), cfg.assets)) {
  if (cfg.physics_tasks == 0 || cfg.physics_tasks > cfg.physics_bodies)
    throw std::invalid_argument("physics: tasks per step must be between 1 and the number of bodies");
  progress("computing the right answers");
  for (unsigned b = 0; b < audio_.loop_blocks(); ++b) audio_answers_.push_back(audio_.block_hash(b));
  for (unsigned s = 0; s < physics_.loop_steps(); ++s) {
    physics_.begin_step();
    physics_.run_chunk(0, physics_.bodies());
    physics_answers_.push_back(physics_.end_step());
  }
  for (unsigned q = 0; q < paths_.queries(); ++q) path_answers_.push_back(paths_.find(q));
}

game::~game() { stop(); }

std::uint64_t game::checksum(task_kind kind) const {
  switch (kind) {
    case task_kind::audio: return hash_of(audio_answers_);
    case task_kind::physics: return hash_of(physics_answers_);
    case task_kind::path: return hash_of(path_answers_);
    case task_kind::loading: return assets_.checksum();
  }
  return 0;
}

void game::start(executor& pool) {
  if (pool_ != nullptr) throw std::logic_error("game: started twice");
  pool_ = &pool;
  stopping_ = false;
  if (cfg_.audio_streams > 0) drivers_.emplace_back([this] { audio_driver(); });
  drivers_.emplace_back([this] { frame_driver(); });
  if (cfg_.load_think_ns > 0) drivers_.emplace_back([this] { think_driver(); });
  for (unsigned i = 0; i < cfg_.load_streams; ++i)
    submit(task_kind::loading, next_piece_.fetch_add(1), now_ns());
}

void game::stop() {
  if (pool_ == nullptr) return;
  {
    const std::lock_guard lock(think_mutex_);
    stopping_ = true;
  }
  think_changed_.notify_all();
  for (std::thread& t : drivers_) t.join();
  drivers_.clear();
  // A task counts as in flight until it has submitted what follows it, so zero stays zero.
  while (in_flight_[0].load() + in_flight_[1].load() != 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  pool_ = nullptr;
  step_runs_ = false;
  steps_due_ = {};
  thinking_ = {};
}

void game::submit(task_kind kind, std::uint64_t argument, std::int64_t due_ns) {
  std::atomic<unsigned>& pending = pending_[index_of(kind)];
  if (pending.fetch_add(1) >= k_most_pending) {
    pending.fetch_sub(1);
    meter_.add_drop(kind, due_ns);
    return;
  }
  unsigned epoch = epoch_.load();
  for (;;) {
    in_flight_[epoch & 1].fetch_add(1);
    // Counted before the epoch ended: then its end waits for us. Else count again in the new one.
    const unsigned now = epoch_.load();
    if (now == epoch) break;
    in_flight_[epoch & 1].fetch_sub(1);
    epoch = now;
  }
  task t{};
  t.owner = this;
  t.argument = (argument & k_argument_mask) | (std::uint64_t{epoch & 1} << k_epoch_shift);
  t.due_ns = due_ns;
  t.kind = kind;
  t.submitted_ns = now_ns();
  pool_->submit(t);
}

void game::run_task(const task& t) {
  task_record record{};
  record.due_ns = t.due_ns;
  record.submitted_ns = t.submitted_ns;
  record.kind = t.kind;
  const int cpu = sched_getcpu();
  record.cpu = static_cast<std::uint16_t>(cpu < 0 ? 0 : cpu);
  record.started_ns = now_ns();
  bool last_of_step = false;
  record.correct = work(t, last_of_step);
  record.ended_ns = now_ns();
  if (!record.correct) wrong_.fetch_add(1);
  meter_.add(record);
  pending_[index_of(t.kind)].fetch_sub(1);
  if (t.kind == task_kind::loading && !stopping_.load(std::memory_order_relaxed))
    load_next(record.ended_ns);
  if (last_of_step) step_ended();
  in_flight_[t.argument >> k_epoch_shift].fetch_sub(1);
}

bool game::work(const task& t, bool& last_of_step) {
  const std::uint64_t argument = t.argument & k_argument_mask;
  switch (t.kind) {
    case task_kind::audio:
      return audio_.block_hash(argument) == audio_answers_[argument % audio_answers_.size()];
    case task_kind::physics: {
      const unsigned n = physics_.bodies(), parts = cfg_.physics_tasks;
      const auto part = static_cast<unsigned>(argument);
      physics_.run_chunk(part * n / parts, (part + 1) * n / parts);
      // The step as a whole is checked by its last part.
      last_of_step = chunks_left_.fetch_sub(1) == 1;
      return !last_of_step || physics_.end_step() == physics_answers_[physics_.step() - 1];
    }
    case task_kind::path:
      return paths_.find(argument) == path_answers_[argument % path_answers_.size()];
    case task_kind::loading:
      return assets_.load(argument);
  }
  return false;
}

void game::load_next(std::int64_t ended_ns) {
  if (cfg_.load_think_ns == 0) {
    submit(task_kind::loading, next_piece_.fetch_add(1), now_ns());
    return;
  }
  bool first = false;
  {
    const std::lock_guard lock(think_mutex_);
    first = thinking_.empty();
    thinking_.push(ended_ns + cfg_.load_think_ns);
  }
  if (first) think_changed_.notify_one();  // else it sleeps until the front is due already
}

void game::think_driver() {
  prctl(PR_SET_NAME, "frame-loader");
  std::unique_lock lock(think_mutex_);
  while (!stopping_) {
    if (thinking_.empty()) {
      think_changed_.wait(lock);
      continue;
    }
    const std::int64_t due_ns = thinking_.front();
    if (due_ns > now_ns()) {
      // steady_clock is CLOCK_MONOTONIC here.
      think_changed_.wait_until(lock, std::chrono::steady_clock::time_point(std::chrono::nanoseconds(due_ns)));
      continue;
    }
    thinking_.pop();
    lock.unlock();
    submit(task_kind::loading, next_piece_.fetch_add(1), due_ns);
    lock.lock();
  }
}

void game::sleep_until(std::int64_t ns) const {
  const timespec t{ns / 1'000'000'000, ns % 1'000'000'000};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, nullptr) == EINTR) {
  }
}

void game::audio_driver() {
  prctl(PR_SET_NAME, "frame-audio");
  prctl(PR_SET_TIMERSLACK, 1UL);  // 1 ns: the default of 50 us would show in every latency
  const std::uint64_t apart = audio_answers_.size() / cfg_.audio_streams;  // streams play different places of the loop
  std::int64_t due_ns = now_ns() + cfg_.audio_period_ns;
  for (std::uint64_t block = 0; !stopping_.load(std::memory_order_relaxed); ++block) {
    sleep_until(due_ns);
    for (unsigned s = 0; s < cfg_.audio_streams; ++s) submit(task_kind::audio, block + s * apart, due_ns);
    due_ns += cfg_.audio_period_ns;
  }
}

void game::frame_driver() {
  prctl(PR_SET_NAME, "frame-frame");
  prctl(PR_SET_TIMERSLACK, 1UL);
  std::uint64_t query = 0;
  std::int64_t due_ns = now_ns() + cfg_.frame_period_ns;
  while (!stopping_.load(std::memory_order_relaxed)) {
    sleep_until(due_ns);
    physics_due(due_ns);
    for (unsigned q = 0; q < cfg_.path_queries; ++q) submit(task_kind::path, query++, due_ns);
    due_ns += cfg_.frame_period_ns;
  }
}

void game::physics_due(std::int64_t due_ns) {
  {
    const std::lock_guard lock(step_mutex_);
    if (step_runs_) {
      if (steps_due_.size() < k_most_steps_due) {
        steps_due_.push(due_ns);
      } else {
        for (unsigned part = 0; part < cfg_.physics_tasks; ++part)
          meter_.add_drop(task_kind::physics, due_ns);
      }
      return;
    }
    step_runs_ = true;
  }
  start_step(due_ns);
}

void game::step_ended() {
  std::int64_t due_ns = 0;
  {
    const std::lock_guard lock(step_mutex_);
    step_runs_ = !steps_due_.empty() && !stopping_.load(std::memory_order_relaxed);
    if (!step_runs_) return;
    due_ns = steps_due_.front();
    steps_due_.pop();
  }
  start_step(due_ns);
}

// REQUIRES: the caller has set step_runs_, so that it is the only one here.
void game::start_step(std::int64_t due_ns) {
  physics_.begin_step();
  chunks_left_.store(cfg_.physics_tasks);
  for (unsigned part = 0; part < cfg_.physics_tasks; ++part) submit(task_kind::physics, part, due_ns);
}

window_summary game::measure(double seconds, const std::function<void(double)>& tick) {
  const std::int64_t begin_ns = meter_.start();
  const std::int64_t until_ns = begin_ns + static_cast<std::int64_t>(seconds * 1e9);
  for (std::int64_t now = now_ns(); now < until_ns; now = now_ns()) {
    sleep_until(std::min(until_ns, now + 100'000'000));
    if (tick) tick(static_cast<double>(now_ns() - begin_ns) * 1e-9);
  }
  const unsigned old = epoch_.fetch_add(1);
  const std::int64_t end_ns = now_ns();
  const std::int64_t give_up_ns = end_ns + static_cast<std::int64_t>(k_settle_limit_s * 1e9);
  while (in_flight_[old & 1].load() != 0) {
    if (now_ns() > give_up_ns)
      throw std::runtime_error("a task submitted while measuring has not ended " +
                               std::to_string(static_cast<int>(k_settle_limit_s)) +
                               " s later; is its worker starved? see 'tactus status'");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  meter_.stop();
  return summarise(meter_.records(), meter_.drops(), begin_ns, end_ns, cfg_.classes);
}

}  // namespace tactus::frame
