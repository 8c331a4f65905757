// SPDX-License-Identifier: Apache-2.0
//
// tactusd, the agent: options, privileges, signals; everything else is serve/daemon.h's.
// Runs as the user tactus with no capability at all: what it may do to the scheduler is what the
// modes of the pinned maps let it.
#include "agent/config/config.h"
#include "agent/config/privileges.h"
#include "agent/publish/bpf_maps.h"
#include "agent/publish/memory_maps.h"
#include "agent/serve/daemon.h"
#include "agent/serve/log.h"
#include "agent/serve/peer.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <malloc.h>
#include <pwd.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <optional>

namespace {

using namespace tactus::agent;

// The shared ones are those of the command `tactus`.
enum exit_code {
  k_ok = 0,
  k_internal = 1,
  k_no_rights = 13,
  k_other_abi = 15,
  k_bad_config = 30,
  k_no_socket = 31,
  k_bad_checkpoint = 32,
  k_no_user = 33,
  k_old_kernel = 34,
  k_usage = 64,
};

constexpr const char* k_footer =
    "Examples:\n"
    "  tactusd                                      # as user tactus, with /etc/tactus/tactusd.toml\n"
    "  sudo tactusd --run-as tactus                 # started by root: becomes tactus at once\n"
    "  tactusd --config ./tactusd.toml --check      # only says whether the configuration is good\n"
    "  tactusd --mode fallback                      # registers pools, publishes no rows\n\n"
    "SIGHUP reads the configuration again; SIGTERM and SIGINT write a checkpoint and end.\n\n"
    "Exit codes: 0 ended by a signal, 1 internal, 13 no right to the pins, 15 maps of another ABI,\n"
    "30 configuration, 31 socket, 32 damaged checkpoint with --strict-checkpoint, 33 user or\n"
    "privileges, 34 kernel too old, 64 wrong use";

constexpr const char* k_default_config = "/etc/tactus/tactusd.toml";

constexpr const char* k_model_name = "tactus-model.ckpt";
constexpr int k_agent_nice = -5;

struct options {
  std::string config_file, run_as;
  std::optional<std::string> socket, control, pins, state, mode;
  std::optional<std::uint64_t> seed;
  std::optional<unsigned> learners;
  std::string fake_maps;
  unsigned fake_cpus = 4;
  bool strict_checkpoint = false, check = false;
};

int complain(int code, const std::string& what) {
  log_error("{}", what);
  return code;
}

// A file in the program's own folder, as a build has it; else where packages put it.
std::string beside_program(const char* name) {
  std::error_code ignored;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", ignored);
  const auto beside = program.parent_path() / name;
  return !ignored && std::filesystem::exists(beside, ignored) ? beside.string() : std::string("/usr/share/tactus/") + name;
}

config read(const options& o) {
  config c;
  // The default file may be absent; one that was named must be there.
  if (!o.config_file.empty()) c = read_config(o.config_file);
  else if (::access(k_default_config, F_OK) == 0) c = read_config(k_default_config);
  if (o.socket) c.socket = *o.socket;
  if (o.control) c.control = *o.control;
  if (o.pins) c.pins = *o.pins;
  if (o.state) c.state = *o.state;
  if (o.seed) c.learner.seed = *o.seed;
  if (o.learners) c.learners = *o.learners;
  if (o.mode) parse_mode(*o.mode, c.mode);
  if (c.model.empty()) c.model = beside_program(k_model_name);
  return c;
}

// Folders that systemd's unit would have made; a root that starts us by hand makes them here.
void make_folders(const config& c, const std::string& user) {
  const passwd* entry = ::getpwnam(user.c_str());
  if (entry == nullptr || ::geteuid() != 0) return;
  for (const auto& folder : {std::filesystem::path(c.socket).parent_path(), std::filesystem::path(c.control).parent_path(),
                             std::filesystem::path(c.state)}) {
    std::error_code ignored;
    // Only what is made here is given away: never somebody else's folder.
    if (folder.empty()) continue;
    const bool made = std::filesystem::create_directories(folder, ignored);
    struct stat st {};
    const bool ours = ::lstat(folder.c_str(), &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == 0 && folder.filename() == "tactus";
    if (made || ours) {
      [[maybe_unused]] const int rc = ::lchown(folder.c_str(), entry->pw_uid, entry->pw_gid);
      ::chmod(folder.c_str(), 0755);
    }
  }
}

void note(const std::string& what) {
  if (!what.empty()) log_warning("{}", what);
}

void parse(CLI::App& app, options& o) {
  app.add_option("--config", o.config_file, std::string("TOML file (default ") + k_default_config + ", if it is there)");
  app.add_option("--socket", o.socket, "where pools register");
  app.add_option("--control", o.control, "where the command tactus asks");
  app.add_option("--pins", o.pins, "folder of the scheduler's pinned maps");
  app.add_option("--state", o.state, "folder of the checkpoints");
  app.add_option("--seed", o.seed, "seed of the initial weights, where there is neither checkpoint nor model");
  app.add_option("--learners", o.learners, "learner threads")->check(CLI::Range(1u, 64u));
  app.add_option("--mode", o.mode, "what to publish")->check(CLI::IsMember({"learned", "fallback", "random"}));
  app.add_option("--run-as", o.run_as, "started as root: become this user, drop every capability, before anything else");
  app.add_flag("--strict-checkpoint", o.strict_checkpoint, "end when a checkpoint is damaged, instead of going on from an older one");
  app.add_flag("--check", o.check, "read the configuration, say whether it is good, and end");
  // For tests and for trying a client without the scheduler; says so in its log.
  app.add_option("--fake-maps", o.fake_maps)->group("");
  app.add_option("--fake-cpus", o.fake_cpus)->group("");
  app.footer(k_footer);
}

int serve(const options& o, const config& c) {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int s : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, s);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);

