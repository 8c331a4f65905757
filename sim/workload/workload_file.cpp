// SPDX-License-Identifier: Apache-2.0
// workload.h: the TOML format, and which reader a name means.
#include <fmt/format.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "sim/machine/shipped.h"
#include "sim/machine/toml_reader.h"
#include "sim/workload/workload.h"

namespace tactus::sim {
namespace {

distribution read_distribution(toml_reader in) {
  const std::string kind = in.text("kind", "exponential");
  const double mean_ns = in.has("mean_ms") ? in.number("mean_ms", 0, 1e-6, 1e7) * 1e6 : in.number("mean_us", 0, 1e-3, 1e10) * 1e3;
  if (mean_ns <= 0) in.fail("mean_us", "mean_us or mean_ms");
  distribution d;
  if (kind == "fixed") d = distribution::fixed(mean_ns);
  else if (kind == "uniform") d = distribution::uniform(mean_ns, in.number("spread", 0.5, 0, 1));
  else if (kind == "exponential") d = distribution::exponential(mean_ns);
  else if (kind == "hyperexponential") d = distribution::hyperexponential(mean_ns, in.number("cv2", 4, 1, 1e4));
  else if (kind == "bounded_pareto") {
    const double alpha = in.number("alpha", 1.5, 0.1, 10);
    d = distribution::bounded_pareto(mean_ns, alpha, in.number("ratio", 1000, 1.001, 1e9));
  } else if (kind == "lognormal") d = distribution::lognormal(mean_ns, in.number("cv2", 1, 1e-6, 1e4));
  else in.fail("kind", "fixed, uniform, exponential, hyperexponential, bounded_pareto or lognormal");
  in.end();
  return d;
}

// A duration written as a number of ms is fixed.
distribution duration(toml_reader& in, const std::string& key) {
  if (!in.has(key)) return {};
  return read_distribution(in.table(key));
}

arrival_spec read_arrivals(toml_reader in) {
  using kind = arrival_spec::kind;
  arrival_spec a;
  const std::string how = in.text("kind", "poisson");
  if (how == "periodic") a.how = kind::periodic;
  else if (how == "poisson") a.how = kind::poisson;
  else if (how == "mmpp") a.how = kind::mmpp;
  else if (how == "on_off") a.how = kind::on_off;
  else if (how == "closed") a.how = kind::closed;
  else in.fail("kind", "periodic, poisson, mmpp, on_off or closed");
  if (a.how == kind::closed) {
    a.in_flight_per_cpu = in.has("in_flight_per_cpu");
    a.in_flight = a.in_flight_per_cpu ? in.number("in_flight_per_cpu", 1, 1e-3, 1e4) : in.number("in_flight", 1, 1, 1e6);
    a.think = duration(in, "think");
  } else {
    if (in.has("load")) a.load = in.number("load", 0, 1e-6, 10);
    else if (in.has("period_ms")) a.mean_gap_ns = in.number("period_ms", 0, 1e-4, 1e8) * 1e6;
    else if (in.has("per_s")) a.mean_gap_ns = 1e9 / in.number("per_s", 0, 1e-6, 1e9);
    else in.fail("load", "load, period_ms or per_s");
    if (a.how == kind::periodic) a.phase = in.number("phase", 0, -1, 1);
    if (a.how == kind::mmpp) a.burst_ratio = in.number("burst_ratio", a.burst_ratio, 1, 1e6);
    if (a.how == kind::mmpp || a.how == kind::on_off) {
      a.burst_share = in.number("burst_share", a.burst_share, 1e-3, 0.999);
      a.burst_ns = in.number("burst_ms", 50, 1e-3, 1e7) * 1e6;
    }
  }
  in.end();
  return a;
}

unsigned index_of(const toml_reader& in, const std::string& key, const std::string& name, const auto& list) {
  for (unsigned i = 0; i < list.size(); ++i)
    if (list[i].name == name) return i;
  in.fail(key, fmt::format("the name of a {} described above, not '{}'", key, name));
}

pool_spec read_pool(toml_reader& in) {
  pool_spec p;
  p.name = in.text("name", "pool");
  p.workers = static_cast<unsigned>(in.number("workers", 0, 0, 100'000));
  p.spares = static_cast<int>(in.number("spares", -1, -1, 64));
  for (const double c : in.numbers("cpus", 0, TACTUS_MAX_CPUS - 1)) p.cpus.push_back(static_cast<unsigned>(c));
  p.node = static_cast<int>(in.number("node", -1, -1, 1023));
  p.steals = in.flag("steals", true);
  in.end();
  return p;
}

task_class_spec read_class(toml_reader& in, const workload& w) {
  task_class_spec c;
  c.name = in.text("name", "");
  if (c.name.empty()) in.fail("name", "a name");
  c.pool = in.has("pool") ? index_of(in, "pool", in.text("pool", ""), w.pools) : 0;
  c.priority = static_cast<unsigned>(in.number("priority", 1, 0, 3));
  c.weight = static_cast<unsigned>(in.number("weight", 1, 1, 255));
  c.deadline_ns = static_cast<std::uint64_t>(in.number("deadline_ms", 0, 0, 1e6) * 1e6);
  c.work = duration(in, "work");
  if (c.work.mean_ns() <= 0) in.fail("work", "a distribution, as work = {kind = \"exponential\", mean_us = 100}");
  c.footprint = in.number("footprint", 1, 0, 1000);
  c.memory = in.number("memory", 0, 0, 1);
  if (in.has("speed")) {
    toml_reader t = in.table("speed");
    for (const std::string& type : t.keys()) c.speed.emplace_back(type, t.number(type, 1, 1e-3, 1e3));
  }
  c.most_pending = static_cast<unsigned>(in.number("most_pending", c.most_pending, 1, 1e7));
  in.end();
  return c;
}

flow_spec read_flow(toml_reader& in, const workload& w) {
  flow_spec f;
  f.name = in.text("name", "");
  f.arrivals = read_arrivals(in.table("arrivals"));
  f.driver_ns = static_cast<std::uint64_t>(in.number("driver_us", 0, 0, 1e6) * 1e3);
  if (f.driver_ns != 0 && f.arrivals.how == arrival_spec::kind::closed) in.fail("driver_us", "an open flow: a closed one is submitted by what ended");
  f.serial = in.flag("serial", false);
  f.most_waiting = static_cast<unsigned>(in.number("most_waiting", 16, 0, 1e6));
  f.per_cpus = in.number("per_cpus", 0, 0, 1e4);
  f.loops = static_cast<std::uint64_t>(in.number("loops", 0, 0, 1e15));
  for (toml_reader& s : in.tables("stage")) {
    stage_spec st;
    st.task_class = index_of(s, "class", s.text("class", ""), w.classes);
    st.tasks_per_cpu = s.has("tasks_per_cpu");
    st.tasks = st.tasks_per_cpu ? s.number("tasks_per_cpu", 1, 1e-4, 1e4) : s.number("tasks", 1, 1, 1e5);
    st.pause = duration(s, "pause");
    s.end();
    f.stages.push_back(st);
  }
  if (f.stages.empty()) in.fail("stage", "at least one [[flow.stage]]");
  in.end();
  return f;
}

}  // namespace

workload parse_workload(const std::string& name, const std::string& text) {
  const toml_document document(name, text);
  toml_reader in = document.root();
  workload w;
  w.name = name;
  w.what = in.text("what", "");
  for (toml_reader& t : in.tables("pool")) w.pools.push_back(read_pool(t));
  if (w.pools.empty()) w.pools.push_back({.name = "pool"});
  for (toml_reader& t : in.tables("class")) w.classes.push_back(read_class(t, w));
  if (w.classes.empty() || w.classes.size() >= TACTUS_MAX_SLOTS) in.fail("class", "1 to 63 [[class]] blocks");
  for (toml_reader& t : in.tables("flow")) w.flows.push_back(read_flow(t, w));
  if (w.flows.empty()) in.fail("flow", "at least one [[flow]]");
  in.end();
  return w;
}

workload load_workload(const std::string& name) {
  for (const shipped_file& f : shipped_workloads())
    if (f.name == name) return parse_workload(name, std::string(f.text));
  std::ifstream file(name);
  std::stringstream text;
  if (name.find('.') == std::string::npos || !(text << file.rdbuf()))
    throw description_error(fmt::format("work load {}: neither shipped nor a file that can be read; see tactus-sim list", name));
  if (name.ends_with(".json")) return parse_rt_app(name, text.str());
  if (name.ends_with(".csv")) return parse_invocations(name, text.str());
  return parse_workload(name, text.str());
}

}  // namespace tactus::sim
