// SPDX-License-Identifier: Apache-2.0
//
// Pressure (PSI) of CPU, memory and I/O, and how much memory is used: of the
// cgroup where it has the files, else of the machine.
#include "agent/sense/files.h"
#include "agent/sense/parse.h"
#include "agent/sense/provider.h"

namespace fs = std::filesystem;

namespace tactus::sense {
namespace {

class pressures final : public provider {
 public:
  explicit pressures(const sampler_options &options) : root_(options.root) {
    const fs::path cgroups = root_ / "sys/fs/cgroup";
    std::error_code error;
    if (!options.cgroup.empty())
      group_ = cgroups / fs::path(options.cgroup).relative_path();
    else if (fs::exists(cgroups / "cpu.pressure", error))  // only in a container's namespace root
      group_ = cgroups;
  }

  const char *name() const override { return "/proc/pressure, /proc/meminfo, or of the cgroup"; }
  std::vector<field> fields() const override { return {field::memory_pressure}; }

  void sample(const sample_input &, raw_state &raw) override {
    bool from_cgroup = false;
    raw.cpu_pressure = read("cpu", &from_cgroup);
    raw.io_pressure = read("io", &from_cgroup);
    raw.memory_pressure.reset();
    if (const auto memory = read("memory", &from_cgroup))
      raw.memory_pressure = memory_pressure_info{*memory, memory_level(*memory), from_cgroup};

    const memory_use machine = parse_meminfo(read_text(root_ / "proc/meminfo").value_or(""));
    const auto first = [](std::optional<double> a, std::optional<double> b) { return a ? a : b; };
    raw.memory_used = first(used_of_group("memory.current", "memory.max"), machine.memory);
    raw.swap_used = first(used_of_group("memory.swap.current", "memory.swap.max"), machine.swap);
  }

 private:
  std::optional<pressure> read(const char *what, bool *from_cgroup) const {
    *from_cgroup = false;
    if (!group_.empty())
      if (const auto text = read_text(group_ / (std::string(what) + ".pressure")))
        if (const auto p = parse_pressure(*text)) {
          *from_cgroup = true;
          return p;
        }
    const auto text = read_text(root_ / "proc/pressure" / what);
    return text ? parse_pressure(*text) : std::nullopt;
  }

  // A group without a limit of its own ("max") uses the machine's memory.
  std::optional<double> used_of_group(const char *current, const char *limit) const {
    if (group_.empty()) return std::nullopt;
    const auto used = read_integer(group_ / current), most = read_integer(group_ / limit);
    if (!used || !most || *used < 0 || *most <= 0) return std::nullopt;
    return static_cast<double>(*used) / static_cast<double>(*most);
  }

  fs::path root_, group_;  // group_ is empty: the machine's only
};

}  // namespace

std::unique_ptr<provider> make_pressure(const sampler_options &options) { return std::make_unique<pressures>(options); }

}  // namespace tactus::sense
