// SPDX-License-Identifier: Apache-2.0
// tactus-sim table: every policy on every machine and work load, over all CPUs. Runs that a journal
// holds already are not done again, so an interrupted table goes on where it was.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <fstream>
#include <memory>
#include <mutex>
#include <thread>

#include "sim/cli/commands.h"
#include "sim/machine/shipped.h"
#include "sim/table/report.h"

namespace tactus::sim {
namespace {

struct table_options : table_settings {
  std::vector<std::string> machines, workloads;
  std::string journal, out;
  unsigned jobs = std::max(1u, std::thread::hardware_concurrency());
  bool json = false;
};

struct cell_work {
  machine on;
  workload load;
  table_cell cell;
  std::once_flag prepared;
};

struct job {
  cell_work* work;
  std::string policy;
  std::uint64_t seed;
};

bool uneven(const machine& m) {
  for (const cpu_spec& c : m.cpus)
    if (c.node != m.cpus[0].node || c.type != m.cpus[0].type) return true;
  return false;
}

// What decides which runs of a journal are the same as those asked for now. The model by its content.
nlohmann::json identity_of(const table_options& o) {
  std::ifstream in(o.model, std::ios::binary);
  if (!in) throw description_error(fmt::format("model {}: cannot be read", o.model));
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  std::uint64_t sum = 0xcbf29ce484222325ull;  // FNV-1a
  for (const char c : bytes) sum = (sum ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  return {{"table", 1}, {"tasks", o.tasks}, {"least_s", o.least_s}, {"most_s", o.most_s},
          {"learn_decisions", o.learn_decisions}, {"model_fnv", fmt::format("{:016x}", sum)}};
}

class table_maker {
 public:
  explicit table_maker(const table_options& o) : o_(o) {
    for (const std::string& m : o.machines)
      for (const std::string& w : o.workloads) {
        auto work = std::make_unique<cell_work>();
        work->on = load_machine(m);
        work->load = load_workload(w);
        work->cell.machine = work->on.name;
        work->cell.workload = work->load.name;
        work->cell.cpus = static_cast<unsigned>(work->on.cpus.size());
        work->cell.hybrid_or_numa = uneven(work->on);
        work_.push_back(std::move(work));
      }
    read_journal();
    for (const auto& work : work_)
      for (const std::string& policy : table_policies())
        for (std::uint64_t seed = 1; seed <= o.seeds; ++seed)
          if (!done_.contains(key(work->cell.machine, work->cell.workload, policy, seed))) jobs_.push_back({work.get(), policy, seed});
  }

  std::vector<table_cell> make() {
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < o_.jobs; ++i) threads.emplace_back([this] { loop(); });
    for (std::thread& t : threads) t.join();
    if (!failure_.empty()) throw std::runtime_error(failure_);
    std::vector<table_cell> cells;
    for (const auto& work : work_) {
      std::call_once(work->prepared, [&] { prepare(*work); });
      for (const std::string& policy : table_policies())
        for (std::uint64_t seed = 1; seed <= o_.seeds; ++seed)
          work->cell.runs[policy].push_back(done_.at(key(work->cell.machine, work->cell.workload, policy, seed)));
      cells.push_back(work->cell);
    }
    return cells;
  }

 private:
  static std::string key(const std::string& m, const std::string& w, const std::string& policy, std::uint64_t seed) {
    return fmt::format("{} {} {} {}", m, w, policy, seed);
  }

  void read_journal() {
    if (o_.journal.empty()) return;
    const nlohmann::json mine = identity_of(o_);
    std::ifstream in(o_.journal);
    std::string line;
    if (std::getline(in, line)) {
      const nlohmann::json theirs = nlohmann::json::parse(line, nullptr, false);
      if (theirs != mine)
        throw description_error(fmt::format("journal {}: made with other settings or another model; remove it or name another", o_.journal));
      while (std::getline(in, line)) {
        const nlohmann::json j = nlohmann::json::parse(line, nullptr, false);
        if (j.is_discarded()) continue;  // cut off when it was interrupted
        const table_run r = run_from_json(j);
        done_[key(r.machine, r.workload, r.policy, r.seed)] = r;
      }
      journal_.open(o_.journal, std::ios::app);
    } else {
      journal_.open(o_.journal);
      journal_ << mine.dump() << std::endl;
    }
    if (!journal_) throw description_error(fmt::format("journal {}: cannot be written", o_.journal));
  }

  void prepare(cell_work& work) {
    work.cell.seconds = measured_seconds(o_, work.on, work.load);
    work.cell.threshold = best_threshold(work.on, work.load, o_.seeds + 1);
  }

  void loop() {
    for (std::size_t i = next_++; i < jobs_.size(); i = next_++) {
      const job& j = jobs_[i];
      try {
        std::call_once(j.work->prepared, [&] { prepare(*j.work); });
        finished(run_cell(o_, j.work->on, j.work->load, j.policy, j.seed, j.work->cell.seconds, j.work->cell.threshold));
      } catch (const std::exception& e) {
        const std::lock_guard lock(mutex_);
        failure_ = e.what();
        next_ = jobs_.size();
      }
    }
  }

  void finished(const table_run& r) {
    const std::lock_guard lock(mutex_);
    done_[key(r.machine, r.workload, r.policy, r.seed)] = r;
    if (journal_.is_open()) journal_ << to_json(r).dump() << std::endl;
    ++nr_finished_;
    fmt::print(stderr, "[{}/{}] {} {} {} seed {}: {:.3f} ms ({:.1f} s)\n", nr_finished_, jobs_.size(), r.machine, r.workload, r.policy, r.seed,
               r.response_ms, r.wall_s);
  }

  const table_options& o_;
  std::vector<std::unique_ptr<cell_work>> work_;
  std::vector<job> jobs_;
  std::atomic<std::size_t> next_{0};
  std::mutex mutex_;  // what follows
  std::map<std::string, table_run> done_;
  std::size_t nr_finished_ = 0;
  std::ofstream journal_;
  std::string failure_;
};

void run(const table_options& o) {
  const std::vector<table_cell> cells = table_maker(o).make();
  if (!o.out.empty() && !(std::ofstream(o.out) << to_markdown(o, cells))) throw description_error(fmt::format("{}: cannot be written", o.out));
  if (o.json) fmt::print("{}\n", to_json(o, cells).dump(2));
  else if (o.out.empty()) fmt::print("{}", to_markdown(o, cells));
}

}  // namespace

void add_table_command(CLI::App& app) {
  auto o = std::make_shared<table_options>();
  for (const shipped_file& f : shipped_machines())
    if (f.name != "demo") o->machines.emplace_back(f.name);
  for (const shipped_file& f : shipped_workloads()) o->workloads.emplace_back(f.name);
  CLI::App* sub = app.add_subcommand("table", "costs of all policies on all machines and work loads: docs/results.md");
  sub->add_option("--machines", o->machines, "default: all that are shipped, but demo")->delimiter(',');
  sub->add_option("--workloads", o->workloads, "default: all that are shipped")->delimiter(',');
  sub->add_option("--model", o->model, "what `model` and `learned` start from")->capture_default_str();
  sub->add_option("--learn-decisions", o->learn_decisions, "online, before the measured time")->capture_default_str();
  sub->add_option("--seeds", o->seeds, "runs of each policy and cell")->check(CLI::Range(1, 1000))->capture_default_str();
  sub->add_option("--tasks", o->tasks, "about so many end in the measured time")->check(CLI::Range(100ull, 1'000'000'000ull))->capture_default_str();
  sub->add_option("--least-s", o->least_s, "measured time, simulated: at least ..")->check(CLI::Range(0.01, 1e5))->capture_default_str();
  sub->add_option("--most-s", o->most_s, ".. and at most")->check(CLI::Range(0.01, 1e5))->capture_default_str();
  sub->add_option("--jobs", o->jobs, "runs at a time")->check(CLI::Range(1, 1024))->capture_default_str();
  sub->add_option("--journal", o->journal, "file of finished runs; one that exists is gone on with");
  sub->add_option("--out", o->out, "writes the table there, as Markdown");
  sub->add_flag("--json", o->json, "JSON on standard output");
  sub->callback([o] { run(*o); });
}

}  // namespace tactus::sim
