// SPDX-License-Identifier: Apache-2.0
#include "bpf_statistics.h"

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <system_error>

namespace tactus::bench {
namespace {

int bpf(bpf_cmd command, bpf_attr& attr) {
  return static_cast<int>(syscall(SYS_bpf, command, &attr, sizeof attr));
}

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

// CPUs that may ever exist: what a per-CPU map has values for. "0-3" or "0".
unsigned possible_cpus() {
  std::ifstream file("/sys/devices/system/cpu/possible");
  std::string text;
  std::getline(file, text);
  const auto last = text.find_last_of("-,");
  return static_cast<unsigned>(std::stoul(last == std::string::npos ? text : text.substr(last + 1))) + 1;
}

class descriptor {
 public:
  explicit descriptor(int fd) : fd_(fd) {}
  ~descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

bpf_statistics_on::bpf_statistics_on() {
  bpf_attr attr{};
  attr.enable_stats.type = BPF_STATS_RUN_TIME;
  fd_ = bpf(BPF_ENABLE_STATS, attr);
  if (fd_ < 0) fail("turning on BPF run-time statistics (needs root)");
}

bpf_statistics_on::~bpf_statistics_on() { close(fd_); }

std::vector<program_statistics> loaded_programs() {
  std::vector<program_statistics> out;
  bpf_attr attr{};
  while (bpf(BPF_PROG_GET_NEXT_ID, attr) == 0) {
    const std::uint32_t id = attr.next_id;
    bpf_attr open{};
    open.prog_id = id;
    const descriptor program(bpf(BPF_PROG_GET_FD_BY_ID, open));
    if (program.get() >= 0) {
      bpf_prog_info info{};
      bpf_attr ask{};
      ask.info.bpf_fd = static_cast<__u32>(program.get());
      ask.info.info_len = sizeof info;
      ask.info.info = reinterpret_cast<__u64>(&info);
      if (bpf(BPF_OBJ_GET_INFO_BY_FD, ask) != 0) fail("reading a BPF program's statistics");
      out.push_back({id, std::string(info.name, strnlen(info.name, sizeof info.name)), info.run_time_ns, info.run_cnt});
    } else if (errno != ENOENT) {  // it may have gone since
      fail("opening a BPF program by its id (needs root)");
    }
    attr = {};
    attr.start_id = id;
  }
  if (errno != ENOENT) fail("listing BPF programs (needs root)");
  return out;
}

tactus_stats scheduler_counters() {
  static constexpr char k_path[] = TACTUS_PIN_DIR "/tactus_stats";
  bpf_attr attr{};
  attr.pathname = reinterpret_cast<__u64>(k_path);
  const descriptor map(bpf(BPF_OBJ_GET, attr));
  if (map.get() < 0) fail(k_path);
  static_assert(sizeof(tactus_stats) % 8 == 0);
  std::vector<tactus_stats> of_cpu(possible_cpus());
  const __u32 key = 0;
  attr = {};
  attr.map_fd = static_cast<__u32>(map.get());
  attr.key = reinterpret_cast<__u64>(&key);
  attr.value = reinterpret_cast<__u64>(of_cpu.data());
  if (bpf(BPF_MAP_LOOKUP_ELEM, attr) != 0) fail("reading the scheduler's counters");
  tactus_stats sum{};
  for (const tactus_stats& one : of_cpu) {
    // All fields are 64-bit counters.
    for (std::size_t i = 0; i < sizeof sum / 8; ++i) {
      std::uint64_t a = 0, b = 0;
      std::memcpy(&a, reinterpret_cast<const char*>(&sum) + 8 * i, 8);
      std::memcpy(&b, reinterpret_cast<const char*>(&one) + 8 * i, 8);
      a += b;
      std::memcpy(reinterpret_cast<char*>(&sum) + 8 * i, &a, 8);
    }
  }
  return sum;
}

}  // namespace tactus::bench
