// SPDX-License-Identifier: Apache-2.0
// tactus-sim list: machines, work loads, policies.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "sim/cli/commands.h"
#include "sim/machine/shipped.h"
#include "sim/policy/policy.h"

namespace tactus::sim {
namespace {

nlohmann::json describe() {
  nlohmann::json out;
  for (const shipped_file& f : shipped_machines()) {
    const machine m = load_machine(std::string(f.name));
    const machine_topology t = topology_of(m);
    out["machines"].push_back({{"name", m.name}, {"what", m.what}, {"cpus", m.cpus.size()}, {"places", t.nr_places}, {"domains", t.nr_domains}});
  }
  for (const shipped_file& f : shipped_workloads()) {
    const workload w = load_workload(std::string(f.name));
    nlohmann::json classes;
    for (const task_class_spec& c : w.classes) classes.push_back(c.name);
    out["workloads"].push_back({{"name", w.name}, {"what", w.what}, {"classes", classes}});
  }
  for (const policy_name& p : policy_names()) out["policies"].push_back({{"name", p.name}, {"what", p.what}});
  return out;
}

}  // namespace

void add_list_command(CLI::App& app) {
  CLI::App* sub = app.add_subcommand("list", "machines, work loads and policies that are shipped");
  auto json = std::make_shared<bool>(false);
  sub->add_flag("--json", *json, "JSON instead of the table");
  sub->callback([json] {
    const nlohmann::json all = describe();
    if (*json) {
      fmt::print("{}\n", all.dump(2));
      return;
    }
    fmt::print("machines (or host, or a .toml file)\n");
    for (const auto& m : all["machines"])
      fmt::print("  {:<14} {:>4} CPUs, {:>2} places  {}\n", m["name"].get<std::string>(), m["cpus"].get<int>(), m["places"].get<int>(),
                 m["what"].get<std::string>());
    fmt::print("\nwork loads (or a .toml file, rt-app's .json, or .csv of app,func,end_timestamp,duration)\n");
    for (const auto& w : all["workloads"]) fmt::print("  {:<14} {}\n", w["name"].get<std::string>(), w["what"].get<std::string>());
    fmt::print("\npolicies\n");
    for (const auto& p : all["policies"]) fmt::print("  {:<24} {}\n", p["name"].get<std::string>(), p["what"].get<std::string>());
  });
}

}  // namespace tactus::sim
