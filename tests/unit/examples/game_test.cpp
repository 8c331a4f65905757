// SPDX-License-Identifier: Apache-2.0
// The frame example's drivers and its measuring, on executors of the test's own.
#include <doctest/doctest.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "frame/game.h"
#include "frame/meter.h"
#include "frame/report.h"

using namespace tactus::frame;

namespace {

// Threads and one queue; may hold tasks back for a while, as a starved pool does.
class queue_executor : public executor {
 public:
  explicit queue_executor(unsigned threads) {
    for (unsigned i = 0; i < threads; ++i)
      threads_.emplace_back([this] {
        for (;;) {
          std::unique_lock lock(mutex_);
          changed_.wait(lock, [&] { return ended_ || (!queue_.empty() && !held_); });
          if (queue_.empty() || held_) return;
          const task t = queue_.front();
          queue_.pop_front();
          lock.unlock();
          t.run();
        }
      });
  }
  ~queue_executor() override {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    changed_.notify_all();
    for (auto& t : threads_) t.join();
  }
  void submit(const task& t) override {
    {
      const std::lock_guard lock(mutex_);
      queue_.push_back(t);
    }
    changed_.notify_one();
  }
  void hold(bool on) {
    {
      const std::lock_guard lock(mutex_);
      held_ = on;
    }
    changed_.notify_all();
  }
  unsigned workers() const override { return static_cast<unsigned>(threads_.size()); }
  const char* name() const override { return "test"; }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<task> queue_;
  bool ended_ = false, held_ = false;
  std::vector<std::thread> threads_;
};

game_config small_game() {
  game_config cfg;
  cfg.audio_voices = 1;
  cfg.physics_bodies = 32;
  cfg.path_side = 16;
  cfg.load_streams = 3;
  cfg.assets.directories = {"/usr/bin", "/usr/lib"};
  cfg.assets.total_bytes = 256 << 10;
  cfg.assets.piece_bytes = 4 << 10;
  cfg.classes = {{{3, 4, cfg.audio_period_ns}, {2, 2, cfg.frame_period_ns}, {1, 1, 0}, {0, 1, 0}}};
  return cfg;
}

const auto k_silent = [](const std::string&) {};

task_record record(task_kind kind, std::int64_t due, std::int64_t submitted, std::int64_t started,
                   std::int64_t ended, bool correct = true) {
  return {due, submitted, started, ended, 1, kind, correct};
}

}  // namespace

TEST_CASE("a window's figures are those of a hand-made example") {
  constexpr std::int64_t ms = 1'000'000;
  std::array<class_attributes, k_task_kinds> classes{};
  classes[0] = {3, 4, 5 * ms};
  classes[3] = {0, 1, 0};
  const std::vector<task_record> records{
      // in before, out inside: counts as finished, and for 10 ms of presence
      record(task_kind::audio, 95 * ms, 96 * ms, 100 * ms, 110 * ms),
      // wholly inside, in time, but wrong
      record(task_kind::audio, 120 * ms, 121 * ms, 122 * ms, 125 * ms, false),
      // in inside, out after: 20 ms of presence only
      record(task_kind::loading, 180 * ms, 180 * ms, 190 * ms, 260 * ms),
      // around the whole window: 100 ms
      record(task_kind::loading, 50 * ms, 50 * ms, 60 * ms, 300 * ms),
      // before and after it: nothing
      record(task_kind::loading, 10 * ms, 10 * ms, 20 * ms, 90 * ms),
      record(task_kind::loading, 210 * ms, 210 * ms, 220 * ms, 230 * ms)};
  std::vector<task_record> drops{record(task_kind::audio, 130 * ms, 0, 0, 0), record(task_kind::audio, 30 * ms, 0, 0, 0)};
  const window_summary w = summarise(records, drops, 100 * ms, 200 * ms, classes);
  const class_summary& audio = w.classes[0];
  CHECK(w.seconds == doctest::Approx(0.1));
  CHECK(audio.finished == 2);
  CHECK(audio.dropped == 1);
  CHECK(audio.missed == 2);  // the late one and the dropped one
  CHECK(audio.missed_ratio() == doctest::Approx(2.0 / 3));
  CHECK(audio.wrong == 1);
  CHECK(audio.latency_ms == std::vector<double>{5, 15});
  CHECK(audio.late_ms == std::vector<double>{1, 1});
  CHECK(audio.wait_ms == std::vector<double>{1, 4});
  CHECK(audio.run_ms == std::vector<double>{3, 10});
  CHECK(audio.present_mean == doctest::Approx(4 * (10 + 4) / 100.0));
  CHECK(audio.on_cpu == std::vector<std::uint64_t>{0, 2});
  CHECK(w.classes[3].finished == 0);
  CHECK(w.classes[3].present_mean == doctest::Approx((20 + 100) / 100.0));
  CHECK(w.cost == doctest::Approx(0.56 + 1.2));
}

TEST_CASE("quantiles interpolate and do not fail on nothing") {
  CHECK(quantile({}, 0.5) == 0);
  CHECK(quantile({3}, 0.99) == 3);
  CHECK(quantile({1, 2, 3, 4, 5}, 0.5) == 3);
  CHECK(quantile({0, 10}, 0.25) == doctest::Approx(2.5));
}

