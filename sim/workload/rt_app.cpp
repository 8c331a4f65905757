// SPDX-License-Identifier: Apache-2.0
// workload.h: rt-app's JSON. Each thread of rt-app becomes a flow, each of its run events a task of
// the class "thread": rt-app's threads do in turn what here a pool's workers do.
//
// Read: tasks, instance, loop, phases, run, runtime, sleep, timer, priority (nice). Locks, barriers,
// suspend/resume, mem and iorun have no counterpart and are refused by name, not skipped.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "sim/workload/workload.h"

namespace tactus::sim {
namespace {

using json = nlohmann::ordered_json;  // the order of events counts

[[noreturn]] void fail(const std::string& name, const std::string& thread, const std::string& what) {
  throw description_error(fmt::format("{}: task {}: {}", name, thread, what));
}

struct reader {
  const std::string& name;
  const std::string& thread;
  workload& w;
  flow_spec flow;
  double sleep_us = 0, period_us = 0;
  unsigned priority = 1;

  double us(const json& v, const std::string& key) {
    if (!v.is_number() || v.get<double>() < 0) fail(name, thread, key + " must be a number of us");
    return v.get<double>();
  }
  unsigned class_for(double run_us) {
    for (unsigned c = 0; c < w.classes.size(); ++c)
      if (w.classes[c].name == thread && w.classes[c].work.mean_ns() == run_us * 1e3) return c;
    if (w.classes.size() + 1 >= TACTUS_MAX_SLOTS) fail(name, thread, "more than 62 different run times in all");
    task_class_spec c;
    c.name = thread;
    c.priority = priority;
    c.work = distribution::fixed(std::max(0.001, run_us) * 1e3);
    w.classes.push_back(c);
    return static_cast<unsigned>(w.classes.size() - 1);
  }
  // One pass over the events of an object, in their order.
  void events(const json& object, bool top) {
    for (const auto& [key, v] : object.items()) {
      const std::string base = key.substr(0, key.find_first_of("0123456789"));
      if (base == "run" || base == "runtime") {
        stage_spec s;
        s.task_class = class_for(us(v, key));
        if (sleep_us > 0) s.pause = distribution::fixed(sleep_us * 1e3);
        sleep_us = 0;
        flow.stages.push_back(s);
      } else if (base == "sleep") {
        sleep_us += us(v, key);
      } else if (base == "timer") {
        if (!v.is_object() || !v.contains("period")) fail(name, thread, key + " needs a period");
        const double period = us(v["period"], key + ".period");
        if (period_us != 0 && period != period_us) fail(name, thread, "timers of two periods are not modelled");
        period_us = period;
      } else if (key == "loop" || key == "instance" || key == "phases" || key == "policy" || key == "priority" ||
                 key == "cpus" || key == "nodes_membind" || key == "delay" || key == "util_min" || key == "util_max") {
        if (!top && key == "phases") fail(name, thread, "phases within phases");
      } else {
        fail(name, thread, "event '" + key + "' is not modelled; leave it out or describe the load in TOML");
      }
    }
  }
};

}  // namespace

workload parse_rt_app(const std::string& name, const std::string& text) {
  json document;
  try {
    document = json::parse(text, nullptr, true, true);
  } catch (const json::exception& e) {
    throw description_error(fmt::format("{}: {}", name, e.what()));
  }
  if (!document.contains("tasks") || !document["tasks"].is_object())
    throw description_error(name + ": no object 'tasks'; is it a file for rt-app?");
  workload w;
  w.name = name;
  w.what = "rt-app";
  w.pools.push_back({.name = "rt-app"});
  std::vector<unsigned> instances;
  for (const auto& [thread, spec] : document["tasks"].items()) {
    reader r{name, thread, w, {}};
    r.flow.name = thread;
    if (spec.contains("priority")) r.priority = spec["priority"].get<int>() < 0 ? 2 : 1;
    const auto repeat = [&](const json& of) {
      const long n = of.contains("loop") ? of["loop"].get<long>() : 1;
      if (n > 1000) fail(name, thread, "a phase of more than 1000 loops");
      return n;
    };
    if (spec.contains("phases"))
      for (const auto& [phase, of] : spec["phases"].items()) {
        if (repeat(of) < 0) fail(name, thread, "phase " + phase + " loops for ever; put its events at the top");
        for (long i = 0; i < repeat(of); ++i) r.events(of, false);
      }
    r.events(spec, true);
    if (r.flow.stages.empty()) fail(name, thread, "no run event");
    const long loops = spec.contains("loop") ? spec["loop"].get<long>() : -1;
    if (loops > 0) r.flow.loops = static_cast<std::uint64_t>(loops);
    if (r.period_us > 0) {
      if (r.sleep_us > 0) fail(name, thread, "sleep after the last run beside a timer is not modelled");
      r.flow.arrivals.how = arrival_spec::kind::periodic;
      r.flow.arrivals.mean_gap_ns = r.period_us * 1e3;
      r.flow.arrivals.phase = -1;  // the first at once
      r.flow.serial = true;
    } else {
      r.flow.arrivals.how = arrival_spec::kind::closed;
      if (r.sleep_us > 0) r.flow.arrivals.think = distribution::fixed(r.sleep_us * 1e3);
    }
    const long copies = spec.contains("instance") ? spec["instance"].get<long>() : 1;
    for (long i = 0; i < copies; ++i) w.flows.push_back(r.flow);
  }
  if (w.flows.empty()) throw description_error(name + ": no task");
  return w;
}

}  // namespace tactus::sim
