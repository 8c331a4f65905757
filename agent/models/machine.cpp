// SPDX-License-Identifier: Apache-2.0
//
// machine.h's implementation.
#include "agent/models/machine.h"

#include "agent/sense/files.h"

#include <sstream>
#include <string>

namespace tactus::agent {
namespace {

// FNV-1a.
std::uint64_t hash_of(const std::string& text) {
  std::uint64_t hash = 0xcbf29ce484222325ull;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  return hash;
}

// The lines of the first CPU that say what it is: no clock rates, which change as one reads.
std::string cpu_model(const std::string& cpuinfo) {
  std::istringstream lines(cpuinfo);
  std::string out;
  for (std::string line; std::getline(lines, line) && !line.empty();) {
    for (const char* key : {"vendor_id", "cpu family", "model", "stepping", "CPU implementer", "CPU variant", "CPU part"}) {
      if (line.rfind(key, 0) == 0) out += line + "\n";
    }
  }
  return out;
}

}  // namespace

std::uint64_t machine_fingerprint(const std::filesystem::path& root) {
  std::string text = cpu_model(sense::read_text(root / "proc/cpuinfo").value_or(""));
  const auto cpus = root / "sys/devices/system/cpu";
  text += "cpus " + sense::read_line(cpus / "present").value_or("") + "\n";
  text += "nodes " + sense::read_line(root / "sys/devices/system/node/possible").value_or("") + "\n";
  for (const auto& cache : sense::numbered_entries(cpus / "cpu0/cache", "index")) {
    text += "cache " + sense::read_line(cache / "level").value_or("") + " " + sense::read_line(cache / "size").value_or("") + "\n";
  }
  const std::uint64_t hash = hash_of(text);
  return hash != 0 ? hash : 1;
}

}  // namespace tactus::agent
