// SPDX-License-Identifier: Apache-2.0
//
// The command `tactus`: loads and unloads the scheduler, shows what it does, and
// passes wishes on to the agent.
//
// Relies on: load/ (the loader), the pinned maps, the agent's control socket.
// Does not: learn or decide; status, explain and doctor work with the agent dead.
#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "agent/cli/control.h"
#include "agent/cli/doctor.h"
#include "agent/cli/explain.h"
#include "agent/cli/record.h"
#include "agent/cli/snapshot.h"
#include "agent/cli/status.h"
#include "agent/load/loader.h"
#include "agent/load/stay.h"

namespace {

using namespace tactus;
using load::exit_code;
using load::load_error;
using nlohmann::json;

constexpr char k_exit_codes[] =
    "Exit codes:\n"
    "   0  done                                 17  the kernel's type information is broken\n"
    "   1  internal error                       18  attached, but the kernel threw it out\n"
    "  10  the kernel has no sched_ext          19  not loaded / no maps\n"
    "  11  another scheduler is loaded          20  the agent does not run\n"
    "  12  the kernel has no type information   21  the agent refused\n"
    "  13  no rights                            22  --stay gave up after repeated errors\n"
    "  14  bpf file system not mounted          23  machine beyond the limits\n"
    "  15  maps of another ABI version          24  no such class\n"
    "  16  the kernel rejects the object        64  wrong use\n"
    "doctor has its own: 0 all good, 1 warnings, 2 cannot run.\n";

struct settings {
  load::host where;
  std::string control = cli::k_control_socket;
};

void print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  if (text.empty() || text.back() != '\n') std::fputc('\n', stdout);
}

void print_json(const json& value) { print(value.dump(2)); }

// A class name comes from a pool: show no control characters of it on a terminal.
std::string printable(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return text;
}

int do_load(const load::load_options& options, bool stay) {
  if (stay)
    return static_cast<int>(load::stay(options, [](const std::string& line) {
      print("tactus: " + line);
      std::fflush(stdout);
    }));
  const load::load_report report = load::load(options);
  if (report.already_loaded) {
    print("tactus: already loaded; nothing to do (--reload loads it anew)");
    return 0;
  }
  print(fmt::format("tactus: loaded, {}; {} CPUs, {} places, {} domains; generation {}{}",
                    report.whole_system ? "whole system" : "SCHED_EXT threads only", report.nr_cpus, report.nr_places,
                    report.nr_domains, report.generation, report.maps_kept ? ", maps kept" : ""));
  if (!report.whole_system)
    print("tactus: note: the fair class stands above sched_ext, so busy normal threads can starve SCHED_EXT threads");
  return 0;
}

int do_unload(const load::host& where, bool all) {
  const load::unload_report report = load::unload(where, all);
  std::string text = report.was_loaded ? "tactus: unloaded; threads are back on the kernel's own scheduler"
                                       : "tactus: was not loaded";
  if (all) text += fmt::format("; {} pins removed", report.maps_removed);
  print(text);
  return 0;
}

// What the agent says of itself: "agent", or null and "agent_error" when it does not answer.
void add_agent(json& out, const std::string& control) {
  try {
    out["agent"] = cli::ask_agent(control, {{"cmd", "status"}}, std::chrono::seconds(2));
  } catch (const load_error& error) {
    out["agent"] = nullptr;
    out["agent_error"] = error.what();
  }
}

int do_status(const settings& set, bool as_json) {
  const cli::snapshot s = cli::take_snapshot(set.where);
  json out = as_json ? cli::status_json(s) : json::object();
  add_agent(out, set.control);
  if (as_json) {
    print_json(out);
  } else {
    const json& agent = out["agent"];
    print(cli::status_text(s) +
          fmt::format("  {:<10} {}\n", "tactusd",
                      agent.is_object() ? printable(agent.value("text", std::string("answers"))) : "does not answer"));
  }
  return static_cast<int>(s.kernel.running() ? exit_code::ok : exit_code::not_loaded);
}

