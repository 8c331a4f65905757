// SPDX-License-Identifier: Apache-2.0
//
// recorder.h's implementation.
#include "agent/publish/recorder.h"

#include "agent/publish/bank.h"
#include "agent/serve/clock.h"
#include "agent/trace/lines.h"

#include <algorithm>
#include <cstring>

namespace tactus::agent {

bool recorder::start(scheduler_maps& maps, std::uint64_t now) {
  const std::lock_guard lock(mutex_);
  if (running_.load()) return false;
  buffer_.clear();
  lost_ = 0;
  started_ns_ = asked_ns_ = now;
  std::vector<std::uint32_t> domain_cpus(maps.nr_domains(), 0);
  for (const tactus_cpu& c : maps.cpus())
    if (c.present != 0 && c.domain < domain_cpus.size()) ++domain_cpus[c.domain];
  buffer_ += trace::header(trace::kind::events, "recorded", *maps.control());
  buffer_ += trace::topology(__atomic_load_n(&maps.control()->generation, __ATOMIC_RELAXED), maps.cpus(), maps.places(), domain_cpus);
  for (unsigned i = 0; i < TACTUS_MAX_POOLS; i++) {
    tactus_pool_conf conf{};
    if (maps.get_pool(i, conf) == 0 && conf.in_use != 0) buffer_ += trace::pool(i, conf);
  }
  running_ = true;  // from now on the publisher stops at flipped()
  add_rows(maps, 0);
  return true;
}

void recorder::stop() {
  const std::lock_guard lock(mutex_);
  running_ = false;
}

void recorder::event(const void* event, std::size_t bytes) {
  if (!running()) return;
  tactus_event_head head{};
  if (bytes < sizeof(head)) return;
  std::memcpy(&head, event, sizeof(head));
  std::string line;
  if (head.type == TACTUS_EVENT_DECISION && bytes >= sizeof(tactus_decision_event)) {
    tactus_decision_event e;
    std::memcpy(&e, event, sizeof(e));
    line = trace::decision(e);
  } else if (head.type == TACTUS_EVENT_COMPLETION) {
    tactus_completion_event e{};
    std::memcpy(&e, event, std::min(bytes, sizeof(e)));
    line = trace::completion(e);
  }
  const std::lock_guard lock(mutex_);
  if (!running() || line.empty() || head.time_ns < started_ns_) return;
  if (head.time_ns > asked_ns_ + k_patience_ns) {
    running_ = false;
    return;
  }
  add(line, true);
}

void recorder::flipped(scheduler_maps& maps) {
  if (!running()) return;
  const std::lock_guard lock(mutex_);
  // The clock after the flip: who decides later sees these rows or newer ones.
  if (running()) add_rows(maps, now_ns());
}

std::string recorder::take(std::size_t most, std::uint64_t now) {
  const std::lock_guard lock(mutex_);
  asked_ns_ = now;
  std::string out = buffer_.substr(0, most);
  buffer_.erase(0, out.size());
  return out;
}

// The bank in force stands still while we look: its writer has to come by flipped() first.
void recorder::add_rows(scheduler_maps& maps, std::uint64_t now) {
  tactus_control control = {};
  control.version = __atomic_load_n(&maps.control()->version, __ATOMIC_ACQUIRE);
  control.mode = __atomic_load_n(&maps.control()->mode, __ATOMIC_ACQUIRE);
  control.bank = __atomic_load_n(&maps.control()->bank, __ATOMIC_ACQUIRE) & 1;
  std::vector<tactus_class_conf> classes(TACTUS_MAX_SLOTS);
  std::vector<tactus_row> rows(TACTUS_MAX_SLOTS * TACTUS_NR_SITUATIONS);
  for (unsigned slot = 0; slot < TACTUS_MAX_SLOTS; slot++) {
    const tactus_class_conf* from = &maps.classes()[control.bank * TACTUS_MAX_SLOTS + slot];
    if (__atomic_load_n(&from->in_use, __ATOMIC_ACQUIRE) == 0) continue;
    std::memcpy(classes[slot].tier, from->tier, sizeof(from->tier));
    classes[slot].in_use = 1;
    for (unsigned i = 0; i < TACTUS_NR_SITUATIONS; i++) {
      tactus_row row;
      if (read_row(&maps.rows()[tactus_row_index(control.bank, slot, i)], row)) rows[slot * TACTUS_NR_SITUATIONS + i] = row;
    }
  }
  add(trace::rows(now, control.bank, control, static_cast<unsigned>(maps.places().size()), classes.data(), rows.data()), false);
}

void recorder::add(const std::string& line, bool is_event) {
  if (buffer_.size() + line.size() > k_buffer_bytes) {
    lost_ += is_event;
    return;
  }
  if (lost_ != 0) {
    buffer_ += trace::lost(lost_);
    lost_ = 0;
  }
  buffer_ += line;
}

}  // namespace tactus::agent
