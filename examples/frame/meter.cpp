// SPDX-License-Identifier: Apache-2.0
#include "meter.h"

#include <time.h>

#include <algorithm>
#include <cmath>

namespace tactus::frame {
namespace {
std::atomic<std::uint64_t> next_meter_id{1};
}  // namespace

std::int64_t now_ns() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1'000'000'000LL + t.tv_nsec;
}

double quantile(const std::vector<double>& sorted, double q) {
  if (sorted.empty()) return 0;
  const double at = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(std::floor(at));
  if (below + 1 >= sorted.size()) return sorted.back();
  const double part = at - static_cast<double>(below);
  return sorted[below] * (1 - part) + sorted[below + 1] * part;
}

window_summary summarise(const std::vector<task_record>& records, const std::vector<task_record>& drops,
                         std::int64_t begin_ns, std::int64_t end_ns,
                         const std::array<class_attributes, k_task_kinds>& classes) {
  window_summary out;
  const double length_ns = static_cast<double>(end_ns - begin_ns);
  out.seconds = length_ns * 1e-9;
  std::array<std::int64_t, k_task_kinds> present_ns{};
  for (const task_record& r : records) {
    class_summary& c = out.classes[index_of(r.kind)];
    const std::int64_t from = std::max(r.submitted_ns, begin_ns), to = std::min(r.ended_ns, end_ns);
    if (to > from) present_ns[index_of(r.kind)] += to - from;
    if (r.ended_ns < begin_ns || r.ended_ns >= end_ns) continue;
    const std::int64_t deadline_ns = classes[index_of(r.kind)].deadline_ns;
    ++c.finished;
    c.missed += deadline_ns != 0 && r.ended_ns > r.due_ns + deadline_ns;
    c.wrong += !r.correct;
    c.latency_ms.push_back(static_cast<double>(r.ended_ns - r.due_ns) * 1e-6);
    c.late_ms.push_back(static_cast<double>(r.submitted_ns - r.due_ns) * 1e-6);
    c.wait_ms.push_back(static_cast<double>(r.started_ns - r.submitted_ns) * 1e-6);
    c.run_ms.push_back(static_cast<double>(r.ended_ns - r.started_ns) * 1e-6);
    if (c.on_cpu.size() <= r.cpu) c.on_cpu.resize(r.cpu + 1u);
    ++c.on_cpu[r.cpu];
  }
  for (const task_record& d : drops) {
    if (d.due_ns < begin_ns || d.due_ns >= end_ns) continue;
    class_summary& c = out.classes[index_of(d.kind)];
    ++c.dropped;
    c.missed += classes[index_of(d.kind)].deadline_ns != 0;
  }
  for (unsigned k = 0; k < k_task_kinds; ++k) {
    class_summary& c = out.classes[k];
    std::sort(c.latency_ms.begin(), c.latency_ms.end());
    std::sort(c.late_ms.begin(), c.late_ms.end());
    std::sort(c.wait_ms.begin(), c.wait_ms.end());
    std::sort(c.run_ms.begin(), c.run_ms.end());
    if (length_ns > 0) c.present_mean = static_cast<double>(present_ns[k]) * classes[k].weight / length_ns;
    out.cost += c.present_mean;
  }
  return out;
}

meter::meter() : id_(next_meter_id.fetch_add(1)) {}

meter::shard& meter::mine() {
  struct memory {
    std::uint64_t id = 0;
    shard* where = nullptr;
  };
  thread_local memory last;
  if (last.id != id_) {
    const std::lock_guard lock(mutex_);
    shards_.push_back(std::make_unique<shard>());
    last = {id_, shards_.back().get()};
  }
  return *last.where;
}

void meter::add(const task_record& record) {
  if (!recording_.load(std::memory_order_relaxed)) return;
  shard& s = mine();
  const std::lock_guard lock(s.mutex);
  s.records.push_back(record);
}

void meter::add_drop(task_kind kind, std::int64_t due_ns) {
  if (!recording_.load(std::memory_order_relaxed)) return;
  const std::lock_guard lock(mutex_);
  drops_.push_back({due_ns, 0, 0, 0, 0, kind, true});
}

std::int64_t meter::start() {
  {
    const std::lock_guard lock(mutex_);
    for (const auto& s : shards_) {
      const std::lock_guard shard_lock(s->mutex);
      s->records.clear();
    }
    drops_.clear();
  }
  recording_.store(true);
  return now_ns();
}

void meter::stop() { recording_.store(false); }

std::vector<task_record> meter::records() const {
  const std::lock_guard lock(mutex_);
  std::vector<task_record> all;
  for (const auto& s : shards_) {
    const std::lock_guard shard_lock(s->mutex);
    all.insert(all.end(), s->records.begin(), s->records.end());
  }
  return all;
}

std::vector<task_record> meter::drops() const {
  const std::lock_guard lock(mutex_);
  return drops_;
}

}  // namespace tactus::frame
