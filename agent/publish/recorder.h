// SPDX-License-Identifier: Apache-2.0
//
// A recording for `tactus record`: the events that the reader takes out of the rings anyway and every
// version of the rows, as lines of a trace (agent/trace/lines.h). Nothing is taken away from learning.
// Lines wait in a buffer of bounded size for whoever asks for them; what does not fit is counted and
// said in the trace. A recording that nobody asks for ends by itself.
//
// Thread-safety: all calls from any thread; off, an event costs one relaxed load.
#pragma once

#include "agent/publish/scheduler_maps.h"

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>

namespace tactus::agent {

class recorder {
 public:
  static constexpr std::size_t k_buffer_bytes = 8 << 20;
  static constexpr std::uint64_t k_patience_ns = 5'000'000'000;  // nobody has asked for so long: it ends

  // Begins with the topology, the pools and the rows in force; events from before are left out. One
  // recording at a time: false when there is one.
  bool start(scheduler_maps& maps, std::uint64_t now_ns);
  void stop();
  bool running() const { return running_.load(std::memory_order_relaxed); }

  // From the reader: one ring record.
  void event(const void* event, std::size_t bytes);
  // From the publisher, after the bank was flipped: what is in force now.
  void flipped(scheduler_maps& maps);
  // The next bytes of the trace, at most so many, perhaps in the middle of a line.
  std::string take(std::size_t most, std::uint64_t now_ns);

 private:
  void add_rows(scheduler_maps& maps, std::uint64_t now_ns);
  void add(const std::string& line, bool is_event);

  std::atomic<bool> running_{false};
  std::mutex mutex_;
  std::string buffer_;
  std::uint64_t lost_ = 0, started_ns_ = 0, asked_ns_ = 0;
};

}  // namespace tactus::agent
