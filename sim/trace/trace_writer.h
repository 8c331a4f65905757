// SPDX-License-Identifier: Apache-2.0
// Writes every call of the scheduler's ops as a line of JSON, with all that the scheduler was told:
// enough to repeat its choices. docs/simulator.md has the format.
// A trace starts when the scheduler starts; the state before it cannot be written.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "sim/engine/simulation.h"

namespace tactus::sim {

class trace_writer final : public op_sink {
 public:
  using line_sink = std::function<void(const std::string&)>;  // one line, with its end
  // REQUIRES: the simulation has not run, its policy is attached. about goes into the first line.
  trace_writer(const simulation& s, line_sink out, const std::string& about);

  void begin(const scheduler& s, op_record::kind op, const kernel_thread* p) override;
  void end(const scheduler& s, const op_record& r) override;
  void drew(std::uint32_t random) override;

 private:
  void write_topology(const scheduler& s);
  void write_rows(const scheduler& s);
  void write_thread(const kernel_thread& p);
  void write_page(const kernel_thread& p);

  const simulation& simulation_;
  line_sink out_;
  std::unordered_set<std::uint32_t> seen_;
  std::unordered_map<std::uint32_t, std::uint64_t> page_tags_;  // by tid: as written last
  fmt::memory_buffer idle_, drawn_;
  std::uint64_t tag_ = 0, heartbeat_ns_ = 0;
  std::uint32_t rows_version_ = ~0u, rows_bank_ = ~0u;
};

// Names of ops as traces have them.
const char* op_name(op_record::kind op);

}  // namespace tactus::sim
