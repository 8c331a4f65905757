// SPDX-License-Identifier: Apache-2.0
//
// Task classes: tasks that behave alike, named by the user or derived from the
// call site. A class is what the policy learns about; naming one is optional.
//
//     tactus::task_class audio{"audio", {.priority = 3, .weight = 4, .deadline = 5ms}};
//     pool.submit(audio, [] { mix(); });
//
// Relies on nothing else of the library. Does not belong to one pool: each pool
// gives a class its own small number at first use (at most 63; what comes after
// shares class 0, "unknown").
#ifndef TACTUS_TASK_CLASS_HPP
#define TACTUS_TASK_CLASS_HPP

#include "export.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>

namespace tactus {

// 128 bits that name a class across runs, builds and machines: FNV-1a of
// "name:" + name, or of "site:" + file name without folders + line + column +
// function + size bucket. Does not contain addresses, so ASLR does not move it.
struct fingerprint {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  friend bool operator==(const fingerprint&, const fingerprint&) = default;
};

TACTUS_API fingerprint fingerprint_of_name(std::string_view name) noexcept;
// size_bucket: 0 when the size of the work is not known, else 1 + log16 of it.
TACTUS_API fingerprint fingerprint_of_site(const std::source_location& where, unsigned size_bucket = 0) noexcept;

// What a user may declare about a class's tasks; each in [0, 1]. What is not
// declared is measured or marked unknown, never guessed. The order is that of
// enum tactus_feature in abi/registration.h.
struct declared_features {
  std::optional<float> compute_intensity{};    // FLOP per byte, on a log scale
  std::optional<float> sequential_access{};    // 0 random .. 1 sequential
  std::optional<float> data_size_log2{};       // log2(bytes) / 32
  std::optional<float> cache_locality{};       // gain from running where it ran last
  std::optional<float> loop_depth{};           // depth / 8
  std::optional<float> dependencies{};
  std::optional<float> branch_divergence{};
  std::optional<float> vectorization{};
  std::optional<float> latency_sensitivity{};
  std::optional<float> preferred_node{};       // node / 64
};

// A task whose deadline was over before it started.
enum class missed_policy {
  run,   // runs anyway
  drop,  // does not run: its future or group throws deadline_missed; a detached one is only counted
};

struct class_options {
  // 0 background, 1 normal, 2 high, 3 urgent. 2 and 3 are urgent classes: when
  // all workers are busy with less urgent tasks, a spare worker is woken.
  int priority = 1;
  // Weight of one task in the cost that the policy minimises: 1..255.
  int weight = 1;
  // Deadline of a task, counted from its submission (a continuation's from when
  // its predecessor ended); 0 = none. A late task is counted as missed.
  std::chrono::nanoseconds deadline{0};
  declared_features features{};
  missed_policy missed = missed_policy::run;
  // Called by the worker instead of a task that is dropped, or before one that
  // runs late: how late it is. Must not throw.
  std::function<void(std::chrono::nanoseconds late)> on_missed{};
};

// A named class. Thread-safe after construction; may be destroyed while pools
// that used it live on (they keep what they need).
class TACTUS_API task_class {
 public:
  // name: up to 31 bytes are kept; two objects of one name are one class.
  // Values out of range are clamped.
  explicit task_class(std::string_view name, const class_options& options = {});

  task_class(const task_class&) = delete;
  task_class& operator=(const task_class&) = delete;

  const std::string& name() const noexcept { return name_; }
  const class_options& options() const noexcept { return options_; }
  const tactus::fingerprint& id() const noexcept { return fingerprint_; }

  // Number of this object in the process, 1 .. ; 0 when there are too many.
  std::uint32_t index() const noexcept { return index_; }

 private:
  std::string name_;
  class_options options_;
  tactus::fingerprint fingerprint_;
  std::uint32_t index_;
};

}  // namespace tactus

#endif
