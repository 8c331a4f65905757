// SPDX-License-Identifier: Apache-2.0
//
// Fingerprints of classes, and the task_class object.
#include <tactus/task_class.hpp>

#include <algorithm>
#include <atomic>

namespace tactus {
namespace {

// FNV-1a with 128 bits: offset basis and prime of the published parameters.
class fnv128 {
 public:
  void add(std::string_view bytes) noexcept {
    for (const char c : bytes) add_byte(static_cast<unsigned char>(c));
  }
  void add(std::uint64_t number) noexcept {
    for (int i = 0; i < 8; ++i) add_byte(static_cast<unsigned char>(number >> (8 * i)));
  }
  // As the identity of a fingerprint, with what is known of any class.
  fingerprint identity(bool is_named, unsigned size_bucket) const noexcept {
    const auto low = static_cast<std::uint64_t>(hash_) >> 32 << 32;
    const fingerprint out{static_cast<std::uint64_t>(hash_ >> 64),
                          low | (std::uint64_t{is_named} << 31) | (std::uint64_t{size_bucket & 31} << 26)};
    return out.with_origin(feature::run_time, origin::measured);
  }

 private:
  __extension__ using u128 = unsigned __int128;
  void add_byte(unsigned char byte) noexcept {
    constexpr u128 k_prime = (static_cast<u128>(0x0000000001000000ull) << 64) | 0x000000000000013Bull;
    hash_ ^= byte;
    hash_ *= k_prime;
  }
  u128 hash_ = (static_cast<u128>(0x6c62272e07bb0142ull) << 64) | 0x62b821756295c58dull;
};

// Class names are cut to what a registration message carries.
constexpr std::size_t k_name_bytes = 31;

std::atomic<std::uint32_t> next_index{1};

// Null for the priority, which is none of them.
std::optional<float> declared_features::*member_of(feature f) noexcept {
  switch (f) {
    case feature::compute_intensity: return &declared_features::compute_intensity;
    case feature::sequential_access: return &declared_features::sequential_access;
    case feature::data_size_log2: return &declared_features::data_size_log2;
    case feature::cache_locality: return &declared_features::cache_locality;
    case feature::loop_depth: return &declared_features::loop_depth;
    case feature::dependencies: return &declared_features::dependencies;
    case feature::branch_divergence: return &declared_features::branch_divergence;
    case feature::vectorization: return &declared_features::vectorization;
    case feature::latency_sensitivity: return &declared_features::latency_sensitivity;
    case feature::priority: return nullptr;
    case feature::deadline_pressure: return &declared_features::deadline_pressure;
    case feature::run_time: return &declared_features::run_time;
    case feature::preferred_node: return &declared_features::preferred_node;
  }
  return nullptr;
}

// How the features of a class with these options are known.
fingerprint with_origins(fingerprint id, const class_options& options) noexcept {
  for (unsigned f = 0; f < k_features; ++f)
    if (declared_value(options, static_cast<feature>(f))) id = id.with_origin(static_cast<feature>(f), origin::declared);
  // The agent takes it from the run time and the deadline.
  if (options.deadline.count() > 0 && !options.features.deadline_pressure)
    id = id.with_origin(feature::deadline_pressure, origin::measured);
  return id;
}

}  // namespace

std::optional<float> declared_value(const class_options& options, feature f) noexcept {
  if (f == feature::priority) return static_cast<float>(options.priority) / 3.0f;
  const auto member = member_of(f);
  return member ? options.features.*member : std::nullopt;
}

void declare(declared_features& features, feature f, float value) noexcept {
  if (const auto member = member_of(f)) features.*member = value;
}

fingerprint fingerprint_of_name(std::string_view name) noexcept {
  fnv128 hash;
  hash.add("name:");
  hash.add(name);
  return hash.identity(true, 0);
}

fingerprint fingerprint_of_site(const std::source_location& where, unsigned size_bucket) noexcept {
  std::string_view file = where.file_name();
  if (const auto slash = file.find_last_of('/'); slash != std::string_view::npos) file.remove_prefix(slash + 1);
  fnv128 hash;
  hash.add("site:");
  hash.add(file);
  hash.add(std::uint64_t{where.line()});
  hash.add(std::uint64_t{where.column()});
  hash.add(where.function_name());
  return hash.identity(false, size_bucket);
}

task_class::task_class(std::string_view name, const class_options& options)
    : name_(name.substr(0, k_name_bytes)),
      options_(options),
      index_(next_index.fetch_add(1, std::memory_order_relaxed)) {
  options_.priority = std::clamp(options_.priority, 0, 3);
  options_.weight = std::clamp(options_.weight, 1, 255);
  options_.deadline = std::max(options_.deadline, std::chrono::nanoseconds{0});
  fingerprint_ = with_origins(fingerprint_of_name(name_), options_);
}

}  // namespace tactus
