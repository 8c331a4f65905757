// SPDX-License-Identifier: Apache-2.0
// simulation.h: event loop, pools and tasks, figures.
#include "sim/engine/simulation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace tactus::sim {
namespace {

constexpr std::uint64_t k_never = event_heap::k_never;
constexpr std::uint32_t k_first_tid = 100, k_first_neighbour_tid = 1'000'010;

}  // namespace

simulation::simulation(const machine& m, const workload& w, const simulation_options& options)
    : machine_(m), load_(w), options_(options), sched_(*this), driver_(w, m, options.seed), topology_(topology_of(m)),
      kernel_random_(options.seed, stream::kernel, 0), neighbour_random_(options.seed, stream::neighbours, 0) {
  tick_ns_ = 1'000'000'000 / m.tick_hz;
  const auto n = static_cast<std::uint32_t>(m.cpus.size());
  std::uint32_t neighbours = 0;
  for (const neighbour_spec& s : m.neighbours)
    neighbours += std::max(1u, static_cast<std::uint32_t>(s.threads_per_cpu * n + 0.5));
  first_timer_ = n;
  driver_entry_ = first_timer_ + TACTUS_MAX_DOMAINS;
  heat_entry_ = driver_entry_ + 1;
  machine_entry_ = heat_entry_ + 1;
  first_neighbour_ = machine_entry_ + 1;
  first_callback_ = first_neighbour_ + neighbours;
  heap_.reset(first_callback_ + 8);
  sched_.init(topology_, now_);
  // A kernel that has just loaded the scheduler: nothing is due at moment 0.
  sched_.epoch = 1;
  sched_.ring = options.ring;
  sched_.control.explore_ppm = 50'000;
  sched_.control.confidence_threshold = 65535 / 4;
  make_cpus();
  make_pools();
  make_drivers();
  make_neighbours();  // last: they are found from the end
  window_.classes.resize(w.classes.size());
  heap_.set(driver_entry_, driver_.next_ns());
}

simulation::~simulation() = default;

void simulation::make_pools() {
  const auto n = static_cast<unsigned>(machine_.cpus.size());
  std::map<unsigned, unsigned> nodes;
  for (const cpu_spec& c : machine_.cpus) nodes[c.node] = 0;
  pools_.resize(load_.pools.size());
  std::vector<unsigned> nr_local(load_.pools.size(), 0);
  std::uint32_t tid = k_first_tid;
  for (std::size_t i = 0; i < load_.pools.size(); ++i) {
    const pool_spec& spec = load_.pools[i];
    sim_pool& p = pools_[i];
    p.steals = spec.steals;
    p.restricted = !spec.cpus.empty();
    for (const unsigned c : spec.cpus) {
      if (c >= n) throw description_error(fmt::format("work load {}: pool {} wants CPU {}, but {} has {}", load_.name, spec.name, c, machine_.name, n));
      p.allowed.set(c);
    }
    const auto cpus = static_cast<unsigned>(p.restricted ? spec.cpus.size() : n);
    p.nr_workers = spec.workers != 0 ? spec.workers : cpus;
    const unsigned spares = spec.spares >= 0 ? static_cast<unsigned>(spec.spares) : std::min(p.nr_workers, 4u);
    const unsigned all = p.nr_workers + spares;
    for (worker_set* s : {&p.idle, &p.idle_spares, &p.slots, &p.urgent_slots}) s->reset(all);
    for (unsigned k = 0; k < all; ++k) {
      sim_thread& w = threads_.emplace_back();
      w.tid = tid++;
      w.managed = true;
      w.pool = static_cast<std::uint32_t>(i);
      w.t.pool = static_cast<std::uint16_t>(i + 1);  // the agent gives out numbers from 1
      w.index = k;
      w.spare = k >= p.nr_workers;
      w.cpu = static_cast<std::int32_t>(p.restricted ? spec.cpus[k % cpus] : k % n);
      w.allowed = p.restricted ? &p.allowed : nullptr;
      w.nr_cpus_allowed = cpus;
      p.workers.push_back(&w);
      p.sleeps(w);
    }
    tactus_pool_conf& conf = sched_.pools[i + 1];
    conf.in_use = 1;
    conf.uid = 1000;
    conf.serial = 1;
    conf.nr_workers = all;
    conf.home_domain = p.restricted ? topology_.cpus[spec.cpus[0]].domain : 0;
  }
  for (std::size_t c = 0; c < load_.classes.size(); ++c) {
    const task_class_spec& spec = load_.classes[c];
    local_class_.push_back(static_cast<std::uint8_t>(++nr_local[spec.pool]));
    sched_.pools[spec.pool + 1].slot_of[nr_local[spec.pool]] = static_cast<__u8>(slot_of(static_cast<unsigned>(c)));
    for (unsigned cpu = 0; cpu < n; ++cpu) {
      double factor = 1;
      for (const auto& [type, speed] : spec.speed)
        if (machine_.types[machine_.cpus[cpu].type] == type) factor *= speed;
      const int node = load_.pools[spec.pool].node;
      if (node >= 0) {
        const auto home = std::next(nodes.begin(), static_cast<long>(static_cast<unsigned>(node) % nodes.size()));
        if (home->first != machine_.cpus[cpu].node) factor /= 1 - spec.memory + spec.memory * machine_.costs.remote_memory_ratio;
      }
      class_speed_q16_.push_back(static_cast<std::uint32_t>(factor * 65536 + 0.5));
    }
  }
}

