// SPDX-License-Identifier: Apache-2.0
// The path-finding task of the frame example: A* over a generated grid with walls.
//
// Grid: square, walls with gaps, eight neighbours, a straight step costs 10, a diagonal one 14 and
// may not cut a wall's corner. The estimate (octile distance) is consistent, so A* is exact; a test
// holds it against Dijkstra. Queries are pairs of cells that are connected and far apart.
// Relies on: nothing but the standard library. Does not: smooth paths, move anybody.
#pragma once

#include <cstdint>
#include <vector>

namespace tactus::frame {

// Thread-safety: const members may be called from any number of threads at once.
class path_grid {
 public:
  struct config {
    unsigned side = 80;     // cells along one edge, >= 8
    unsigned queries = 32;  // distinct queries
    std::uint64_t seed = 1;
  };
  struct query {
    std::uint32_t from, to;  // cell = y * side + x
  };

  explicit path_grid(const config& cfg);

  // Cost of the cheapest path of query number i modulo the number of queries, by A*.
  std::uint32_t find(std::uint64_t i) const;
  // The same by Dijkstra's algorithm, with no estimate: for tests.
  std::uint32_t find_dijkstra(std::uint64_t i) const;

  unsigned queries() const { return static_cast<unsigned>(queries_.size()); }
  unsigned side() const { return cfg_.side; }
  bool wall(unsigned x, unsigned y) const { return wall_[y * cfg_.side + x] != 0; }
  query at(std::uint64_t i) const { return queries_[i % queries_.size()]; }

  static constexpr std::uint32_t k_unreachable = UINT32_MAX;

 private:
  template <class Estimate>
  std::uint32_t search(query q, Estimate estimate) const;
  std::vector<std::uint32_t> largest_region() const;

  config cfg_;
  std::vector<std::uint8_t> wall_;
  std::vector<query> queries_;
};

}  // namespace tactus::frame
