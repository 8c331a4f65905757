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
  fingerprint value() const noexcept {
    return {static_cast<std::uint64_t>(hash_ >> 64), static_cast<std::uint64_t>(hash_)};
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

}  // namespace

fingerprint fingerprint_of_name(std::string_view name) noexcept {
  fnv128 hash;
  hash.add("name:");
  hash.add(name);
  return hash.value();
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
  hash.add(std::uint64_t{size_bucket});
  return hash.value();
}

task_class::task_class(std::string_view name, const class_options& options)
    : name_(name.substr(0, k_name_bytes)),
      options_(options),
      fingerprint_(fingerprint_of_name(name_)),
      index_(next_index.fetch_add(1, std::memory_order_relaxed)) {
  options_.priority = std::clamp(options_.priority, 0, 3);
  options_.weight = std::clamp(options_.weight, 1, 255);
  options_.deadline = std::max(options_.deadline, std::chrono::nanoseconds{0});
}

}  // namespace tactus
