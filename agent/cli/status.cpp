// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/status.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>

namespace tactus::cli {
namespace {

constexpr std::array<std::pair<const char*, const char*>, TACTUS_NR_SOURCES> k_sources = {{
    {"row", "followed their row"},
    {"mixed", "row of low confidence, mixed with the fallback"},
    {"fallback_mode", "fallback: asked for, or a pool without rows"},
    {"fallback_heartbeat", "fallback: the agent was silent"},
    {"fallback_missing", "fallback: the class has no rows"},
    {"fallback_torn", "fallback: the row was being written"},
    {"fallback_illegal", "fallback: the row allowed nothing legal"},
    {"forced_bound", "forced: waited too long"},
    {"forced_slice", "forced: end of slice"},
    {"forced_affinity", "forced: one CPU allowed"},
    {"forced_steal", "forced: taken from a queue in fallback"},
}};

constexpr const char* name_of(in_force what) {
  switch (what) {
    case in_force::kernel_own: return "kernel";
    case in_force::learned: return "learned";
    case in_force::fallback_by_mode: return "fallback";
    case in_force::fallback_by_load: return "fallback_only";
    case in_force::fallback_no_agent: return "fallback_no_agent";
  }
  return "unknown";
}

std::string sentence(const snapshot& s, in_force what) {
  const std::uint64_t limit_ms = (s.control.heartbeat_limit_ns ? s.control.heartbeat_limit_ns : 500'000'000) / 1'000'000;
  switch (what) {
    case in_force::kernel_own: return "not loaded: threads run on the kernel's own scheduler";
    case in_force::learned: return "loaded, learned rows in force";
    case in_force::fallback_by_mode: return "loaded, fallback in force (mode is fallback; tactus mode learned)";
    case in_force::fallback_by_load: return "loaded with --fallback-only: rows are never used";
    case in_force::fallback_no_agent: break;
  }
  const double age = heartbeat_age_ms(s);
  if (age < 0) return "loaded, fallback in force (no agent has run since; sudo systemctl start tactusd)";
  return fmt::format("loaded, fallback in force (agent silent for {:.1f} s, limit {} ms; look at systemctl status tactusd)",
                     age / 1000, limit_ms);
}

std::uint64_t decisions_of(const tactus_stats& stats) {
  return std::accumulate(std::begin(stats.decisions), std::end(stats.decisions), std::uint64_t{0});
}

unsigned classes_in_use(const snapshot& s) {
  return static_cast<unsigned>(
      std::count_if(s.classes.begin(), s.classes.end(), [](const tactus_class_conf& c) { return c.in_use != 0; }));
}

}  // namespace

double heartbeat_age_ms(const snapshot& s) {
  if (!s.control.heartbeat_ns) return -1;
  // A beat between our two reads lies in the future: that is an age of 0.
  return s.now_ns > s.control.heartbeat_ns ? static_cast<double>(s.now_ns - s.control.heartbeat_ns) / 1e6 : 0.0;
}

in_force what_is_in_force(const snapshot& s) {
  if (!s.kernel.running() || !s.has_maps) return in_force::kernel_own;
  if (s.hint && s.hint->fallback_only) return in_force::fallback_by_load;
  if (s.control.mode == TACTUS_MODE_FALLBACK) return in_force::fallback_by_mode;
  const double limit_ms = static_cast<double>(s.control.heartbeat_limit_ns ? s.control.heartbeat_limit_ns : 500'000'000) / 1e6;
  const double age = heartbeat_age_ms(s);
  return age < 0 || age > limit_ms ? in_force::fallback_no_agent : in_force::learned;
}

std::string why_out(const snapshot& s) {
  if (s.kernel.running()) return "";
  const load::exit_reason left = load::describe(s.left);
  if (s.ejected && s.ejected->stays_out && !s.ejected->reloads) return s.ejected->reason;
  if (s.ejected && s.ejected->stays_out)
    return fmt::format("{} (not loaded again after {} reloads in 30 s)", s.ejected->reason, s.ejected->reloads);
  if (s.link_pinned) return left.kind ? left.text() : "no reason was recorded; sudo dmesg | grep sched_ext";
  return "";
}

std::string status_text(const snapshot& s) {
  const in_force what = what_is_in_force(s);
  std::string out = fmt::format("tactus: {}\n", sentence(s, what));
  const auto line = [&](const char* name, const std::string& text) { out += fmt::format("  {:<10} {}\n", name, text); };
  if (s.kernel.state.empty())
    line("kernel", fmt::format("{} has no sched_ext; see tactus doctor", s.kernel_release));
  else if (!s.kernel.running() && s.kernel.state != "disabled")
    line("kernel", fmt::format("{}, another scheduler is {}: {}", s.kernel_release, s.kernel.state, s.kernel.name));
  else if (s.kernel.running())
    line("kernel", fmt::format("{}, {}, {}", s.kernel_release, s.kernel.name,
                               s.kernel.whole_system ? "whole system" : "only SCHED_EXT threads (--partial)"));
  else
    line("kernel", fmt::format("{}, no sched_ext scheduler", s.kernel_release));
  if (const std::string reason = why_out(s); !reason.empty()) {
    line("left", reason);
    line("next", "sudo tactus load");
  } else if (!s.kernel.running() && !s.kernel.state.empty()) {
    line("next", "sudo tactus load");
  } else if (s.ejected) {
    line("left", fmt::format("{} (loaded again)", s.ejected->reason));
  }
  if (!s.has_maps) return out;

  const double age = heartbeat_age_ms(s);
  line("agent", age < 0 ? "has not run since the maps were made" : fmt::format("last beat {:.0f} ms ago", age));
  line("rows", fmt::format("version {}, bank {}, {} classes; generation {}", s.control.version, s.control.bank & 1,
                           classes_in_use(s), s.control.generation));
  const std::uint64_t decisions = decisions_of(s.stats);
  line("decisions", fmt::format("{}", decisions));
  for (std::size_t i = 0; i < k_sources.size(); ++i)
    if (s.stats.decisions[i])
      out += fmt::format("    {:>12} {:5.1f} %  {}\n", s.stats.decisions[i],
                         100.0 * static_cast<double>(s.stats.decisions[i]) / static_cast<double>(decisions), k_sources[i].second);
  line("workers", fmt::format("woken to an idle CPU {}, queued {}, held {}; preemptions {}, migrations {}", s.stats.wake_idle,
                              s.stats.wake_queued, s.stats.wake_held, s.stats.preempts, s.stats.migrations));
  line("tasks", fmt::format("{} reported; lost: {} events, {} tasks; page overruns {}", s.stats.completions, s.stats.ring_lost,
                            s.stats.ring_lost_tasks, s.stats.page_overruns));
  for (std::size_t d = 0; d < s.domains.size(); ++d)
    line(fmt::format("domain {}", d).c_str(),
         fmt::format("{} CPUs, weighted tasks present {}, waiting {}, held {}, events {}, lost {}", s.domains[d].nr_cpus,
                     s.domains[d].present, s.domains[d].nr_waiting, s.domains[d].nr_held, s.domains[d].sequence,
                     s.domains[d].lost));
  return out;
}

nlohmann::json status_json(const snapshot& s) {
  using nlohmann::json;
  const in_force what = what_is_in_force(s);
  json out = {{"loaded", s.kernel.running()},
              {"in_force", name_of(what)},
              {"sentence", sentence(s, what)},
              {"kernel",
               {{"release", s.kernel_release},
                {"sched_ext", !s.kernel.state.empty()},
                {"state", s.kernel.state},
                {"scheduler", s.kernel.name},
                {"whole_system", s.kernel.whole_system}}},
              {"link_pinned", s.link_pinned},
              {"has_maps", s.has_maps}};
  const std::string reason = why_out(s);
  out["left"] = reason.empty() ? json(nullptr) : json(reason);
  out["last_ejection"] = s.ejected ? json{{"unix_seconds", s.ejected->unix_seconds},
                                          {"reason", s.ejected->reason},
                                          {"stays_out", s.ejected->stays_out},
                                          {"reloads", s.ejected->reloads}}
                                   : json(nullptr);
  if (!s.has_maps) return out;
  out["abi_version"] = s.control.abi_version;
  out["generation"] = s.control.generation;
  out["mode"] = s.control.mode == TACTUS_MODE_FALLBACK ? "fallback" : "learned";
  const double age = heartbeat_age_ms(s);
  out["heartbeat_age_ms"] = age < 0 ? json(nullptr) : json(age);
  out["rows"] = {{"version", s.control.version}, {"bank", s.control.bank & 1}, {"classes", classes_in_use(s)}};
  json& sources = out["decisions"] = json::object();
  for (std::size_t i = 0; i < k_sources.size(); ++i) sources[k_sources[i].first] = s.stats.decisions[i];
  out["decisions_total"] = decisions_of(s.stats);
  out["stats"] = {{"wake_idle", s.stats.wake_idle},
                  {"wake_queued", s.stats.wake_queued},
                  {"wake_held", s.stats.wake_held},
                  {"held_taken", s.stats.held_taken},
                  {"redirects", s.stats.redirects},
                  {"preempts", s.stats.preempts},
                  {"timer_fires", s.stats.timer_fires},
                  {"timer_kicks", s.stats.timer_kicks},
                  {"completions", s.stats.completions},
                  {"completion_events", s.stats.completion_events},
                  {"ring_lost", s.stats.ring_lost},
                  {"ring_lost_tasks", s.stats.ring_lost_tasks},
                  {"page_overruns", s.stats.page_overruns},
                  {"no_task_ctx", s.stats.no_task_ctx},
                  {"running", s.stats.running},
                  {"unmanaged_wakes", s.stats.unmanaged_wakes},
                  {"unmanaged_preempts", s.stats.unmanaged_preempts},
                  {"migrations", s.stats.migrations},
                  {"goes_on", s.stats.goes_on}};
  json& domains = out["domains"] = json::array();
  for (std::size_t d = 0; d < s.domains.size(); ++d)
    domains.push_back({{"domain", d},
                       {"cpus", s.domains[d].nr_cpus},
                       {"present", s.domains[d].present},
                       {"waiting", s.domains[d].nr_waiting},
                       {"held", s.domains[d].nr_held},
                       {"events", s.domains[d].sequence},
                       {"lost", s.domains[d].lost}});
  json& places = out["places"] = json::array();
  for (std::size_t p = 0; p < s.places.size(); ++p)
    places.push_back({{"place", p},
                      {"cpus", cpu_list(cpus_of(s.places[p]))},
                      {"domain", s.places[p].domain},
                      {"node", s.places[p].node},
                      {"core_type", s.places[p].core_type}});
  return out;
}

}  // namespace tactus::cli