// Threads that submit what is due, as a program's timers do: unmanaged, and late when no CPU is free.
void simulation::make_drivers() {
  const auto n = static_cast<unsigned>(machine_.cpus.size());
  for (std::uint32_t i = 0; i < driver_.nr_sources(); ++i) {
    drivers_.push_back(nullptr);
    if (driver_.driver_ns(i) == 0) continue;
    sim_thread& t = threads_.emplace_back();
    t.tid = 2'000'000 + i;
    t.neighbour = true;
    t.source = static_cast<std::int32_t>(i);
    t.cpu = static_cast<std::int32_t>(i % n);
    t.nr_cpus_allowed = n;
    drivers_.back() = &t;
  }
}

void simulation::make_neighbours() {
  const auto n = static_cast<unsigned>(machine_.cpus.size());
  std::uint32_t entry = first_neighbour_;
  for (std::size_t i = 0; i < machine_.neighbours.size(); ++i) {
    const neighbour_spec& s = machine_.neighbours[i];
    const unsigned count = std::max(1u, static_cast<unsigned>(s.threads_per_cpu * n + 0.5));
    for (unsigned k = 0; k < count; ++k) {
      sim_thread& t = threads_.emplace_back();
      t.tid = k_first_neighbour_tid + entry - first_neighbour_;
      t.neighbour = true;
      t.pool = static_cast<std::uint32_t>(i);
      t.weight = s.weight;
      t.cpu = static_cast<std::int32_t>(k * n / count);
      t.nr_cpus_allowed = n;
      t.event = entry;
      const double first = -static_cast<double>(s.sleep_ns) * std::log(neighbour_random_.unit());
      heap_.set(entry++, static_cast<std::uint64_t>(first) + 1);
    }
  }
}

void simulation::every(std::uint64_t period_ns, std::uint64_t begin_ns, std::function<void(std::uint64_t)> f) {
  if (callbacks_.size() == 8) throw std::logic_error("simulation: more than 8 periodic callbacks");
  heap_.set(first_callback_ + static_cast<std::uint32_t>(callbacks_.size()), begin_ns);
  callbacks_.push_back({period_ns, std::move(f)});
}

void simulation::keep_records() {
  for (sim_thread& t : threads_)
    if (t.managed) t.page.ring.resize(TACTUS_RING_RECORDS);
}

// ---- the loop

void simulation::run_until(std::uint64_t ns) {
  while (heap_.next_ns() <= ns) {
    now_ = heap_.next_ns();
    sched_.now = now_;
    sched_.control.heartbeat_ns = now_ >= options_.silent_from_ns && now_ < options_.silent_to_ns ? options_.silent_from_ns : now_;
    ++events_;
    fire(heap_.next_entry());
  }
  now_ = sched_.now = ns;
}

void simulation::fire(std::uint32_t entry) {
  if (entry < first_timer_) {
    fire_cpu(entry);
  } else if (entry < driver_entry_) {
    heap_.set(entry, k_never);
    op_begin(op_record::kind::timer, nullptr);
    sched_.domain_timer(entry - first_timer_);
    op_end(op_record::kind::timer, static_cast<std::int32_t>(entry - first_timer_), 0, 0, 0);
  } else if (entry == driver_entry_) {
    driver_.fire(now_, *this);
    heap_.set(driver_entry_, driver_.next_ns());
  } else if (entry == heat_entry_) {
    fire_heat();
  } else if (entry == machine_entry_) {
    fire_machine_event();
  } else if (entry < first_callback_) {
    heap_.set(entry, k_never);
    neighbour_wakes(threads_[threads_.size() - (first_callback_ - entry)]);
  } else {
    callback& c = callbacks_[entry - first_callback_];
    heap_.set(entry, now_ + c.period_ns);
    c.f(now_);
  }
}

