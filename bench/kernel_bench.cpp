// SPDX-License-Identifier: Apache-2.0
// tactus-bench kernel: what the scheduler itself costs, against the kernel's example scx_simple.
//
// Pairs of slots, interleaved, under one and the same wake-heavy load (a running tactus-frame with
// small tasks): in one slot the Tactus scheduler with its agent and learned rows in force, in the other
// scx_simple. The figure of a slot is the kernel's own run-time statistics: time in all BPF programs
// that came with the scheduler, divided by the calls of its ops.running.
// Relies on: root, a sched_ext kernel that scx_simple loads on (6.16), no scheduler loaded, tactus,
// tactusd and tactus-frame on PATH; bench/kernel_vm.sh provides all that.
// Does not: count what the kernel does outside of programs (the same for both), nor timer callbacks,
// which the kernel's statistics leave out; their number is in the notes.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "bench.h"
#include "bpf_statistics.h"
#include "child_process.h"
#include "scheduler_arm.h"
#include "statistics.h"

namespace tactus::bench {
namespace {

constexpr double k_target_ratio = 2.0;
// The load: small tasks, each woken for; light enough that an emulated machine is about half idle, since
// in an overloaded one most workers wait past their bound and are dispatched without asking a row.
std::vector<std::string> load_command(std::uint64_t seed) {
  return {"tactus-frame",    "--serve",  "--quiet",          "--seed",    std::to_string(seed),
          "--audio-period-ms", "20",     "--audio-streams",  "2",         "--audio-voices",  "1",
          "--frame-period-ms", "40",     "--physics-bodies", "32",        "--physics-tasks", "2",
          "--path-side",     "16",       "--load-streams", "2",         "--load-think-ms", "10",
          "--load-piece-kib", "8",       "--load-mib",       "1"};
}

struct slot {
  double ns_per_running = 0;
  std::uint64_t running = 0;
  std::map<std::string, program_statistics> programs;  // differences over the slot
};

// Differences of the programs that are not in `before_load`, over the time that `wait` takes.
slot measure_programs(const std::vector<program_statistics>& before_load, const std::function<void()>& wait) {
  const auto foreign = [&](const program_statistics& p) {
    return std::any_of(before_load.begin(), before_load.end(), [&](const auto& b) { return b.id == p.id; });
  };
  const auto begin = loaded_programs();
  wait();
  const auto end = loaded_programs();
  slot out;
  std::uint64_t time_ns = 0;
  for (const program_statistics& e : end) {
    if (foreign(e)) continue;
    program_statistics d = e;
    for (const program_statistics& b : begin)
      if (b.id == e.id) {
        d.run_time_ns -= b.run_time_ns;
        d.run_count -= b.run_count;
      }
    time_ns += d.run_time_ns;
    if (e.name.ends_with("_running")) out.running += d.run_count;
    auto& sum = out.programs[e.name];
    sum.run_time_ns += d.run_time_ns;
    sum.run_count += d.run_count;
  }
  if (out.running == 0) throw std::runtime_error("ops.running was never called: is the scheduler in force?");
  out.ns_per_running = static_cast<double>(time_ns) / static_cast<double>(out.running);
  return out;
}

class kernel_comparison {
 public:
  kernel_comparison(const settings& set, double slot_s)
      : set_(set), slot_s_(slot_s), load_(load_command(set.seed), true, k_log), arm_(set.agent) {
    if (load_.receive(120).find("ready") == std::string::npos) throw std::runtime_error("tactus-frame did not start");
  }

  slot tactus() {
    const auto before = loaded_programs();
    arm_.load();
    tactus_command({"mode", "learned"}, false);
    const std::uint64_t by_row = scheduler_counters().decisions[TACTUS_SOURCE_ROW];
    try {
      wait_until("decisions by learned rows", k_patience_s,
                 [&] { return scheduler_counters().decisions[TACTUS_SOURCE_ROW] > by_row + 20; });
    } catch (...) {
      tactus_command({"status"}, false);  // into the log, which is shown
      throw;
    }
    settle();
    const tactus_stats begin = scheduler_counters();
    slot out = measure_programs(before, [&] { measure(slot_s_); });
    const tactus_stats end = scheduler_counters();
    std::uint64_t decisions = 0;
    for (unsigned s = 0; s < TACTUS_NR_SOURCES; ++s) decisions += end.decisions[s] - begin.decisions[s];
    row_shares_.push_back(static_cast<double>(end.decisions[TACTUS_SOURCE_ROW] - begin.decisions[TACTUS_SOURCE_ROW]) /
                          static_cast<double>(std::max<std::uint64_t>(decisions, 1)));
    timer_fires_ += end.timer_fires - begin.timer_fires;
    arm_.unload();
    return out;
  }