  agent_daemon::map_opener open = [pins = c.pins]() -> std::shared_ptr<scheduler_maps> { return open_bpf_maps(pins); };
  if (!o.fake_maps.empty()) {
    log_warning("maps are files in {}: no kernel will follow what is published there", o.fake_maps);
    memory_maps::machine machine;
    machine.cpus = o.fake_cpus;
    open = [machine, folder = o.fake_maps] { return std::make_shared<memory_maps>(machine, folder); };
  }
  // With a model at hand the clone, seconds of work on a slow machine, is not made; should the model
  // turn out to be damaged, it is made after all.
  config with_model = c;
  if (::access(c.model.c_str(), R_OK) == 0) with_model.learner.clone_steps = 0;
  auto agent = std::make_unique<agent_daemon>(with_model, open);
  bool damaged = agent->load_checkpoint();
  if (agent->from_clone() && with_model.learner.clone_steps != c.learner.clone_steps) {
    agent = std::make_unique<agent_daemon>(c, open);
    damaged |= agent->load_checkpoint();
  }
  if (damaged && o.strict_checkpoint) {
    return complain(k_bad_checkpoint, "a checkpoint is damaged (--strict-checkpoint); look at the .bad file, then start again");
  }
  agent->start();
  for (;;) {
    agent->tick();
    const timespec tenth{0, 100'000'000};
    const int signal = ::sigtimedwait(&signals, nullptr, &tenth);
    if (signal == SIGTERM || signal == SIGINT) break;
    if (signal == SIGHUP) {
      try {
        agent->reconfigure(read(o));
      } catch (const config_file_error& e) {
        log_warning("the configuration stays as it was: {}", e.what());
      }
    }
  }
  log_info("ending");
  agent->stop();
  return k_ok;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("The agent of Tactus: registers pools, learns where their tasks should run, publishes it to the scheduler", "tactusd");
  options o;
  parse(app, o);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? k_ok : k_usage;
  }
  // Few arenas: each thread's own would reserve 64 MiB of address space.
  ::mallopt(M_ARENA_MAX, 2);
  ::umask(027);
  try {
    // As root only this is done: folders and limits, then root is gone.
    const bool serves = !o.check;
    if (!o.run_as.empty() && serves) {
      if (::geteuid() == 0) {
        make_folders(read(o), o.run_as);
        raise_memlock_limit();
        // A heart that waits behind the load it manages would look dead; learners are nice again.
        nice_this_thread(k_agent_nice);
      }
      run_as(o.run_as);
    } else if (serves) {
      drop_capabilities();
    }
  } catch (const config_file_error& e) {
    return complain(k_bad_config, e.what());
  } catch (const std::runtime_error& e) {
    return complain(k_no_user, e.what());
  }
  try {
    const config c = read(o);
    if (o.check) {
      fmt::print("configuration is good\n");
      return k_ok;
    }
    if (!peer_checks_supported()) {
      return complain(k_old_kernel, "this kernel cannot tell whose a thread is (PIDFD_GET_INFO, Linux 6.13); use a kernel with sched_ext");
    }
    note(raise_file_limit());
    note(lock_memory());
    note(limit_memory(c.memory_mib));
    return serve(o, c);
  } catch (const config_file_error& e) {
    return complain(k_bad_config, e.what());
  } catch (const socket_error& e) {
    return complain(k_no_socket, e.what());
  } catch (const maps_error& e) {
    return complain(e.why() == maps_error::kind::abi ? k_other_abi : k_no_rights, e.what());
  } catch (const tactus::learn::config_error& e) {
    return complain(k_bad_config, fmt::format("learning: {}", e.what()));
  } catch (const std::exception& e) {
    return complain(k_internal, e.what());
  }
}
