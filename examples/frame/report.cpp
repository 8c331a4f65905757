// SPDX-License-Identifier: Apache-2.0
#include "report.h"

#include <fmt/format.h>

#include <array>

#include "../common/machine.h"

namespace tactus::frame {
namespace {

using json = nlohmann::ordered_json;

// Points of the latency distribution that charts are drawn from.
constexpr std::array k_distribution{0.0,  0.01, 0.05, 0.10, 0.20, 0.30, 0.40,  0.50, 0.60,
                                    0.70, 0.80, 0.90, 0.95, 0.98, 0.99, 0.995, 1.0};

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v;
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

json class_json(const game& load, task_kind kind, const class_summary& c, double seconds) {
  const class_attributes& a = load.config().classes[index_of(kind)];
  json out;
  out["priority"] = a.priority;
  out["weight"] = a.weight;
  out["deadline_ms"] = a.deadline_ns == 0 ? json(nullptr) : json(static_cast<double>(a.deadline_ns) * 1e-6);
  out["samples"] = c.latency_ms.size();
  out["latency_p50_ms"] = quantile(c.latency_ms, 0.50);
  out["latency_p99_ms"] = quantile(c.latency_ms, 0.99);
  out["latency_mean_ms"] = mean(c.latency_ms);
  out["late_p50_ms"] = quantile(c.late_ms, 0.50);
  out["late_p99_ms"] = quantile(c.late_ms, 0.99);
  out["wait_p50_ms"] = quantile(c.wait_ms, 0.50);
  out["wait_p99_ms"] = quantile(c.wait_ms, 0.99);
  out["run_p50_ms"] = quantile(c.run_ms, 0.50);
  out["run_p99_ms"] = quantile(c.run_ms, 0.99);
  out["run_mean_ms"] = mean(c.run_ms);
  out["deadline_miss_ratio"] = a.deadline_ns == 0 ? json(nullptr) : json(c.missed_ratio());
  out["throughput_per_s"] = seconds > 0 ? static_cast<double>(c.finished) / seconds : 0;
  out["present_mean"] = c.present_mean;
  out["dropped"] = c.dropped;
  out["wrong"] = c.wrong;
  out["checksum"] = fmt::format("{:016x}", load.checksum(kind));
  out["tasks_on_cpu"] = c.on_cpu;
  json& shape = out["latency_distribution"];
  shape["quantile"] = k_distribution;
  for (const double q : k_distribution) shape["ms"].push_back(quantile(c.latency_ms, q));
  return out;
}

json options_json(const game_config& cfg, const asset_store& assets) {
  json out;
  out["seed"] = cfg.seed;
  out["audio_period_ms"] = static_cast<double>(cfg.audio_period_ns) * 1e-6;
  out["audio_streams"] = cfg.audio_streams;
  out["audio_rooms"] = cfg.audio_rooms;
  out["audio_voices"] = cfg.audio_voices;
  out["frame_period_ms"] = static_cast<double>(cfg.frame_period_ns) * 1e-6;
  out["physics_bodies"] = cfg.physics_bodies;
  out["physics_tasks"] = cfg.physics_tasks;
  out["path_queries"] = cfg.path_queries;
  out["path_side"] = cfg.path_side;
  out["load_streams"] = cfg.load_streams;
  out["load_think_ms"] = static_cast<double>(cfg.load_think_ns) * 1e-6;
  out["load_piece_kib"] = cfg.assets.piece_bytes >> 10;
  out["load_pieces"] = assets.pieces();
  out["load_files"] = assets.files();
  return out;
}

}  // namespace

json to_json(const game& load, const window_summary& window, const char* pool_name, unsigned workers) {
  json out;
  out["program"] = "tactus-frame";
  out["machine"] = examples::describe_machine();
  out["pool"] = pool_name;
  out["workers"] = workers;
  out["seconds"] = window.seconds;
  out["cost"] = window.cost;
  for (unsigned k = 0; k < k_task_kinds; ++k) {
    out["weights"][k_task_names[k]] = load.config().classes[k].weight;
    out["classes"][k_task_names[k]] =
        class_json(load, static_cast<task_kind>(k), window.classes[k], window.seconds);
  }
  out["options"] = options_json(load.config(), load.assets());
  return out;
}

std::string to_table(const game& load, const window_summary& window) {
  std::string out = fmt::format("{:8} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>8} {:>9} {:>6}\n", "class",
                                "per s", "p50 ms", "p99 ms", "wait p50", "wait p99", "run p50", "missed",
                                "present", "wrong");
  for (unsigned k = 0; k < k_task_kinds; ++k) {
    const class_summary& c = window.classes[k];
    const bool deadline = load.config().classes[k].deadline_ns != 0;
    out += fmt::format("{:8} {:>9.1f} {:>9.3f} {:>9.3f} {:>9.3f} {:>9.3f} {:>9.3f} {:>8} {:>9.3f} {:>6}\n",
                       k_task_names[k], static_cast<double>(c.finished) / window.seconds,
                       quantile(c.latency_ms, 0.5), quantile(c.latency_ms, 0.99), quantile(c.wait_ms, 0.5),
                       quantile(c.wait_ms, 0.99), quantile(c.run_ms, 0.5),
                       deadline ? fmt::format("{:.2f} %", 100 * c.missed_ratio()) : "-", c.present_mean,
                       c.wrong);
    if (c.dropped != 0) out += fmt::format("         {} dropped: too many were pending\n", c.dropped);
  }
  out += fmt::format(
      "cost {:.3f} (time mean of the weights of the tasks present), measured over {:.2f} s\n"
      "latency: from when a task was due to its end; present: in tasks x weight\n",
      window.cost, window.seconds);
  return out;
}

}  // namespace tactus::frame
