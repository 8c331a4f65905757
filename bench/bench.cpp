// SPDX-License-Identifier: Apache-2.0
#include "bench.h"

#include <fmt/format.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace tactus::bench {
namespace {

std::vector<const registration*>& all() {
  static std::vector<const registration*> list;
  return list;
}

const std::int64_t started_ns = now_ns();

}  // namespace

std::int64_t now_ns() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1'000'000'000LL + t.tv_nsec;
}

double elapsed_s() { return static_cast<double>(now_ns() - started_ns) * 1e-9; }

void progress(const std::string& what) {
  static const bool terminal = isatty(STDERR_FILENO) != 0;
  static std::int64_t last_ns = now_ns();  // nothing is said of what ends at once
  const std::int64_t now = now_ns();
  // An empty text ends the line.
  if (what.empty()) {
    if (terminal) fmt::print(stderr, "\r\033[K");
    return;
  }
  if (now - last_ns < (terminal ? 200'000'000 : 2'000'000'000)) return;
  last_ns = now;
  if (terminal) fmt::print(stderr, "\r\033[Ktactus-bench: {}", what);
  else fmt::print(stderr, "tactus-bench: {}\n", what);
}

row interleave(const settings& set, std::string name, std::string unit, std::vector<arm> arms, unsigned reps) {
  row out;
  out.name = std::move(name);
  out.unit = std::move(unit);
  std::vector<std::vector<double>> samples(arms.size());
  for (const arm& a : arms) {
    progress(fmt::format("{}: warming up {}", out.name, a.name));
    a.measure();
  }
  std::mt19937_64 random(set.seed);
  std::vector<std::size_t> order(arms.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  for (unsigned r = 0; r < reps; ++r) {
    if (set.budget_s > 0 && r >= k_least_reps && elapsed_s() > set.budget_s) break;
    // Not std::shuffle: its order differs between standard libraries.
    for (std::size_t i = order.size() - 1; i > 0; --i) std::swap(order[i], order[random() % (i + 1)]);
    for (const std::size_t i : order) {
      progress(fmt::format("{}: {} {}/{}", out.name, arms[i].name, r + 1, reps));
      samples[i].push_back(arms[i].measure());
    }
  }
  bool ours = false;
  for (std::size_t i = 0; i < arms.size(); ++i) {
    if (arms[i].name == "tactus") {
      out.tactus = std::move(samples[i]);
      ours = true;
    } else {
      out.peers.emplace_back(arms[i].name, std::move(samples[i]));
    }
  }
  if (!ours) throw std::logic_error("row '" + out.name + "' has no arm 'tactus'");
  return out;
}

registration::registration(const char* name, const char* what, function run, bool in_all)
    : name(name), what(what), run(run), in_all(in_all) {
  auto& list = all();
  list.insert(std::upper_bound(list.begin(), list.end(), this,
                               [](const registration* a, const registration* b) {
                                 return std::strcmp(a->name, b->name) < 0;
                               }),
              this);
}

const std::vector<const registration*>& registered() { return all(); }

}  // namespace tactus::bench
