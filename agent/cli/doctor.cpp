// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/doctor.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "agent/load/pins.h"

namespace tactus::cli {
namespace {

using load::check;
using load::verdict;

const char* word(verdict v) {
  switch (v) {
    case verdict::ok: return "ok";
    case verdict::warning: return "warning";
    case verdict::failure: return "failure";
  }
  return "?";
}

check check_pinned_abi(const load::host& where) {
  try {
    load::require_same_abi(where);
  } catch (const load::load_error& error) {
    if (error.code() == load::exit_code::no_rights)
      return {"abi", verdict::warning, "the pinned maps may not be looked at", "their version is not known",
              "sudo tactus doctor", load::exit_code::ok};
    const std::string text = error.what();
    const auto at = text.find("; next: ");
    return {"abi", verdict::failure, text.substr(0, at), "neither the loader nor the agent can use them",
            "sudo tactus unload --all && sudo tactus load", error.code()};
  }
  return {"abi", verdict::ok, "no pinned maps of another ABI version", "", "", load::exit_code::ok};
}

}  // namespace

std::vector<check> examine(const load::host& where) {
  std::vector<check> checks = load::required_checks(where);
  checks.push_back(check_pinned_abi(where));
  for (check& c : load::advisory_checks(where)) checks.push_back(std::move(c));
  return checks;
}

int doctor_code(const std::vector<check>& checks) {
  int code = k_doctor_good;
  for (const check& c : checks) {
    if (c.result == verdict::failure) return k_doctor_cannot_run;
    if (c.result == verdict::warning) code = k_doctor_warnings;
  }
  return code;
}

std::string doctor_text(const std::vector<check>& checks) {
  std::string out;
  for (const check& c : checks) {
    out += fmt::format("[{:^7}] {}\n", word(c.result), c.fact);
    if (!c.consequence.empty()) out += fmt::format("          so: {}\n", c.consequence);
    if (!c.command.empty()) out += fmt::format("          do: {}\n", c.command);
  }
  switch (doctor_code(checks)) {
    case k_doctor_good: return out + "all good\n";
    case k_doctor_warnings: return out + "runs, with the warnings above\n";
    default: return out + "the scheduler cannot run here until the failures above are mended\n";
  }
}

nlohmann::json doctor_json(const std::vector<check>& checks) {
  using nlohmann::json;
  json list = json::array();
  for (const check& c : checks)
    list.push_back({{"id", c.id},
                    {"result", word(c.result)},
                    {"fact", c.fact},
                    {"consequence", c.consequence},
                    {"command", c.command},
                    {"exit_code", static_cast<int>(c.code)}});
  return {{"result", doctor_code(checks)}, {"checks", list}};
}

}  // namespace tactus::cli