int do_explain(const load::host& where, const std::string& wanted, bool as_json, bool full) {
  const cli::snapshot s = cli::take_snapshot(where);
  if (!s.has_maps)
    throw load_error(exit_code::not_loaded, fmt::format("no maps in {}: nothing to explain", where.pins.string()),
                     "next: sudo tactus load");
  json list = json::array();
  std::string text;
  std::size_t width = 0;
  for (unsigned slot = 0; slot < s.classes.size(); ++slot)
    if (s.classes[slot].in_use) width = std::max(width, cli::class_name(slot, s.classes[slot]).size());
  unsigned shown = 0;
  for (unsigned slot = 0; slot < s.classes.size(); ++slot) {
    const tactus_class_conf& conf = s.classes[slot];
    const std::string name = printable(cli::class_name(slot, conf));
    if (!conf.in_use || (!wanted.empty() && wanted != name && wanted != std::to_string(slot))) continue;
    const auto rows = cli::read_rows(where, s.control.bank, slot);
    const cli::class_explanation e = cli::explain_class(slot, conf, rows, s.places);
    ++shown;
    if (as_json) {
      json entry = cli::to_json(e, s.places);
      entry["name"] = name;
      if (full) entry["situations"] = cli::situations_json(conf, rows, s.places);
      list.push_back(std::move(entry));
      continue;
    }
    text += fmt::format("{:<{}}  {} (confidence {:.2f})\n", name + ":", width + 1, e.sentence, e.confidence);
    if (full) text += cli::full_table(conf, rows, s.places);
  }
  if (!shown && !wanted.empty())
    throw load_error(exit_code::no_such_class, fmt::format("no class '{}' in the decision map", printable(wanted)),
                     "next: tactus explain, without a name, lists those that are there");
  if (as_json)
    print_json(json{{"version", s.control.version},
               {"bank", s.control.bank & 1},
               {"in_force", cli::status_json(s)["in_force"]},
               {"classes", list}});
  else if (!shown)
    print("no class has rows yet: all workers are placed by the fallback");
  else
    print(text);
  if (!as_json && shown && cli::what_is_in_force(s) != cli::in_force::learned)
    print("note: these rows are not in force now; see tactus status");
  return 0;
}

int do_doctor(const load::host& where, bool as_json) {
  const auto checks = cli::examine(where);
  if (as_json) print_json(cli::doctor_json(checks));
  else print(cli::doctor_text(checks));
  return cli::doctor_code(checks);
}

int ask(const settings& set, const json& request, bool as_json) {
  const json answer = cli::ask_agent(set.control, request);
  if (as_json) print_json(answer);
  else print("tactus: " + printable(answer.value("text", std::string("done"))));
  return 0;
}

int do_record(const settings& set, double seconds, unsigned most_mib, const std::string& name) {
  const bool to_file = !name.empty() && name != "-";
  std::FILE* out = to_file ? std::fopen(name.c_str(), "w") : stdout;
  if (out == nullptr)
    throw load_error(exit_code::usage, fmt::format("{} cannot be written ({})", name, std::strerror(errno)), "next: choose another file with -o");
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> closed(to_file ? out : nullptr, std::fclose);
  const cli::record_result r =
      cli::record(set.control, std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000)), std::uint64_t{most_mib} << 20, out);
  std::fprintf(stderr, "tactus: %llu bytes recorded%s; next: tactus-sim replay %s\n", static_cast<unsigned long long>(r.bytes),
               r.ended_early ? ", ended early" : "", to_file ? name.c_str() : "FILE");
  return 0;
}

