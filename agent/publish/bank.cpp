// SPDX-License-Identifier: Apache-2.0
//
// bank.h's implementation. The body is copied in words, each an atomic store: the compiler may
// neither tear nor move them, and a thread sanitizer understands them (fences it does not).
#include "agent/publish/bank.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstring>

namespace tactus::agent {
namespace {

constexpr std::size_t k_words = sizeof(tactus_row) / 4;
constexpr std::size_t k_begin = offsetof(tactus_row, version_begin) / 4;
constexpr std::size_t k_end = offsetof(tactus_row, version_end) / 4;
static_assert(k_begin == 0 && k_end == k_words - 1);

}  // namespace

void write_row(tactus_row* to, const tactus_row& row, std::uint32_t version) {
  std::array<std::uint32_t, k_words> words;
  std::memcpy(words.data(), &row, sizeof(row));
  auto* out = reinterpret_cast<std::uint32_t*>(to);
  __atomic_store_n(&out[k_end], 0u, __ATOMIC_RELEASE);
  __atomic_store_n(&out[k_begin], version, __ATOMIC_RELEASE);
  for (std::size_t i = k_begin + 1; i < k_end; i++) __atomic_store_n(&out[i], words[i], __ATOMIC_RELEASE);
  __atomic_store_n(&out[k_end], version, __ATOMIC_RELEASE);
}

void clear_row(tactus_row* to) {
  __atomic_store_n(&to->version_end, 0u, __ATOMIC_RELEASE);
  __atomic_store_n(&to->version_begin, 0u, __ATOMIC_RELEASE);
}

bool read_row(const tactus_row* from, tactus_row& out) {
  const auto* in = reinterpret_cast<const std::uint32_t*>(from);
  std::array<std::uint32_t, k_words> words;
  words[k_end] = __atomic_load_n(&in[k_end], __ATOMIC_ACQUIRE);
  for (std::size_t i = k_begin + 1; i < k_end; i++) words[i] = __atomic_load_n(&in[i], __ATOMIC_ACQUIRE);
  words[k_begin] = __atomic_load_n(&in[k_begin], __ATOMIC_ACQUIRE);
  std::memcpy(&out, words.data(), sizeof(out));
  return out.version_end != 0 && out.version_end == out.version_begin;
}

tactus_row uniform_row(unsigned nr_places) {
  tactus_row row{};
  row.confidence = 65535;
  const unsigned n = std::clamp<unsigned>(nr_places, 1, TACTUS_MAX_PLACES);
  for (unsigned p = 0; p < TACTUS_MAX_PLACES; p++) {
    row.cdf[p] = static_cast<__u16>(p + 1 < n ? TACTUS_CDF_ONE * (p + 1) / n : TACTUS_CDF_ONE);
  }
  return row;
}

void suit_of_rows(const tactus_row* rows, unsigned bank, unsigned slot, const float* visits, unsigned nr_places,
                  std::uint8_t* out) {
  std::array<double, TACTUS_MAX_PLACES> sum{};
  double all = 0;
  float seen = 0;
  for (unsigned s = 0; s < TACTUS_NR_SITUATIONS; s++) seen += visits[s];
  nr_places = std::min<unsigned>(nr_places, TACTUS_MAX_PLACES);
  for (unsigned s = 0; s < TACTUS_NR_SITUATIONS; s++) {
    const double weight = seen > 0 ? visits[s] : 1;
    tactus_row row;
    if (weight <= 0 || !read_row(&rows[tactus_row_index(bank, slot, s)], row)) continue;
    double most = 0;
    std::array<double, TACTUS_MAX_PLACES> mass{};
    for (unsigned p = 0; p < nr_places; p++) {
      mass[p] = std::max(0, row.cdf[p] - (p != 0 ? row.cdf[p - 1] : 0));
      most = std::max(most, mass[p]);
    }
    if (most <= 0) continue;  // always held: says nothing of places
    for (unsigned p = 0; p < nr_places; p++) sum[p] += weight * mass[p] / most;
    all += weight;
  }
  for (unsigned p = 0; p < nr_places; p++) {
    out[p] = static_cast<std::uint8_t>(all > 0 ? std::lround(std::clamp(255 * sum[p] / all, 0.0, 255.0)) : 0);
  }
}

}  // namespace tactus::agent
