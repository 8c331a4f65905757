// SPDX-License-Identifier: Apache-2.0
//
// Task classes: tasks that behave alike, named by the user or derived from the
// call site. A class is what the policy learns about; naming one is optional.
//
//     tactus::task_class audio{"audio", {.priority = 3, .weight = 4, .deadline = 5ms}};
//     pool.submit(audio, [] { mix(); });
//
// Relies on nothing else of the library. Does not belong to one pool: each pool
// gives a class its own small number at first use, 63 at a time; the next one takes
// the number of the class unused for longest, or while all are in use shares
// class 0, "unknown".
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

// The thirteen things that describe a class to the policy; values as in enum
// tactus_feature of abi/registration.h.
enum class feature : std::uint8_t {
  compute_intensity, sequential_access, data_size_log2, cache_locality, loop_depth, dependencies, branch_divergence,
  vectorization, latency_sensitivity, priority, deadline_pressure, run_time, preferred_node,
};
inline constexpr unsigned k_features = 13;

// How a field of a fingerprint is known.
enum class origin : std::uint8_t {
  unknown,   // nobody said, nothing tells
  declared,  // by the user, in class_options
  measured,  // by the library or the agent
};

// 128 bits that name a class across runs, builds and machines, and say how each of its
// fields is known. No address is in it, so ASLR does not move it.
//
//   bits     field
//   127-32   identity: the upper 96 bits of the FNV-1a (128) of "name:" + name, or of
//            "site:" + file name without folders + line + column + function
//   31       kind: 1 a named class, 0 a call site
//   30-26    size bucket: 1 + floor(log16 of the loop's length), measured at the call; 0 unknown
//   25-0     origins, two bits per feature: feature f in bits 2f + 1 and 2f
//
// Two with equal key() are one class: what is known of it may change.
struct fingerprint {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  friend bool operator==(const fingerprint&, const fingerprint&) = default;

  // Without the origins: what agents keep a class's learning under.
  constexpr fingerprint key() const noexcept { return {high, low & ~k_origins}; }
  constexpr bool is_named() const noexcept { return (low >> 31) & 1; }
  constexpr unsigned size_bucket() const noexcept { return static_cast<unsigned>(low >> 26) & 31; }
  constexpr origin origin_of(feature f) const noexcept {
    return static_cast<origin>((low >> (2 * static_cast<unsigned>(f))) & 3);
  }
  constexpr fingerprint with_origin(feature f, origin o) const noexcept {
    const unsigned shift = 2 * static_cast<unsigned>(f);
    return {high, (low & ~(std::uint64_t{3} << shift)) | (static_cast<std::uint64_t>(o) << shift)};
  }

  static constexpr std::uint64_t k_origins = (std::uint64_t{1} << (2 * k_features)) - 1;
};

// Origins: nothing declared, the run time measured.
TACTUS_API fingerprint fingerprint_of_name(std::string_view name) noexcept;
// size_bucket: 0 when the size of the work is not known, else 1 + log16 of it.
TACTUS_API fingerprint fingerprint_of_site(const std::source_location& where, unsigned size_bucket = 0) noexcept;

// What a user may declare about a class's tasks; each in [0, 1]. What is not
// declared is measured or marked unknown, never guessed. The order is that of
// enum tactus_feature in abi/registration.h.
// The priority is declared by class_options; deadline pressure and run time are
// measured where they are not declared.
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
  std::optional<float> deadline_pressure{};    // usual run time / deadline
  std::optional<float> run_time{};             // log2(run time / 100 ns) / 24: 0 is 100 ns, 1 is 1.7 s
  friend bool operator==(const declared_features&, const declared_features&) = default;
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

// What these options say of a feature; nothing where they do not. The priority is always said.
TACTUS_API std::optional<float> declared_value(const class_options& options, feature f) noexcept;
// Declares one by its number; the priority is an option of its own and stays.
TACTUS_API void declare(declared_features& features, feature f, float value) noexcept;

// A named class. Thread-safe after construction; may be destroyed while pools
// that used it live on (they keep what they need).
class TACTUS_API task_class {
 public:
  // name: up to 31 bytes are kept; two objects of one name are one class. Where both have options, those
  // of the one that a pool saw last count there from then on, for both; one without options goes by the other's.
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
