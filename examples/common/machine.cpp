// SPDX-License-Identifier: Apache-2.0
#include "machine.h"

#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>

namespace tactus::examples {
namespace {

std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line)) {
    if (line.rfind("model name", 0) != 0) continue;
    const auto colon = line.find(':');
    if (colon != std::string::npos && colon + 2 <= line.size()) return line.substr(colon + 2);
  }
  return "unknown";
}

const char* compiler() {
#if defined(__clang__)
  return "clang " __clang_version__;
#elif defined(__GNUC__)
  return "gcc " __VERSION__;
#else
  return "unknown";
#endif
}

}  // namespace

unsigned allowed_cpus() {
  // Masks grow with the machine; 8192 bits cover every kernel configuration in use.
  constexpr int k_mask_cpus = 8192;
  cpu_set_t* mask = CPU_ALLOC(k_mask_cpus);
  const size_t bytes = CPU_ALLOC_SIZE(k_mask_cpus);
  unsigned count = 1;
  if (mask != nullptr && sched_getaffinity(0, bytes, mask) == 0) {
    const int n = CPU_COUNT_S(bytes, mask);
    if (n > 0) count = static_cast<unsigned>(n);
  }
  CPU_FREE(mask);
  return count;
}

nlohmann::ordered_json describe_machine() {
  nlohmann::ordered_json out;
  const std::string model = cpu_model();
  out["cpu"] = model;
  out["cpus"] = allowed_cpus();
  // QEMU's translator names its CPU; figures from there are emulated, not measured on hardware.
  out["emulated"] = model.find("TCG") != std::string::npos;
  out["memory_mib"] = static_cast<long long>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE) >> 20;
  struct utsname name {};
  if (uname(&name) == 0) out["kernel"] = name.release;
  const std::string state = first_line("/sys/kernel/sched_ext/state");
  out["sched_ext"] = state.empty() ? "absent" : state;
  if (state == "enabled") out["scheduler"] = first_line("/sys/kernel/sched_ext/root/ops");
  out["compiler"] = compiler();
  std::istringstream load(first_line("/proc/loadavg"));
  double load_1min = 0;
  if (load >> load_1min) out["load_average_1min"] = load_1min;
  return out;
}

}  // namespace tactus::examples
