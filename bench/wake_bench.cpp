// SPDX-License-Identifier: Apache-2.0
// tactus-bench wake: from the submission of a task to its start after 20 ms of silence, with the scheduler
// and its agent against the kernel's own scheduler: one process, one pool, one boot, slots interleaved.
//
// Relies on: as scheduler_arm.h; bench/wake_vm.sh provides a VM.
// Does not: compare pools (that is `pool`), nor load the machine: what is measured is which CPU wakes
// up for the task, and how.
#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <random>
#include <tactus/tactus.hpp>

#include "bench.h"
#include "bpf_statistics.h"
#include "scheduler_arm.h"
#include "statistics.h"

namespace tactus::bench {
namespace {

constexpr double k_target_ratio = 0.8;
constexpr std::int64_t k_silence_ns = 20'000'000;
constexpr unsigned k_warm_up_probes = 20;

struct slot {
  std::vector<double> us;
  std::map<int, unsigned> starts;  // by CPU
};

class wake_comparison {
 public:
  explicit wake_comparison(const settings& set, unsigned probes) : arm_(set.agent), probes_(probes) {}

  slot with_scheduler() {
    arm_.load();
    wait_until("pool registered", k_patience_s, [&] { return pool_.registered(); });
    tactus_command({"mode", "learned"}, false);
    slot out = measure();
    const tactus_stats s = scheduler_counters();
    for (unsigned i = 0; i < TACTUS_NR_SOURCES; ++i) decisions_[i] += s.decisions[i];
    arm_.unload();
    return out;
  }
  slot without() { return measure(); }

  std::string decisions() const {
    std::string out = "decisions by source (abi/decision_map.h):";
    for (unsigned i = 0; i < TACTUS_NR_SOURCES; ++i) out += fmt::format(" {}", decisions_[i]);
    return out;
  }

 private:
  slot measure() {
    for (unsigned i = 0; i < k_warm_up_probes; ++i) probe();
    slot out;
    for (unsigned i = 0; i < probes_; ++i) {
      const auto [us, cpu] = probe();
      out.us.push_back(us);
      ++out.starts[cpu];
    }
    return out;
  }
  std::pair<double, int> probe() {
    usleep(k_silence_ns / 1000);
    std::atomic<std::int64_t> started{0};
    std::atomic<int> cpu{-1};
    const std::int64_t submitted = now_ns();
    pool_.detach(class_, [&] {
      const std::int64_t now = now_ns();
      cpu.store(sched_getcpu(), std::memory_order_relaxed);
      started.store(now, std::memory_order_release);
    });
    while (started.load(std::memory_order_acquire) == 0) usleep(200);  // asleep, so as not to be in the way
    pool_.wait();
    return {static_cast<double>(started.load() - submitted) / 1e3, cpu.load()};
  }

  scheduler_arm arm_;
  const unsigned probes_;
  std::uint64_t decisions_[TACTUS_NR_SOURCES]{};
  task_class class_{"probe"};
  pool pool_{{.name = "wake"}};
};

std::string where(const char* arm, const slot& s) {
  std::string out = fmt::format("{}, last slot, starts by CPU:", arm);
  for (const auto& [cpu, n] : s.starts) out += fmt::format(" {}: {}", cpu, n);
  return out;
}

result compare(const settings& set) {
  std::remove(k_log);
  const unsigned pairs = set.repetitions(7, 5), probes = set.quick ? 60 : 120;
  wake_comparison comparison(set, probes);
  row p50{fmt::format("submit to start after 20 ms idle, p50 of {} probes", probes), "us", {}, {{"eevdf", {}}}, {}};
  row p90{fmt::format("submit to start after 20 ms idle, p90 of {} probes", probes), "us", {}, {{"eevdf", {}}}, {}};
  row ratio{"p50, ratio to eevdf, by pair", "ratio", {}, {}, k_target_ratio};
  slot ours, theirs;
  std::mt19937_64 random(set.seed);
  for (unsigned pair = 0; pair < pairs; ++pair) {
    const bool ours_first = random() & 1;
    for (const bool us : {ours_first, !ours_first}) {
      progress(fmt::format("wake: pair {} of {}, {}", pair + 1, pairs, us ? "tactus" : "eevdf"));
      (us ? ours : theirs) = us ? comparison.with_scheduler() : comparison.without();
    }
    p50.tactus.push_back(quantile_of(ours.us, 0.5));
    p50.peers[0].second.push_back(quantile_of(theirs.us, 0.5));
    p90.tactus.push_back(quantile_of(ours.us, 0.9));
    p90.peers[0].second.push_back(quantile_of(theirs.us, 0.9));
    ratio.tactus.push_back(p50.tactus.back() / p50.peers[0].second.back());
  }
  result out;
  out.rows = {std::move(p50), std::move(p90), std::move(ratio)};
  out.notes = {where("tactus", ours), where("eevdf", theirs), comparison.decisions()};
  return out;
}

result run(const settings& set) {
  require_sched_ext("bench/wake_vm.sh");
  try {
    return compare(set);
  } catch (...) {
    progress("");
    show_log();
    throw;
  }
}

const registration wake{"wake", "submit to start after 20 ms idle against EEVDF; needs a VM, see bench/wake_vm.sh", run, false};

}  // namespace
}  // namespace tactus::bench
