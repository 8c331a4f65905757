// SPDX-License-Identifier: Apache-2.0
#include "path_grid.h"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#include "random.h"

namespace tactus::frame {
namespace {

constexpr std::uint32_t k_straight = 10, k_diagonal = 14;

struct open_entry {
  std::uint32_t total;  // cost so far + estimate
  std::uint32_t cost;
  std::uint32_t cell;
};
struct later {
  bool operator()(const open_entry& a, const open_entry& b) const {
    // Of equal totals the one nearer to the goal first; then by cell, so that runs are alike.
    if (a.total != b.total) return a.total > b.total;
    if (a.cost != b.cost) return a.cost < b.cost;
    return a.cell > b.cell;
  }
};

// One thread's tables. A stamp per cell saves clearing the table for each query.
struct scratch {
  std::vector<std::uint32_t> cost, stamp;
  std::vector<open_entry> open;
  std::uint32_t now = 0;

  void start(std::size_t cells) {
    if (cost.size() != cells || now == UINT32_MAX) {
      cost.assign(cells, 0);
      stamp.assign(cells, 0);
      now = 0;
    }
    ++now;
    open.clear();
  }
};

}  // namespace

path_grid::path_grid(const config& cfg) : cfg_(cfg), wall_(std::size_t{cfg.side} * cfg.side) {
  if (cfg.side < 8 || cfg.side > 8192 || cfg.queries == 0)
    throw std::invalid_argument("path: the grid's side must be 8 to 8192 and there must be a query");
  random_source random(cfg.seed);
  const unsigned side = cfg.side;
  // Walls of a quarter to a half of the side, each with two gaps, so that regions stay connected.
  const unsigned walls = side / 4;
  for (unsigned w = 0; w < walls; ++w) {
    const unsigned length = side / 4 + random.below(side / 4);
    const unsigned across = random.below(side), start = random.below(side - length);
    const bool upright = random.below(2) != 0;
    const unsigned gap1 = random.below(length), gap2 = random.below(length);
    for (unsigned i = 0; i < length; ++i) {
      if (i == gap1 || i == gap2) continue;
      const unsigned x = upright ? across : start + i, y = upright ? start + i : across;
      wall_[y * side + x] = 1;
    }
  }
  const std::vector<std::uint32_t> region = largest_region();
  const auto n = static_cast<std::uint32_t>(region.size());
  while (queries_.size() < cfg.queries) {
    // Of eight candidates the farthest apart: queries of like size, none trivial.
    query best{};
    int best_distance = -1;
    for (int i = 0; i < 8; ++i) {
      const query q{region[random.below(n)], region[random.below(n)]};
      const int distance = std::abs(static_cast<int>(q.from % side) - static_cast<int>(q.to % side)) +
                           std::abs(static_cast<int>(q.from / side) - static_cast<int>(q.to / side));
      if (distance > best_distance) {
        best = q;
        best_distance = distance;
      }
    }
    queries_.push_back(best);
  }
}

std::vector<std::uint32_t> path_grid::largest_region() const {
  std::vector<std::uint8_t> seen(wall_);
  std::vector<std::uint32_t> best;
  for (std::uint32_t first = 0; first < wall_.size(); ++first) {
    if (seen[first]) continue;
    std::vector<std::uint32_t> region{first};
    seen[first] = 1;
    for (std::size_t i = 0; i < region.size(); ++i) {
      const std::uint32_t cell = region[i], x = cell % cfg_.side, y = cell / cfg_.side;
      const auto visit = [&](std::uint32_t next) {
        if (!seen[next]) {
          seen[next] = 1;
          region.push_back(next);
        }
      };
      if (x > 0) visit(cell - 1);
      if (x + 1 < cfg_.side) visit(cell + 1);
      if (y > 0) visit(cell - cfg_.side);
      if (y + 1 < cfg_.side) visit(cell + cfg_.side);
    }
    if (region.size() > best.size()) best = std::move(region);
  }
  return best;
}

template <class Estimate>
std::uint32_t path_grid::search(query q, Estimate estimate) const {
  thread_local scratch work;
  work.start(wall_.size());
  const int side = static_cast<int>(cfg_.side);
  const auto reach = [&](std::uint32_t cell, std::uint32_t cost) {
    if (work.stamp[cell] == work.now && work.cost[cell] <= cost) return;
    work.stamp[cell] = work.now;
    work.cost[cell] = cost;
    work.open.push_back({cost + estimate(cell), cost, cell});
    std::push_heap(work.open.begin(), work.open.end(), later{});
  };
  reach(q.from, 0);
  while (!work.open.empty()) {
    std::pop_heap(work.open.begin(), work.open.end(), later{});
    const open_entry top = work.open.back();
    work.open.pop_back();
    if (top.cost != work.cost[top.cell]) continue;  // a cheaper way was found meanwhile
    if (top.cell == q.to) return top.cost;
    const int x = static_cast<int>(top.cell) % side, y = static_cast<int>(top.cell) / side;
    const auto free = [&](int fx, int fy) {
      return fx >= 0 && fy >= 0 && fx < side && fy < side &&
             !wall_[static_cast<std::size_t>(fy * side + fx)];
    };
    for (int dy = -1; dy <= 1; ++dy)
      for (int dx = -1; dx <= 1; ++dx) {
        if ((dx == 0 && dy == 0) || !free(x + dx, y + dy)) continue;
        const bool diagonal = dx != 0 && dy != 0;
        if (diagonal && (!free(x + dx, y) || !free(x, y + dy))) continue;
        reach(static_cast<std::uint32_t>((y + dy) * side + x + dx),
              top.cost + (diagonal ? k_diagonal : k_straight));
      }
  }
  return k_unreachable;
}

std::uint32_t path_grid::find(std::uint64_t i) const {
  const query q = at(i);
  const int side = static_cast<int>(cfg_.side);
  const int goal_x = static_cast<int>(q.to) % side, goal_y = static_cast<int>(q.to) / side;
  return search(q, [=](std::uint32_t cell) {
    const int dx = std::abs(static_cast<int>(cell) % side - goal_x);
    const int dy = std::abs(static_cast<int>(cell) / side - goal_y);
    const int longer = std::max(dx, dy), shorter = std::min(dx, dy);
    return static_cast<std::uint32_t>(longer - shorter) * k_straight +
           static_cast<std::uint32_t>(shorter) * k_diagonal;
  });
}

std::uint32_t path_grid::find_dijkstra(std::uint64_t i) const {
  return search(at(i), [](std::uint32_t) { return 0u; });
}

}  // namespace tactus::frame
