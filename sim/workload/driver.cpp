// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/driver.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace tactus::sim {
namespace {

unsigned cpus_of(const pool_spec& p, const machine& m) {
  return static_cast<unsigned>(p.cpus.empty() ? m.cpus.size() : p.cpus.size());
}

std::uint64_t whole_ns(double x) { return x >= 1 ? static_cast<std::uint64_t>(x + 0.5) : 1; }

}  // namespace

driver::driver(const workload& load, const machine& on, std::uint64_t seed)
    : load_(load), pending_(load.classes.size(), 0) {
  for (unsigned i = 0; i < load.flows.size(); ++i) {
    const flow_spec& f = load.flows[i];
    const unsigned copies =
        f.per_cpus > 0 ? std::max(1u, static_cast<unsigned>(static_cast<double>(on.cpus.size()) / f.per_cpus + 0.5)) : 1;
    for (unsigned c = 0; c < copies; ++c) add_source(f, i, c, copies, on, seed);
  }
  for (const task_class_spec& c : load.classes)
    most_pending_.push_back(static_cast<std::uint32_t>(
        std::min<std::uint64_t>(1u << 30, static_cast<std::uint64_t>(c.most_pending) * std::max<std::size_t>(1, on.cpus.size() / 4))));
}

void driver::add_source(const flow_spec& f, unsigned index, unsigned copy, unsigned copies, const machine& on,
                        std::uint64_t seed) {
  source s;
  s.flow = &f;
  s.first_stage = static_cast<std::uint32_t>(stages_.size());
  s.nr_stages = static_cast<std::uint32_t>(f.stages.size());
  s.arrivals = random_stream(seed, stream::arrivals, index * 4096ull + copy);
  s.work = random_stream(seed, stream::work, index * 4096ull + copy);
  s.left = f.loops != 0 ? f.loops : ~0ull;
  double work = 0;
  unsigned cpus = static_cast<unsigned>(on.cpus.size());
  for (const stage_spec& st : f.stages) {
    const task_class_spec& c = load_.classes[st.task_class];
    cpus = cpus_of(load_.pools[c.pool], on);
    stage out;
    out.task_class = st.task_class;
    out.tasks = std::max(1u, static_cast<std::uint32_t>(st.tasks * (st.tasks_per_cpu ? cpus : 1) + 0.5));
    out.pause = st.pause;
    work += out.tasks * c.work.mean_ns();
    stages_.push_back(out);
  }
  const arrival_spec& a = f.arrivals;
  s.gap_ns = a.mean_gap_ns;
  if (a.load > 0) s.gap_ns = work * copies / (a.load * usable_speed(on));
  const auto at = static_cast<std::uint32_t>(sources_.size());
  std::uint32_t first = 1;
  switch (a.how) {
    case arrival_spec::kind::closed:
      first = std::max(1u, static_cast<std::uint32_t>(a.in_flight * (a.in_flight_per_cpu ? cpus : 1) + 0.5));
      sources_.push_back(std::move(s));
      for (std::uint32_t i = 0; i < first; ++i) push(0, k_source | at);
      return;
    case arrival_spec::kind::listed:
      sources_.push_back(std::move(s));
      if (!f.tasks.empty()) push(f.tasks[0].at_ns, k_source | at);
      return;
    case arrival_spec::kind::periodic:
      s.next_due_ns = whole_ns(s.gap_ns * (1 + a.phase + (copies > 1 ? static_cast<double>(copy) / copies : 0)));
      break;
    case arrival_spec::kind::mmpp:
    case arrival_spec::kind::on_off: {
      // mean rate = share x burst + (1 - share) x quiet, burst = ratio x quiet
      const bool off = a.how == arrival_spec::kind::on_off;
      const double burst_gap = s.gap_ns * (a.burst_share + (off ? 0 : (1 - a.burst_share) / a.burst_ratio));
      s.quiet_gap_ns = off ? 0 : burst_gap * a.burst_ratio;
      s.gap_ns = burst_gap;
      s.bursting = s.arrivals.unit() < a.burst_share;
      s.phase_ends_ns = 0;
      s.next_due_ns = whole_ns(open_gap(s, 0));
      break;
    }
    case arrival_spec::kind::poisson:
      s.next_due_ns = whole_ns(open_gap(s, 0));
      break;
  }
  const std::uint64_t due = s.next_due_ns;
  sources_.push_back(std::move(s));
  push(due, k_source | at);
}

