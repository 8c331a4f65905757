// SPDX-License-Identifier: Apache-2.0
// The frame that all sub-benchmarks of tactus-bench share: settings, rows, interleaved arms, registry.
//
// A sub-benchmark is one file bench/NAME_bench.cpp that defines a registration at namespace scope:
//   namespace { const registration tag{"tag", "what it measures", run}; }
// and returns rows. Arms of a row are measured interleaved, in a random order per repetition, so that
// drift of the machine falls on all alike. Does not: print, know JSON (report.h), judge.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace tactus::bench {

struct settings {
  bool quick = false;
  unsigned reps = 0;         // 0: the sub-benchmark's own number
  std::uint64_t seed = 1;
  double budget_s = 0;       // stop repeating after so long (never below k_least_reps); 0: no limit
  std::string only;          // rows whose name contains this; empty: all (pool only)
  // For `kernel`, which needs a machine of its own; see its --help text in kernel_bench.cpp.
  std::string scx_simple;
  std::string agent;
  double slot_s = 0;

  unsigned repetitions(unsigned usual, unsigned when_quick) const {
    return reps != 0 ? reps : quick ? when_quick : usual;
  }
  bool wants(const std::string& row) const { return row.find(only) != std::string::npos; }
};
inline constexpr unsigned k_least_reps = 5;

struct row {
  std::string name, unit;
  std::vector<double> tactus;                                       // one sample per repetition
  std::vector<std::pair<std::string, std::vector<double>>> peers;   // in the order measured
  std::optional<double> target;  // the median of tactus should not be above it
};

struct result {
  std::vector<row> rows;
  std::vector<std::string> notes;  // what a reader must know, e.g. a peer that is not installed
};

// The sub-benchmark cannot run here; the text says why and what to do.
class unavailable : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct arm {
  std::string name;                 // "tactus", or the peer's name
  std::function<double()> measure;  // one repetition: sets up, measures, returns the figure
};

// An arm that gives several figures at once, and what they are: one row each.
struct metric {
  std::string name, unit;
  std::optional<double> target{};
};
struct arm_of_many {
  std::string name;
  std::function<std::vector<double>()> measure;  // as many figures as there are metrics
};

// Runs all arms `reps` times, after one run of each that does not count; in each repetition in another
// order. The arm called "tactus" must be there. Says progress on standard error.
row interleave(const settings& set, std::string name, std::string unit, std::vector<arm> arms, unsigned reps);
std::vector<row> interleave(const settings& set, const std::vector<metric>& metrics,
                            const std::vector<arm_of_many>& arms, unsigned reps);

// Seconds since the program started: what budget_s is held against.
double elapsed_s();
// One line on standard error, rewritten in place on a terminal, at most a few per second.
void progress(const std::string& what);

struct registration {
  using function = result (*)(const settings&);
  registration(const char* name, const char* what, function run, bool in_all = true);
  const char* name;
  const char* what;
  function run;
  bool in_all;  // part of `all`
};
// In order of name.
const std::vector<const registration*>& registered();

// Keeps the compiler from dropping a computation whose result is not used.
template <class T>
inline void keep(const T& value) {
  asm volatile("" : : "r,m"(value) : "memory");
}

// ns on CLOCK_MONOTONIC.
std::int64_t now_ns();

}  // namespace tactus::bench
