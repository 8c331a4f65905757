// SPDX-License-Identifier: Apache-2.0
#include "agent/load/checks.h"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <sstream>

#include "agent/load/kernel_btf.h"
#include "agent/sense/files.h"

namespace fs = std::filesystem;

namespace tactus::load {
namespace {

using sense::read_integer;
using sense::read_line;
using sense::read_text;

constexpr unsigned k_cap_sys_admin = 21, k_cap_perfmon = 38, k_cap_bpf = 39;

std::string kernel_release(const host& where) {
  return read_line(where.root / "proc/sys/kernel/osrelease").value_or("unknown");
}

check passed(const char* id, std::string fact) { return {id, verdict::ok, std::move(fact), "", "", exit_code::ok}; }

check failed(const char* id, exit_code code, std::string fact, std::string consequence, std::string command) {
  return {id, verdict::failure, std::move(fact), std::move(consequence), std::move(command), code};
}

check warned(const char* id, std::string fact, std::string consequence, std::string command) {
  return {id, verdict::warning, std::move(fact), std::move(consequence), std::move(command), exit_code::ok};
}

// The type of the file system that holds `path`, from the mount table: the longest mount point wins,
// and of equal ones the last.
std::string file_system_of(const host& where, const fs::path& path) {
  std::istringstream mounts(read_text(where.root / "proc/self/mounts").value_or(""));
  std::string line, best_type;
  std::size_t best = 0;
  const std::string wanted = path.lexically_normal().string();
  while (std::getline(mounts, line)) {
    std::istringstream fields(line);
    std::string device, point, type;
    if (!(fields >> device >> point >> type)) continue;
    const bool inside = wanted.compare(0, point.size(), point) == 0 &&
                        (point == "/" || wanted.size() == point.size() || wanted[point.size()] == '/');
    if (inside && point.size() >= best) {
      best = point.size();
      best_type = type;
    }
  }
  return best_type;
}

check check_user(const host&) {
  const char id[] = "user";
  if (!getpwnam("tactus"))
    return warned(id, "there is no user 'tactus'", "the agent has to run as another user; pins go to root alone",
                  "sudo useradd --system --no-create-home --shell /usr/sbin/nologin tactus");
  if (!getgrnam("tactus"))
    return warned(id, "there is no group 'tactus'", "pins are made for root alone, the agent cannot open them",
                  "sudo groupadd --system tactus");
  return passed(id, "user and group 'tactus' exist");
}

check check_clock(const host& where) {
  const auto clock = read_line(where.root / "sys/devices/system/clocksource/clocksource0/current_clocksource");
  if (clock == "tsc" || clock == "arch_sys_counter")
    return passed("clock", fmt::format("clock source {}: pools time their tasks by the counter", *clock));
  return warned("clock", fmt::format("clock source is {}", clock.value_or("unknown")),
                "pools cannot use the CPU's counter: run times are read with a system call, or are absent",
                "cat /sys/devices/system/clocksource/clocksource0/available_clocksource");
}

check check_pressure(const host& where) {
  if (read_text(where.root / "proc/pressure/cpu")) return passed("pressure", "pressure stall information is on");
  return warned("pressure", "no pressure stall information (/proc/pressure/cpu)",
                "four inputs of the networks are marked absent", "boot with psi=1 on the kernel command line");
}

check check_realtime(const host& where) {
  const auto runtime = read_integer(where.root / "proc/sys/kernel/sched_rt_runtime_us");
  if (runtime && *runtime < 0)
    return warned("realtime", "real-time threads are not limited (sched_rt_runtime_us = -1)",
                  "a busy real-time thread starves every other thread of its CPU; the kernel then ejects the scheduler",
                  "sudo sysctl kernel.sched_rt_runtime_us=950000");
  return passed("realtime", "real-time threads leave room for others");
}

check check_pins(const host& where) {
  std::error_code error;
  const bool link = fs::exists(where.pins / "tactus_link", error);
  const scheduler_state now = read_scheduler_state(where);
  if (now.running() && link) return passed("loaded", fmt::format("the scheduler {} is loaded", now.name));
  if (now.running())
    return warned("loaded", fmt::format("a scheduler {} runs, but not from {}", now.name, where.pins.string()),
                  "it ends with the program that loaded it, or is pinned elsewhere", "tactus status");
  if (link)
    return warned("loaded", fmt::format("the scheduler was loaded and has left (a stale link in {})", where.pins.string()),
                  "threads run on the kernel's own scheduler", "tactus status && sudo tactus load");
  return warned("loaded", "the scheduler is not loaded", "threads run on the kernel's own scheduler", "sudo tactus load");
}

check check_agent(const host& where) {
  std::error_code error;
  const fs::path socket = where.run / "agent.sock";
  if (fs::exists(socket, error)) return passed("agent", fmt::format("the agent's socket {} is there", socket.string()));
  return warned("agent", fmt::format("no agent socket {}", socket.string()),
                "pools run unmanaged, with the library's own selection", "sudo systemctl start tactusd");
}

}  // namespace

bool scheduler_state::ours() const {
  static constexpr char k_name[] = "tactus";
  const std::size_t n = std::strlen(k_name);
  return name.compare(0, n, k_name) == 0 && (name.size() == n || !std::isalnum(static_cast<unsigned char>(name[n])));
}

bool scheduler_state::running() const { return state == "enabled" && ours(); }

scheduler_state read_scheduler_state(const host& where) {
  const fs::path dir = where.root / "sys/kernel/sched_ext";
  scheduler_state s;
  s.state = read_line(dir / "state").value_or("");
  s.name = read_line(dir / "root/ops").value_or("");
  s.hotplug_seq = read_line(dir / "hotplug_seq").value_or("");
  s.whole_system = read_line(dir / "switch_all").value_or("0") == "1";
  return s;
}

check check_sched_ext(const host& where) {
  const char id[] = "sched_ext";
  const scheduler_state now = read_scheduler_state(where);
  if (!now.state.empty())
    return passed(id, fmt::format("kernel {} has sched_ext (state: {})", kernel_release(where), now.state));
  return failed(id, exit_code::no_sched_ext,
                fmt::format("kernel {} has no sched_ext (CONFIG_SCHED_CLASS_EXT)", kernel_release(where)),
                "the scheduler cannot be loaded; pools run with the library's own selection",
                "boot a kernel >= 6.16 built with CONFIG_SCHED_CLASS_EXT=y, or try one in a VM: make demo");
}

check check_btf(const host& where) {
  const char id[] = "btf";
  const fs::path file = where.root / "sys/kernel/btf/vmlinux";
  if (access(file.c_str(), F_OK))
    return failed(id, exit_code::no_btf, fmt::format("the kernel has no type information ({})", file.string()),
                  "no BPF scheduler can be loaded", "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y");
  const kernel_btf types = read_kernel_btf(file);
  if (!types.error.empty())
    return failed(id, exit_code::no_btf, fmt::format("{} cannot be read ({})", file.string(), types.error),
                  "no BPF scheduler can be loaded", fmt::format("ls -l {}; and run as root", file.string()));
  if (types.has_sched_ext && !types.wide_enums)
    return failed(id, exit_code::broken_btf, "the kernel's type information truncates 64-bit enumerators",
                  "queue ids would be wrong", "use a kernel built with pahole >= 1.24 (without --skip_encoding_btf_enum64)");
  return passed(id, fmt::format("type information of {} types", types.nr_types));
}

check check_kernel_api(const host& where) {
  const char id[] = "kernel_api";
  const kernel_btf types = read_kernel_btf(where.root / "sys/kernel/btf/vmlinux");
  if (!types.error.empty())
    return failed(id, exit_code::no_btf, "the kernel's functions are not known without type information",
                  "no BPF scheduler can be loaded", "tactus doctor");
  if (!types.hidden_argument.empty())
    return failed(id, exit_code::broken_btf,
                  fmt::format("the kernel's type information shows the hidden argument of {}", types.hidden_argument),
                  "every sched_ext scheduler fails with 'func_proto incompatible with vmlinux'",
                  "use a kernel built with pahole >= 1.31, or your distribution's fixed build");
  if (!types.missing.empty())
    return failed(id, exit_code::object_rejected,
                  fmt::format("the kernel lacks {}", fmt::join(types.missing, ", ")),
                  "the scheduler object will be rejected", "boot a kernel >= 6.16");
  return passed(id, "all kernel functions that the scheduler needs are there");
}

check check_bpffs(const host& where) {
  const char id[] = "bpffs";
  const std::string type = file_system_of(where, where.pins);
  if (type == "bpf") return passed(id, fmt::format("{} is in a bpf file system", where.pins.string()));
  return failed(id, exit_code::no_bpffs,
                fmt::format("{} is not in a bpf file system ({})", where.pins.string(), type.empty() ? "not mounted" : type),
                "the scheduler could not outlive its loader",
                fmt::format("sudo mount -t bpf bpf {}", where.pins.parent_path().string()));
}

check check_rights(const host& where) {
  const char id[] = "rights";
  std::istringstream status(read_text(where.root / "proc/self/status").value_or(""));
  std::string line;
  unsigned long long caps = 0;
  while (std::getline(status, line))
    if (line.compare(0, 7, "CapEff:") == 0) caps = std::strtoull(line.c_str() + 7, nullptr, 16);
  const auto has = [&](unsigned cap) { return (caps >> cap & 1) != 0; };
  if ((has(k_cap_bpf) && has(k_cap_perfmon)) || has(k_cap_sys_admin))
    return passed(id, "CAP_BPF and CAP_PERFMON are held");
  return failed(id, exit_code::no_rights,
                fmt::format("no right to load BPF programs (missing {})",
                            !has(k_cap_bpf) && !has(k_cap_perfmon) ? "CAP_BPF and CAP_PERFMON"
                            : has(k_cap_bpf)                       ? "CAP_PERFMON"
                                                                   : "CAP_BPF"),
                "the scheduler cannot be loaded from here", "sudo tactus load");
}

check check_other_scheduler(const host& where) {
  const char id[] = "other_scheduler";
  const scheduler_state now = read_scheduler_state(where);
  if (now.state.empty() || now.state == "disabled") return passed(id, "no other sched_ext scheduler is loaded");
  if (now.ours()) return passed(id, fmt::format("the loaded scheduler is ours ({})", now.name));
  return failed(id, exit_code::other_scheduler,
                fmt::format("another sched_ext scheduler is loaded: {} ({})", now.name.empty() ? "unnamed" : now.name, now.state),
                "only one can be loaded at a time",
                "stop it (its own program or service, for example: sudo systemctl stop scx), then: sudo tactus load");
}

check check_cpus(const host& where) {
  const char id[] = "cpus";
  const auto possible = read_line(where.root / "sys/devices/system/cpu/possible");
  if (!possible) return warned(id, "the number of CPUs cannot be read", "the topology may be wrong", "ls /sys/devices/system/cpu");
  const auto ids = sense::parse_cpu_list(*possible, 1u << 16);
  const unsigned highest = ids.empty() ? 0 : ids.back();
  if (highest >= TACTUS_MAX_CPUS)
    return failed(id, exit_code::machine_too_big, fmt::format("CPU ids go up to {}", highest),
                  fmt::format("this build knows {} CPUs", static_cast<int>(TACTUS_MAX_CPUS)),
                  fmt::format("boot with nr_cpus={}", static_cast<int>(TACTUS_MAX_CPUS)));
  return passed(id, fmt::format("{} possible CPUs", ids.size()));
}

std::vector<check> required_checks(const host& where) {
  return {check_sched_ext(where), check_btf(where),       check_kernel_api(where), check_rights(where),
          check_bpffs(where),     check_cpus(where),      check_other_scheduler(where)};
}

std::vector<check> advisory_checks(const host& where) {
  return {check_pins(where),     check_agent(where), check_user(where),
          check_clock(where), check_pressure(where), check_realtime(where)};
}

void require(const std::vector<check>& checks) {
  for (const check& c : checks)
    if (c.result == verdict::failure) throw load_error(c.code, c.fact + ": " + c.consequence, "next: " + c.command);
}

}  // namespace tactus::load
