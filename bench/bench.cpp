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
  std::vector<arm_of_many> wrapped;
  for (arm& a : arms)
    wrapped.push_back({a.name, [measure = std::move(a.measure)] { return std::vector<double>{measure()}; }});
  return std::move(interleave(set, {{std::move(name), std::move(unit), {}}}, wrapped, reps).front());
}

std::vector<row> interleave(const settings& set, const std::vector<metric>& metrics,
                            const std::vector<arm_of_many>& arms, unsigned reps) {
  const std::string& title = metrics.front().name;
  std::vector<row> out;
  for (const metric& m : metrics) {
    row& r = out.emplace_back();
    r.name = m.name;
    r.unit = m.unit;
    r.target = m.target;
  }
  // samples[arm][metric]
  std::vector<std::vector<std::vector<double>>> samples(arms.size(), std::vector<std::vector<double>>(metrics.size()));
  for (const arm_of_many& a : arms) {
    progress(fmt::format("{}: warming up {}", title, a.name));
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
      progress(fmt::format("{}: {} {}/{}", title, arms[i].name, r + 1, reps));
      const std::vector<double> figures = arms[i].measure();
      if (figures.size() != metrics.size()) throw std::logic_error("arm '" + arms[i].name + "' of '" + title + "': wrong number of figures");
      for (std::size_t m = 0; m < metrics.size(); ++m) samples[i][m].push_back(figures[m]);
    }
  }
  bool ours = false;
  for (std::size_t i = 0; i < arms.size(); ++i)
    for (std::size_t m = 0; m < metrics.size(); ++m) {
      if (arms[i].name == "tactus") {
        out[m].tactus = std::move(samples[i][m]);
        ours = true;
      } else {
        out[m].peers.emplace_back(arms[i].name, std::move(samples[i][m]));
      }
    }
  if (!ours) throw std::logic_error("row '" + title + "' has no arm 'tactus'");
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
