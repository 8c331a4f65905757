// SPDX-License-Identifier: Apache-2.0
// Mirrors bpf/events.bpf.h: the area under weighted tasks present, decision and completion events.
#include "sim/scheduler/scheduler.h"

#include <algorithm>
#include <cstddef>

namespace tactus::sim {

void scheduler::area_add(tactus_domain& dom, std::int64_t change, std::uint64_t at) {
  dom.present += change;
  dom.moment += at * static_cast<std::uint64_t>(change);
}

std::uint64_t scheduler::area_of(const tactus_domain& dom, std::uint64_t at) const {
  return static_cast<std::uint64_t>(dom.present) * at - dom.moment;
}

void scheduler::pool_add(tactus_pool_state& state, const tactus_pool_conf& conf, std::int64_t change, std::uint64_t at) {
  if (change == 0) return;
  const std::uint32_t workers = std::min<std::uint32_t>(conf.nr_workers, TACTUS_MAX_WORKERS);
  const std::int64_t before = state.present;
  state.present += change;
  area_add(domains[conf.home_domain], tactus_present_clamp(before + change, workers) - tactus_present_clamp(before, workers), at);
}

void scheduler::account_present(kernel_thread& p, tactus_pool_conf& conf, std::uint64_t at) {
  tactus_pool_state& state = pool_state[p.t.pool];
  if (state.serial != conf.serial) return;
  std::uint64_t seen = p.page.weight_submitted - p.page.weight_finished;
  std::int64_t change = static_cast<std::int64_t>(seen - p.t.seen_weight);
  p.t.seen_weight = seen;
  seen = pool_external[p.t.pool];
  if (seen != state.seen_external) {
    change += static_cast<std::int64_t>(seen - state.seen_external);
    state.seen_external = seen;
  }
  pool_add(state, conf, change, at);
}

// Whether the event fits its ring. The reader empties it every poll_ns.
bool scheduler::emit(std::uint32_t domain, std::uint64_t bytes, std::uint32_t tasks) {
  ring_state& r = rings_[domain];
  if (now >= r.next_poll_ns) {
    r.used = 0;
    r.next_poll_ns = now - now % ring.poll_ns + ring.poll_ns;
  }
  const std::uint64_t whole = (bytes + 8 + 7) / 8 * 8;  // with the ring's own header
  if (r.used + whole <= ring.bytes) {
    r.used += whole;
    return true;
  }
  ++domains[domain].lost;
  ++stats.ring_lost;
  stats.ring_lost_tasks += tasks;
  return false;
}

void scheduler::fill_head(tactus_event_head& head, std::uint32_t type, std::uint32_t bytes, std::uint32_t domain,
                          std::uint32_t tid, std::uint64_t at) {
  tactus_domain& dom = domains[domain];
  head.type = static_cast<__u8>(type);
  head.domain = static_cast<__u8>(domain);
  head.bytes = static_cast<__u16>(bytes);
  head.tid = tid;
  head.sequence = dom.sequence++;
  head.time_ns = at;
  head.area = area_of(dom, at);
}

// Returns the number of records left behind.
std::uint32_t scheduler::report(kernel_thread& p, std::uint32_t stopped, std::uint64_t at) {
  tactus_task& t = p.t;
  worker_page& page = p.page;
  const tactus_pool_conf& conf = pools[t.pool];
  std::uint32_t n = page.head - t.taken, left = 0, tasks = 0;
  if (n > TACTUS_EVENT_RECORDS) {
    left = n - TACTUS_EVENT_RECORDS;
    n = TACTUS_EVENT_RECORDS;
  }
  if (n == 0 && stopped != 1) return 0;
  tactus_completion_event& ev = completion_event_;
  for (std::uint32_t i = 0; i < n && !page.ring.empty(); ++i) {
    const tactus_record& r = page.ring[(t.taken + i) & (TACTUS_RING_RECORDS - 1)];
    tasks += r.count;
    ev.records[i] = r;
  }
  if (page.ring.empty()) tasks = n;
  t.taken += n;
  page.tail = t.taken;
  const std::uint64_t bytes = offsetof(tactus_completion_event, records) + n * sizeof(tactus_record);
  fill_head(ev.head, TACTUS_EVENT_COMPLETION, static_cast<std::uint32_t>(bytes), conf.home_domain, t.tid, at);
  ev.stint = t.stint;
  ev.stint_run_ns = t.unreported_run_ns;
  ev.stint_wait_ns = t.unreported_wait_ns;
  ev.pool = t.pool;
  ev.cpu = t.last_cpu;
  ev.place = static_cast<__u8>(cpus[t.last_cpu].place);
  ev.clock = TACTUS_CLOCK_NS;
  ev.nr_records = static_cast<__u8>(n);
  ev.stopped = static_cast<__u8>(stopped);
  ev.preemptions = t.preemptions;
  ev.migrations = t.migrations;
  ev.slot = t.slot;
  t.unreported_run_ns = 0;
  t.unreported_wait_ns = 0;
  t.preemptions = 0;
  t.migrations = 0;
  ++stats.completion_events;
  stats.completions += tasks;
  if (emit(conf.home_domain, bytes, tasks) && sink != nullptr) sink->completion(ev, bytes);
  return left;
}

}  // namespace tactus::sim
