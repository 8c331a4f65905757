// SPDX-License-Identifier: Apache-2.0
//
// event_reader.h's implementation.
#include "agent/publish/event_reader.h"

#include "agent/config/privileges.h"
#include "agent/serve/clock.h"
#include "agent/serve/log.h"

#include <algorithm>
#include <cstring>

namespace tactus::agent {
namespace {

// The kernel wakes the reader when a ring fills; otherwise it looks now and then. Learning needs no
// haste, and each look costs a wake-up beside the work that is observed.
constexpr int k_poll_ms = 20;
constexpr int k_idle_poll_ms = 50;  // after some turns without an event
constexpr int k_nice = 5;
constexpr unsigned k_idle_turns = 20;
constexpr std::size_t k_most_per_turn = 4096;
constexpr std::uint64_t k_window = 1u << 20;  // a jump beyond this is another life of the domain

}  // namespace

event_reader::event_reader(parts p, std::shared_ptr<scheduler_maps> maps) : p_(p), maps_(std::move(maps)) {
  progress_ns_ = now_ns();
}

event_reader::~event_reader() { stop(); }

void event_reader::start() {
  thread_ = std::thread([this] {
    nice_this_thread(k_nice);
    const scheduler_maps::event_sink sink = [this](const void* event, std::size_t bytes) { handle(event, bytes); };
    unsigned idle = 0;
    while (!ended_.load(std::memory_order_relaxed)) {
      progress_ns_.store(now_ns(), std::memory_order_relaxed);
      try {
        const std::size_t n = maps_->consume_events(sink, idle < k_idle_turns ? k_poll_ms : k_idle_poll_ms, k_most_per_turn);
        idle = n == 0 ? idle + 1 : 0;
      } catch (const std::exception& e) {
        static limited_log log(3);
        log.warning(fmt::format("an event was not handled: {}", e.what()));
      }
    }
  });
}

void event_reader::stop() {
  ended_ = true;
  if (thread_.joinable()) thread_.join();
}

void event_reader::count_sequence(unsigned domain, std::uint64_t sequence) {
  domain_count& d = domains_[domain];
  if (!d.begun || sequence + k_window < d.highest || sequence > d.highest + k_window) {
    d = {true, sequence, sequence, 1};
    return;
  }
  d.received++;
  d.first = std::min(d.first, sequence);
  d.highest = std::max(d.highest, sequence);
  std::uint64_t missing = 0;
  for (const auto& c : domains_) {
    if (c.begun && c.highest - c.first + 1 > c.received) missing += c.highest - c.first + 1 - c.received;
  }
  missing_.store(missing, std::memory_order_relaxed);
}

void event_reader::handle(const void* event, std::size_t bytes) {
  tactus_event_head head{};
  if (bytes < sizeof(head)) return p_.stats.on_malformed();
  std::memcpy(&head, event, sizeof(head));
  if (head.domain >= TACTUS_MAX_DOMAINS) return p_.stats.on_malformed();
  events_.fetch_add(1, std::memory_order_relaxed);
  count_sequence(head.domain, head.sequence);
  p_.recording.event(event, bytes);
  const bool feed = p_.learning.active() && !p_.budget.over();

  if (head.type == TACTUS_EVENT_COMPLETION) {
    tactus_completion_event c{};
    std::memcpy(&c, event, std::min(bytes, sizeof(c)));
    completion_split split;
    const pool_brief pool = p_.pools.brief(c.pool);
    if (!pool.in_use) {
      foreign_.fetch_add(1, std::memory_order_relaxed);
    } else if (p_.stats.on_completion(c, bytes, p_.pools, &split) && p_.learning.active()) {
      p_.rewards.credit(c, split, pool.group);
      std::uint64_t tasks = 0;
      for (unsigned i = 0; i < c.nr_records; i++) tasks += c.records[i].count;
      p_.learning.completions.fetch_add(tasks, std::memory_order_relaxed);
    }
    if (feed) p_.learner.skip(head.domain, head.sequence);
  } else if (head.type == TACTUS_EVENT_DECISION && bytes >= sizeof(tactus_decision_event)) {
    tactus_decision_event d{};
    std::memcpy(&d, event, sizeof(d));
    const pool_brief pool = p_.pools.brief(d.pool);
    if (!pool.in_use) {
      foreign_.fetch_add(1, std::memory_order_relaxed);
      if (feed) p_.learner.skip(head.domain, head.sequence);
      return;
    }
    p_.stats.on_decision(d);
    if (!feed) {
      if (p_.learning.active()) held_back_.fetch_add(1, std::memory_order_relaxed);
    } else if (head.area == 0) {
      // Neither submitted nor skipped: the learner must take it for a gap.
      bad_area_.fetch_add(1, std::memory_order_relaxed);
    } else {
      learn::decision made = learn::decision_of(d, pool.group, pool.trusted);
      made.reward = p_.rewards.points(head.domain, pool.group);
      p_.learner.submit(made);
      fed_.fetch_add(1, std::memory_order_relaxed);
    }
  } else {
    p_.stats.on_malformed();
  }
}

event_reader::figures event_reader::figures_now() const {
  return {events_.load(), missing_.load(), fed_.load(), held_back_.load(), foreign_.load(), bad_area_.load()};
}

}  // namespace tactus::agent