// Everything that CLI11 needs to know; `run` is set to what the command line asks for.
void describe_commands(CLI::App& app, settings& set, std::function<int()>& run) {
  app.require_subcommand(1);
  app.fallthrough();
  app.set_version_flag("--version", TACTUS_VERSION);
  app.add_option("--pins", set.where.pins, "folder of the pinned maps")->capture_default_str();
  app.add_option("--control", set.control, "control socket of the agent")->capture_default_str();
  app.add_option("--run-dir", set.where.run, "folder of the agent's sockets and the loader's notes")->capture_default_str();
  app.add_option("--root", set.where.root, "look at the machine below this folder (for tests)")->group("");
  app.footer(std::string("Examples:\n  tactus doctor\n  sudo tactus load && tactus status\n  tactus explain audio --full\n\n") +
             k_exit_codes);

  // Targets of the options; they outlive the parser because `run` is called after it.
  static load::load_options options;
  static bool stay = false, all = false, as_json = false, full = false;
  static std::string name, word;
  static double weight = 1, seconds = 5;
  static unsigned most_mib = 256;

  CLI::App* c = app.add_subcommand("load", "load the scheduler into the kernel; keeps registrations and rows of the load before");
  c->add_flag("--partial", options.partial, "only threads of class SCHED_EXT; busy normal threads can starve those");
  c->add_flag("--fallback-only", options.fallback_only, "never use learned rows, whatever the agent says");
  c->add_flag("--stay", stay, "stay and load again: at once after hotplug, at most twice in 30 s after an error");
  c->add_flag("--reload", options.reload, "load anew even when the same is loaded");
  c->add_option("--ring-bytes", options.ring_bytes, "size of one domain's event ring (power of two; default 1 MiB, or as pinned)");
  c->add_option("--object", options.object_file, "load this BPF object instead of the one inside (for development)");
  c->add_flag("-v,--verbose", options.verbose, "show the messages of libbpf and the kernel's verifier");
  c->footer(std::string("Examples:\n  sudo tactus load\n  sudo tactus load --fallback-only --reload\n"
                        "  sudo tactus load --stay        # what the systemd unit runs\n\n"
                        "Needs CAP_BPF and CAP_PERFMON and nothing more, where it may write to the pins' folder.\n\n") +
            k_exit_codes);
  c->callback([&set, &run] {
    options.where = set.where;
    options.progress = [](const char* step) { std::fprintf(stderr, "tactus: %s ...\n", step); };
    run = [] { return do_load(options, stay); };
  });

  c = app.add_subcommand("unload", "take the scheduler out; threads return to the kernel's own at once");
  c->add_flag("--all", all, "remove the maps too: rows, registrations, counters");
  c->footer("Examples:\n  sudo tactus unload\n  sudo tactus unload --all     # before changing the release");
  c->callback([&set, &run] { run = [&set] { return do_unload(set.where, all); }; });

  c = app.add_subcommand("status", "what runs, whose rows are in force, how decisions came to be");
  c->add_flag("--json", as_json, "for programs");
  c->footer("Answers with the agent dead, too. Exit code 0: loaded, 19: not loaded.\n\n"
            "Examples:\n  tactus status\n  tactus status --json | jq .in_force");
  c->callback([&set, &run] { run = [&set] { return do_status(set, as_json); }; });

  c = app.add_subcommand("explain", "the decision map in words and numbers");
  c->add_option("class", name, "name or slot of one class; without: all");
  c->add_flag("--json", as_json, "for programs");
  c->add_flag("--full", full, "every situation, not only the mean");
  c->footer("The mean counts each set of idle tiers alike, and n waiting workers as 1/(1+n).\n\n"
            "Examples:\n  tactus explain\n  tactus explain audio\n  tactus explain audio --full\n  tactus explain --json --full");
  c->callback([&set, &run] { run = [&set] { return do_explain(set.where, name, as_json, full); }; });

  c = app.add_subcommand("doctor", "each precondition: the fact, what follows from it, what to type");
  c->add_flag("--json", as_json, "for programs");
  c->footer("Exit code 0: all good, 1: runs with warnings, 2: cannot run.\n\nExamples:\n  tactus doctor\n  sudo tactus doctor --json");
  c->callback([&set, &run] { run = [&set] { return do_doctor(set.where, as_json); }; });

  c = app.add_subcommand("mode", "which policy the agent publishes");
  c->add_option("mode", word, "learned, fallback or random")->required()->check(CLI::IsMember({"learned", "fallback", "random"}));
  c->add_flag("--json", as_json, "print the agent's answer as it is");
  c->footer("random: uniform over the legal places, for comparisons.\n\nExamples:\n  tactus mode fallback\n  tactus mode learned");
  c->callback([&set, &run] { run = [&set] { return ask(set, {{"cmd", "mode"}, {"mode", word}}, as_json); }; });

  c = app.add_subcommand("learning", "switch learning on or off; rows stay as they are");
  c->add_option("switch", word, "on or off")->required()->check(CLI::IsMember({"on", "off"}));
  c->add_flag("--json", as_json, "print the agent's answer as it is");
  c->footer("Examples:\n  tactus learning off    # before a measurement\n  tactus learning on");
  c->callback([&set, &run] { run = [&set] { return ask(set, {{"cmd", "learning"}, {"on", word == "on"}}, as_json); }; });

  c = app.add_subcommand("weight", "how much a task of a class counts in the cost that is learned from");
  c->add_option("class", name, "name of the class")->required();
  c->add_option("weight", weight, "0 to 255; 1 is usual")->required()->check(CLI::Range(0.0, 255.0));
  c->add_flag("--json", as_json, "print the agent's answer as it is");
  c->footer("Examples:\n  tactus weight audio 8\n  tactus weight loading 0.5");
  c->callback([&set, &run] { run = [&set] { return ask(set, {{"cmd", "weights"}, {"class", name}, {"weight", weight}}, as_json); }; });

  c = app.add_subcommand("record", "decisions, completions and rows for some time, as a trace for tactus-sim replay");
  c->add_option("--seconds", seconds, "for so long")->check(CLI::Range(0.1, 3600.0))->capture_default_str();
  c->add_option("-o,--out", name, "file; default: standard output");
  c->add_option("--most-mib", most_mib, "ends when the trace has this size")->check(CLI::Range(1u, 65536u))->capture_default_str();
  c->footer("Examples:\n  sudo tactus record --seconds 2 -o trace.jsonl && tactus-sim replay trace.jsonl");
  c->callback([&set, &run] { run = [&set] { return do_record(set, seconds, most_mib, name); }; });

  c = app.add_subcommand("checkpoint", "make the agent write what it has learned to disk now");
  c->add_flag("--json", as_json, "print the agent's answer as it is");
  c->footer("Examples:\n  tactus checkpoint");
  c->callback([&set, &run] { run = [&set] { return ask(set, {{"cmd", "checkpoint"}}, as_json); }; });
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Tactus: places the threads of pools by learned rules, in the kernel", "tactus");
  settings set;
  std::function<int()> run;
  describe_commands(app, set, run);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : static_cast<int>(exit_code::usage);
  }
  try {
    return run();
  } catch (const load_error& error) {
    std::fprintf(stderr, "tactus: %s\n", error.what());
    return static_cast<int>(error.code());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tactus: internal error: %s; next: report it with the output of tactus doctor\n", error.what());
    return static_cast<int>(exit_code::internal);
  }
}
