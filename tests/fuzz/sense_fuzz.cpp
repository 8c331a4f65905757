// SPDX-License-Identifier: Apache-2.0
//
// Machine state: the bytes are a text for each parser of agent/sense, and the numbers of a raw state
// for encode(). Whatever they are, no parser gives a number that is none, and encode() stays in [0,1].
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "agent/sense/files.h"
#include "agent/sense/parse.h"
#include "words.h"

using namespace tactus::sense;

const std::vector<std::string> &fuzz_words() {
  static const std::vector<std::string> words = {
      "cpu0 1 2 3 4 5 6 7 8\n", "cpu1023 ", "cpu1024 ", "cpu ", " ", "\n", "-1", "nan", "inf", "1e308", "18446744073709551616",
      "some avg10=", "full avg10=", "avg60=", "12.50 ", "MemTotal: ", "MemAvailable: ", "SwapTotal: ", "SwapFree: ",
      "local_node ", "other_node ", "0-", ",", "4294967295", "0", "100 kB\n"};
  return words;
}

namespace {

void require(bool holds, const char *what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

void check(const tactus::learn::machine_state &s) {
  for (unsigned i = 0; i < k_nr_state; ++i) {
    require(std::isfinite(s.value[i]) && s.value[i] >= 0 && s.value[i] <= 1, state_name(i));
    require((s.present >> i & 1) || s.value[i] == 0, state_name(i));
  }
}

// Numbers of any bit pattern, in turn; 0 at the end.
class bytes {
 public:
  bytes(const std::uint8_t *data, std::size_t size) : at_(data), left_(size) {}
  double number() {
    double value = 0;
    const std::size_t n = left_ < sizeof(value) ? left_ : sizeof(value);
    std::memcpy(&value, at_, n);
    at_ += n;
    left_ -= n;
    return value;
  }

 private:
  const std::uint8_t *at_;
  std::size_t left_;
};

raw_state raw_of(bytes in) {
  raw_state raw;
  for (int i = 0; i < 3; ++i) {
    cpu_shares c;
    c.present = true;
    c.busy = in.number();
    c.interrupt = in.number();
    c.steal = in.number();
    c.node = i - 1;
    raw.cpus.push_back(c);
  }
  raw.frequency_ratio = {in.number()};
  raw.managed_share = in.number();
  raw.memory_pressure = memory_pressure_info{{in.number(), 0, 0, in.number(), 0, 0}, 9, false};
  raw.temperature_c = in.number();
  raw.critical_temperature_c = in.number();
  raw.load_average = in.number();
  raw.waiting_workers = in.number();
  raw.l1_miss_rate = in.number();
  raw.numa_remote = in.number();
  return raw;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char *>(data), size);
  raw_state raw;
  const auto cpus = parse_stat(text);
  for (std::size_t i = 0; i < cpus.size(); ++i) raw.cpus.push_back(shares_between({}, cpus[i]));
  raw.cpu_pressure = raw.io_pressure = parse_pressure(text);
  if (raw.cpu_pressure) raw.memory_pressure = memory_pressure_info{*raw.cpu_pressure, memory_level(*raw.cpu_pressure), true};
  const memory_use memory = parse_meminfo(text);
  for (const auto &share : {memory.memory, memory.swap}) require(!share || (*share >= 0 && *share <= 1), "meminfo");
  raw.memory_used = memory.memory;
  raw.swap_used = memory.swap;
  if (const auto counts = parse_numastat(text)) require(counts->local >= 0 && std::isfinite(counts->other), "numastat");
  if (const auto number = parse_number(text)) require(std::isfinite(*number), "number");
  for (unsigned cpu : parse_cpu_list(text, 1024)) require(cpu < 1024, "CPU list");
  check(encode(raw));
  check(encode(raw_of({data, size})));
  return 0;
}
