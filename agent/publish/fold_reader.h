// SPDX-License-Identifier: Apache-2.0
//
// Reads, from the pages of the pools, what no longer fitted their rings: cumulative counts per
// class, of which differences go to the statistics. The pages are the pools' and hostile: sums are
// differences modulo their width, implausible ones are dropped. One thread (the publisher's).
#pragma once

#include "agent/publish/class_stats.h"
#include "agent/serve/pool_table.h"

#include <cstdint>
#include <map>
#include <vector>

namespace tactus::agent {

class fold_reader {
 public:
  // Takes what came since the last call; returns how many tasks.
  std::uint64_t read(const pool_table& pools, const tick_clock& clock, class_stats& stats, std::uint64_t now);

 private:
  struct last_fold {
    std::uint64_t run_units = 0;
    std::uint32_t count = 0, missed = 0;
  };
  struct pool_folds {
    std::uint64_t registered_ns = 0;
    std::vector<last_fold> folds;  // workers x classes
  };
  std::map<std::uint32_t, pool_folds> pools_;
};

}  // namespace tactus::agent