// From `now` to the next arrival.
double driver::open_gap(source& s, std::uint64_t now) {
  const arrival_spec& a = s.flow->arrivals;
  const auto exponential = [&](double mean) { return -mean * std::log(s.arrivals.unit()); };
  if (a.how == arrival_spec::kind::periodic) return s.gap_ns;
  if (a.how == arrival_spec::kind::poisson) return exponential(s.gap_ns);
  // Exponential gaps have no memory: at each change of phase the draw begins anew.
  double t = static_cast<double>(now);
  for (;;) {
    if (s.phase_ends_ns <= t) {
      if (s.phase_ends_ns != 0) s.bursting = !s.bursting;
      const double quiet_ns = a.burst_ns * (1 - a.burst_share) / a.burst_share;
      s.phase_ends_ns = static_cast<std::uint64_t>(t + exponential(s.bursting ? a.burst_ns : quiet_ns)) + 1;
    }
    const double mean = s.bursting ? s.gap_ns : s.quiet_gap_ns;
    const double gap = mean > 0 ? exponential(mean) : 1e300;
    if (t + gap < static_cast<double>(s.phase_ends_ns)) return t + gap - static_cast<double>(now);
    t = static_cast<double>(s.phase_ends_ns);
  }
}

void driver::push(std::uint64_t at, std::uint32_t code) {
  heap_.push_back({at, order_++, code});
  std::push_heap(heap_.begin(), heap_.end());
}

void driver::fire(std::uint64_t now, task_sink& sink) {
  while (!heap_.empty() && heap_.front().at_ns <= now) {
    std::pop_heap(heap_.begin(), heap_.end());
    const std::uint32_t code = heap_.back().code;
    heap_.pop_back();
    if ((code & k_source) != 0) arrive(code & ~k_source, now, sink);
    else run_stage(code, now, sink);
  }
}

void driver::arrive(std::uint32_t at, std::uint64_t now, task_sink& sink) {
  source& s = sources_[at];
  const flow_spec& f = *s.flow;
  switch (f.arrivals.how) {
    case arrival_spec::kind::closed:
      begin(at, now, now, sink);
      return;
    case arrival_spec::kind::listed: {
      const listed_task t = f.tasks[s.next_listed++];
      if (s.next_listed < f.tasks.size()) push(f.tasks[s.next_listed].at_ns, k_source | at);
      ++pending_[t.task_class];
      ++under_way_;
      const std::uint32_t nobody = ~0u;
      sink.submit({t.work_ns, now, t.at_ns, t.task_class, nobody});
      return;
    }
    default: break;
  }
  const std::uint64_t due = s.next_due_ns;
  if (s.left != ~0ull) --s.left;
  if (s.left != 0) {
    s.next_due_ns = due + whole_ns(open_gap(s, due));
    push(s.next_due_ns, k_source | at);
  }
  if (f.driver_ns != 0) {
    s.undriven.push_back(due);
    if (sink.wake_driver(at)) return;
    s.undriven.pop_back();
  }
  come(at, due, now, sink);
}

bool driver::submits(std::uint32_t at, std::uint64_t now, task_sink& sink) {
  source& s = sources_[at];
  const std::uint64_t due = s.undriven.front();
  s.undriven.pop_front();
  come(at, due, now, sink);
  return !s.undriven.empty();
}