void simulation::timer_start(unsigned domain, std::uint64_t delay_ns) { heap_.set(first_timer_ + domain, now_ + delay_ns); }

// Only workers are asked for: sched_.cpu_states has no others.
kernel_thread* simulation::task_from_pid(std::uint32_t tid) { return &threads_[tid - k_first_tid]; }
const kernel_thread& simulation::thread(std::uint32_t tid) const { return threads_[tid - k_first_tid]; }

std::uint32_t simulation::prandom_u32() {
  const std::uint32_t x = kernel_random_.next32();
  if (trace_ != nullptr) trace_->drew(x);
  return x;
}

void simulation::op_begin(op_record::kind op, const kernel_thread* p) {
  ++ops_;
  if (trace_ != nullptr) [[unlikely]]
    trace_->begin(sched_, op, p);
}

void simulation::op_end(op_record::kind op, std::int32_t cpu, std::uint32_t tid, std::uint32_t argument, std::int64_t result) {
  if (trace_ != nullptr) [[unlikely]]
    trace_->end(sched_, {op, now_, cpu, tid, argument, result});
}

// ---- tasks and workers

void simulation::account(std::int64_t change) {
  present_area_ += static_cast<double>(present_) * static_cast<double>(now_ - present_since_ns_);
  present_since_ns_ = now_;
  present_ += change;
}

void simulation::submit(const sim_task& t) {
  const task_class_spec& c = load_.classes[t.task_class];
  account(c.weight);
  if (submitter_ != nullptr && submitter_->pool == c.pool) submitter_->page.weight_submitted += c.weight;
  else sched_.pool_external[c.pool + 1] += c.weight;
  sim_pool& pool = pools_[c.pool];
  sim_thread* w = pool.claim_for(c.priority);
  if (w == nullptr) {
    pool.inbox[c.priority].push(t);
    return;
  }
  pool.fill_slot(*w, t, c.priority);
  w->page.next_tag = tactus_tag_make(local_class_[t.task_class], c.priority, c.deadline_ns != 0 ? t.due_ns + c.deadline_ns : 0);
  wake_up(*w);
}

bool simulation::wake_driver(std::uint32_t source) {
  sim_thread& p = *drivers_[source];
  if (p.queued) return true;  // it goes on when it is through with the one before
  p.work_left = driver_.driver_ns(source) << 16;
  wake_up(p);
  return true;
}

void simulation::dropped(unsigned task_class, std::uint64_t) { ++window_.classes[task_class].dropped; }

void simulation::wake_up(sim_thread& p) {
  p.queued = true;
  const std::int32_t prev = p.cpu;
  op_begin(op_record::kind::select_cpu, &p);
  const std::int32_t cpu = sched_.select_cpu(p, prev, true);
  const bool claimed = p.queue != nullptr;
  op_end(op_record::kind::select_cpu, prev, p.tid, static_cast<std::uint32_t>(prev), cpu + (claimed ? 65536 : 0));
  if (claimed) return;
  p.cpu = cpu;
  enqueue(p, true);
}

void simulation::enqueue(sim_thread& p, bool wake) {
  const std::int32_t cpu = p.cpu;
  op_begin(op_record::kind::enqueue, &p);
  sched_.enqueue(p, wake);
  op_end(op_record::kind::enqueue, cpu, p.tid, wake ? 1 : 0, p.managed ? p.t.queued : 0);
}

bool simulation::begin_task(sim_thread& w, unsigned) {
  sim_pool& pool = pools_[w.pool];
  sim_task t;
  if (!pool.next_task(w, t)) return false;
  const task_class_spec& c = load_.classes[t.task_class];
  w.task = t;
  w.has_task = true;
  w.work_left += t.work_ns << 16;
  w.task_started_ns = now_;
  w.page.tag = tactus_tag_make(local_class_[t.task_class], c.priority, c.deadline_ns != 0 ? t.due_ns + c.deadline_ns : 0);
  if (!w.spare) ++pool.running_at[c.priority];
  return true;
}

