// SPDX-License-Identifier: Apache-2.0
//
// Times in which a CPU of the VM stood still since the host ran something else. The guest's clocks
// charge that time to the thread that had the CPU; no scheduler can do anything about it.
//
// A real-time thread on each CPU should run every 4 ms; by how much it comes late is such a time.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "support.h"

namespace tactus::vmtest {

struct span {
  std::uint64_t begin, end;  // ns, as now_ns()
};

// Measures as long as it lives. Any thread may ask.
class stall_meter {
 public:
  // Stalls of less than `shortest_ns` are not kept.
  explicit stall_meter(std::uint64_t shortest_ns);
  // How much of a span any CPU stood still, ns.
  std::uint64_t inside(const span& s) const;

 private:
  mutable std::mutex mutex_;
  std::vector<span> stalls_;
  std::vector<std::unique_ptr<looping_thread>> threads_;
};

}  // namespace tactus::vmtest