// An instance is there.
void driver::come(std::uint32_t at, std::uint64_t due, std::uint64_t now, task_sink& sink) {
  source& s = sources_[at];
  const flow_spec& f = *s.flow;
  if (f.serial && s.runs) {
    if (s.waiting.size() < f.most_waiting) {
      s.waiting.push_back(due);
    } else {
      const stage& first = stages_[s.first_stage];
      for (std::uint32_t i = 0; i < first.tasks; ++i) sink.dropped(first.task_class, due);
    }
    return;
  }
  s.runs = true;
  begin(at, due, now, sink);
}

void driver::begin(std::uint32_t at, std::uint64_t due, std::uint64_t now, task_sink& sink) {
  std::uint32_t i;
  if (free_.empty()) {
    i = static_cast<std::uint32_t>(instances_.size());
    instances_.emplace_back();
    free_.reserve(instances_.capacity());
  } else {
    i = free_.back();
    free_.pop_back();
  }
  instances_[i] = {due, at, 0, 0};
  ++under_way_;
  enter_stage(i, now, sink);
}

void driver::enter_stage(std::uint32_t i, std::uint64_t now, task_sink& sink) {
  source& s = sources_[instances_[i].source];
  const std::uint64_t pause = stages_[s.first_stage + instances_[i].stage].pause.sample(s.work);
  if (pause == 0) run_stage(i, now, sink);
  else push(now + pause, i);
}

void driver::run_stage(std::uint32_t i, std::uint64_t now, task_sink& sink) {
  source& s = sources_[instances_[i].source];
  const stage st = stages_[s.first_stage + instances_[i].stage];
  const task_class_spec& c = load_.classes[st.task_class];
  const std::uint64_t due = instances_[i].stage == 0 && st.pause.mean_ns() == 0 ? instances_[i].due_ns : now;
  std::uint32_t submitted = 0;
  const std::uint32_t room = most_pending_[st.task_class] - std::min(most_pending_[st.task_class], pending_[st.task_class]);
  const std::uint32_t n = std::min(st.tasks, room);
  instances_[i].left = n;
  for (; submitted < st.tasks; ++submitted) {
    const std::uint64_t work = c.work.sample(s.work);  // drawn even when dropped: streams stay in step
    if (submitted < n) {
      ++pending_[st.task_class];
      sink.submit({work, now, due, st.task_class, i});
    } else {
      sink.dropped(st.task_class, due);
    }
  }
  if (n == 0) instance_ended(i, now, sink, true);
}

void driver::ended(const sim_task& t, std::uint64_t now, task_sink& sink) {
  --pending_[t.task_class];
  if (t.instance == ~0u) {
    --under_way_;
    return;
  }
  instance& in = instances_[t.instance];
  if (--in.left != 0) return;
  if (++in.stage < sources_[in.source].nr_stages) enter_stage(t.instance, now, sink);
  else instance_ended(t.instance, now, sink, false);
}

void driver::instance_ended(std::uint32_t i, std::uint64_t now, task_sink& sink, bool dropped) {
  const std::uint32_t at = instances_[i].source;
  free_.push_back(i);
  --under_way_;
  source& s = sources_[at];
  if (s.flow->arrivals.how == arrival_spec::kind::closed) {
    if (s.left != ~0ull && --s.left == 0) return;
    constexpr std::uint64_t k_after_drop_ns = 1'000'000;  // or what is full would be tried for ever
    const std::uint64_t think = s.flow->arrivals.think.sample(s.arrivals);
    if (think == 0 && !dropped) begin(at, now, now, sink);
    else push(now + std::max(think, dropped ? k_after_drop_ns : 1), k_source | at);
    return;
  }
  if (!s.flow->serial) return;
  s.runs = !s.waiting.empty();
  if (!s.runs) return;
  const std::uint64_t due = s.waiting.front();
  s.waiting.pop_front();
  begin(at, due, now, sink);
}

}  // namespace tactus::sim