// REQUIRES: progress(cpu) was called, and the thread runs there.
void simulation::end_task(sim_thread& w, unsigned cpu) {
  if (w.source >= 0) {
    const auto source = static_cast<std::uint32_t>(w.source);
    const bool more = driver_.submits(source, now_, *this);
    heap_.set(driver_entry_, driver_.next_ns());
    if (more) {
      w.work_left = driver_.driver_ns(source) << 16;
      return;
    }
    sleep_current(cpu);
    schedule(cpu);
    return;
  }
  if (w.neighbour) {
    const double sleep = static_cast<double>(machine_.neighbours[w.pool].sleep_ns);
    heap_.set(w.event, now_ + 1 + static_cast<std::uint64_t>(-sleep * std::log(neighbour_random_.unit())));
    sleep_current(cpu);
    schedule(cpu);
    return;
  }
  const task_class_spec& c = load_.classes[w.task.task_class];
  class_window& window = window_.classes[w.task.task_class];
  const std::uint64_t latency = now_ - w.task.due_ns;
  const bool missed = c.deadline_ns != 0 && latency > c.deadline_ns;
  ++window.ended;
  window.missed += missed;
  window.latency.add(latency);
  account(-static_cast<std::int64_t>(c.weight));
  worker_page& page = w.page;
  page.weight_finished += c.weight;
  if (page.ring.empty()) {
    ++page.head;
  } else if (page.head - page.tail < TACTUS_RING_RECORDS) {  // else it is folded
    tactus_record& r = page.ring[page.head++ & (TACTUS_RING_RECORDS - 1)];
    r.end_ticks = now_;
    r.run_units = static_cast<__u32>(std::min<std::uint64_t>((now_ - w.task_started_ns) >> TACTUS_RUN_UNIT_TICKS_LOG2, ~0u));
    r.count = 1;
    r.local_class = local_class_[w.task.task_class];
    r.flags = static_cast<__u8>((missed ? TACTUS_RECORD_MISSED : 0) | (c.deadline_ns != 0 ? TACTUS_RECORD_DEADLINE : 0));
  }
  w.has_task = false;
  if (!w.spare) --pools_[w.pool].running_at[c.priority];
  submitter_ = &w;
  driver_.ended(w.task, now_, *this);
  submitter_ = nullptr;
  heap_.set(driver_entry_, driver_.next_ns());
  if (begin_task(w, cpu)) {
    set_speed(cpu);
  } else {
    sleep_current(cpu);
    schedule(cpu);
  }
}

void simulation::neighbour_wakes(sim_thread& p) {
  const double run = static_cast<double>(machine_.neighbours[p.pool].run_ns);
  p.work_left = static_cast<std::uint64_t>(-run * std::log(neighbour_random_.unit()) + 1) << 16;
  wake_up(p);
}

// ---- figures

void simulation::start_window() {
  account(0);
  present_area_ = 0;
  for (class_window& c : window_.classes) {
    c.ended = c.missed = c.dropped = 0;
    c.latency.clear();
  }
  window_begin_ns_ = now_;
  stats_before_ = sched_.stats;
  rule_before_ = sched_.rule_decisions;
  events_before_ = events_;
  ops_before_ = ops_;
  busy_before_ns_ = 0;
  for (unsigned c = 0; c < cpu_.size(); ++c) busy_before_ns_ += busy_ns(c);
}

figures simulation::window() const {
  figures f = window_;
  const double passed = static_cast<double>(std::max<std::uint64_t>(1, now_ - window_begin_ns_));
  f.seconds = passed * 1e-9;
  f.cost = (present_area_ + static_cast<double>(present_) * static_cast<double>(now_ - present_since_ns_)) / passed;
  for (std::size_t c = 0; c < f.classes.size(); ++c) f.weight_ended += f.classes[c].ended * load_.classes[c].weight;
  const tactus_stats& s = sched_.stats;
  for (unsigned i = 0; i < TACTUS_NR_SOURCES; ++i) f.decisions[i] = s.decisions[i] - stats_before_.decisions[i];
  f.decisions[TACTUS_NR_SOURCES] = sched_.rule_decisions - rule_before_;
  f.migrations = s.migrations - stats_before_.migrations;
  f.preemptions = s.preempts + s.unmanaged_preempts - stats_before_.preempts - stats_before_.unmanaged_preempts;
  f.ring_lost = s.ring_lost - stats_before_.ring_lost;
  f.held = s.wake_held - stats_before_.wake_held;
  f.timer_kicks = s.timer_kicks - stats_before_.timer_kicks;
  f.events = events_ - events_before_;
  f.ops = ops_ - ops_before_;
  std::uint64_t busy = 0;
  for (unsigned c = 0; c < cpu_.size(); ++c) busy += busy_ns(c);
  f.busy = static_cast<double>(busy - busy_before_ns_) / passed / static_cast<double>(cpu_.size());
  return f;
}

}  // namespace tactus::sim