TEST_CASE("the load runs, all results are right, and presence obeys Little's law") {
  queue_executor pool(2);
  game load(small_game(), k_silent);
  load.start(pool);
  const window_summary w = load.measure(0.6);
  load.stop();
  CHECK(load.wrong_results() == 0);
  const auto per_s = [&](unsigned k) { return static_cast<double>(w.classes[k].finished + w.classes[k].dropped) / w.seconds; };
  // Two streams every 5 ms; four tasks and two queries every 16.7 ms. Loose: the machine may be busy.
  CHECK(per_s(0) == doctest::Approx(400).epsilon(0.25));
  CHECK(per_s(1) == doctest::Approx(240).epsilon(0.25));
  CHECK(per_s(2) == doctest::Approx(120).epsilon(0.25));
  // Loading is a closed loop of three: nearly three present at any time.
  CHECK(w.classes[3].present_mean <= 3.0001);
  CHECK(w.classes[3].present_mean > 2.5);
  for (unsigned k = 0; k < k_task_kinds; ++k) {
    const class_summary& c = w.classes[k];
    double in_system_ms = 0;
    for (std::size_t i = 0; i < c.wait_ms.size(); ++i) in_system_ms += c.wait_ms[i] + c.run_ms[i];
    const double little = in_system_ms * 1e-3 / w.seconds * load.config().classes[k].weight;
    CHECK(c.present_mean == doctest::Approx(little).epsilon(0.2));
  }
}

TEST_CASE("a held-up pool shows in the latency from the due time, in missed deadlines and in the cost") {
  queue_executor pool(2);
  game load(small_game(), k_silent);
  load.start(pool);
  std::thread holder([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    pool.hold(true);
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    pool.hold(false);
  });
  const window_summary w = load.measure(0.7);
  holder.join();
  load.stop();
  CHECK(w.classes[0].latency_ms.back() > 250);
  CHECK(w.classes[0].missed_ratio() > 0.2);
  CHECK(w.classes[0].present_mean > 4 * 10);  // up to 120 blocks of weight 4 stood in the queue
  CHECK(load.wrong_results() == 0);           // late, but right: physics steps kept their order
}

TEST_CASE("tasks that end after the window are waited for, and later ones do not count") {
  queue_executor pool(1);
  auto cfg = small_game();
  cfg.audio_streams = 0;
  cfg.path_queries = 0;
  game load(cfg, k_silent);
  pool.hold(true);
  load.start(pool);
  std::thread holder([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(400));
    pool.hold(false);
  });
  const window_summary w = load.measure(0.2);  // returns only when the pool goes on
  holder.join();
  load.stop();
  CHECK(w.seconds < 0.3);
  CHECK(w.classes[3].finished == 0);
  CHECK(w.classes[3].present_mean == doctest::Approx(3).epsilon(0.01));
}

TEST_CASE("thinking loaders leave room between tasks") {
  queue_executor pool(2);
  auto cfg = small_game();
  cfg.load_think_ns = 20'000'000;
  game load(cfg, k_silent);
  load.start(pool);
  const window_summary w = load.measure(0.5);
  load.stop();
  CHECK(static_cast<double>(w.classes[3].finished) / w.seconds <= 3 / 0.020 * 1.05);
  CHECK(static_cast<double>(w.classes[3].finished) / w.seconds > 3 / 0.020 * 0.5);
  CHECK(w.classes[3].present_mean < 1.5);
}

TEST_CASE("inputs are the same for the same seed and differ for another") {
  game one(small_game(), k_silent), two(small_game(), k_silent);
  auto cfg = small_game();
  cfg.seed = 2;
  game other(cfg, k_silent);
  for (unsigned k = 0; k < 3; ++k) {
    CHECK(one.checksum(static_cast<task_kind>(k)) == two.checksum(static_cast<task_kind>(k)));
    CHECK(one.checksum(static_cast<task_kind>(k)) != other.checksum(static_cast<task_kind>(k)));
  }
}

TEST_CASE("the JSON has what the comparison of arms reads") {
  queue_executor pool(2);
  game load(small_game(), k_silent);
  load.start(pool);
  const window_summary w = load.measure(0.2);
  load.stop();
  const auto json = to_json(load, w, pool.name(), pool.workers());
  CHECK(json.at("cost").get<double>() == w.cost);
  CHECK(json.at("seconds").get<double>() > 0.19);
  CHECK(json.at("weights").at("audio") == 4);
  CHECK(json.at("machine").at("cpus").get<int>() >= 1);
  double sum = 0;
  for (const char* name : k_task_names) {
    const auto& c = json.at("classes").at(name);
    for (const char* field : {"latency_p50_ms", "latency_p99_ms", "wait_p50_ms", "wait_p99_ms", "run_p50_ms",
                              "run_p99_ms", "throughput_per_s"})
      CHECK(c.at(field).get<double>() >= 0);
    CHECK(c.at("samples").get<std::size_t>() > 0);
    CHECK(c.at("latency_distribution").at("ms").size() == c.at("latency_distribution").at("quantile").size());
    sum += c.at("present_mean").get<double>();
  }
  CHECK(json.at("classes").at("audio").at("deadline_miss_ratio").is_number());
  CHECK(json.at("classes").at("loading").at("deadline_miss_ratio").is_null());
  CHECK(sum == doctest::Approx(w.cost));
}