  slot simple() {
    const auto before = loaded_programs();
    child_process scheduler({set_.scx_simple}, false, k_log);
    wait_until("scx_simple attached", 20, [&] {
      if (!scheduler.running()) throw std::runtime_error(fmt::format("scx_simple ended at once (needs kernel 6.16); see {}", k_log));
      return sched_ext_state() == "enabled";
    });
    settle();
    slot out = measure_programs(before, [&] { measure(slot_s_); });
    scheduler.end(SIGINT);
    wait_until("scx_simple detached", 20, [] { return sched_ext_state() == "disabled"; });
    return out;
  }

  double row_share() const { return median_of(row_shares_).median; }
  std::uint64_t timer_fires() const { return timer_fires_; }
  double tasks_per_s() const { return median_of(tasks_per_s_).median; }

 private:
  void settle() { measure(0.5); }
  void measure(double seconds) {
    load_.send(fmt::format("measure {}", seconds));
    const auto answer = nlohmann::json::parse(load_.receive(seconds + 90));
    if (answer.contains("error")) throw std::runtime_error("tactus-frame: " + answer["error"].get<std::string>());
    double sum = 0;
    for (const auto& [name, c] : answer.at("classes").items()) {
      sum += c.at("throughput_per_s").get<double>();
      if (c.at("wrong") != 0) throw std::runtime_error("tactus-frame computed wrong results (" + name + ")");
    }
    if (seconds > 1) tasks_per_s_.push_back(sum);
  }

  const settings& set_;
  const double slot_s_;
  child_process load_;
  scheduler_arm arm_;
  std::vector<double> row_shares_, tasks_per_s_;
  std::uint64_t timer_fires_ = 0;
};

std::string breakdown(const char* title, const slot& s) {
  std::string out = fmt::format("{}, last slot, {} calls of ops.running:", title, s.running);
  for (const auto& [name, p] : s.programs)
    if (p.run_count != 0)
      out += fmt::format(" {} {:.2f} x {:.0f} ns;", name, static_cast<double>(p.run_count) / static_cast<double>(s.running),
                         static_cast<double>(p.run_time_ns) / static_cast<double>(p.run_count));
  return out;
}

result compare(const settings& set) {
  std::remove(k_log);
  const bpf_statistics_on statistics;
  const unsigned pairs = set.repetitions(5, 3);
  const double slot_s = set.slot_s > 0 ? set.slot_s : set.quick ? 2 : 6;
  kernel_comparison comparison(set, slot_s);
  row per_call{"time in BPF programs per call of ops.running", "ns", {}, {{"scx_simple", {}}}, {}};
  row ratio{"ratio to scx_simple, by pair", "ratio", {}, {}, k_target_ratio};
  slot ours, theirs;
  std::mt19937_64 random(set.seed);
  for (unsigned pair = 0; pair < pairs; ++pair) {
    const bool ours_first = random() & 1;
    for (const bool us : {ours_first, !ours_first}) {
      progress(fmt::format("kernel: pair {} of {}, {}", pair + 1, pairs, us ? "tactus" : "scx_simple"));
      (us ? ours : theirs) = us ? comparison.tactus() : comparison.simple();
    }
    per_call.tactus.push_back(ours.ns_per_running);
    per_call.peers[0].second.push_back(theirs.ns_per_running);
    ratio.tactus.push_back(ours.ns_per_running / theirs.ns_per_running);
  }
  result out;
  out.rows = {std::move(per_call), std::move(ratio)};
  out.notes = {fmt::format("decisions by learned rows: {:.0f} % (median of slots); load: {:.0f} tasks per s",
                           100 * comparison.row_share(), comparison.tasks_per_s()),
               fmt::format("the scheduler's timers fired {} times in all its slots; the kernel does not time them",
                           comparison.timer_fires()),
               breakdown("tactus", ours), breakdown("scx_simple", theirs)};
  return out;
}

result run(const settings& set) {
  require_sched_ext("bench/kernel_vm.sh");
  if (set.scx_simple.empty() || access(set.scx_simple.c_str(), X_OK) != 0)
    throw unavailable("give --scx-simple PROGRAM (scripts/deps.sh scx-simple makes it)");
  try {
    return compare(set);
  } catch (...) {
    progress("");
    show_log();
    throw;
  }
}

const registration kernel{"kernel", "time in the scheduler's BPF programs against scx_simple; needs a VM, see bench/kernel_vm.sh",
                          run, false};

}  // namespace
}  // namespace tactus::bench
