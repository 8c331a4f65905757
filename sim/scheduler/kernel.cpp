// SPDX-License-Identifier: Apache-2.0
#include "sim/scheduler/kernel.h"

#include <map>

namespace tactus::sim {

void idle_masks::reset(unsigned nr_cpus, const std::vector<tactus_cpu>& cpus) {
  *this = {};
  nr_cpus_ = nr_cpus;
  nr_words_ = (nr_cpus + 63) / 64;
  place_of_.resize(nr_cpus);
  other_thread_.resize(nr_cpus);
  std::map<unsigned, std::vector<unsigned>> cores;
  for (unsigned c = 0; c < nr_cpus; ++c) {
    other_thread_[c] = static_cast<std::uint16_t>(c);
    place_of_[c] = cpus[c].present != 0 ? static_cast<std::uint8_t>(cpus[c].place) : std::uint8_t{TACTUS_MAX_PLACES};
    if (cpus[c].present != 0) cores[cpus[c].core].push_back(c);
  }
  for (const auto& [core, threads] : cores)
    for (std::size_t i = 0; i < threads.size(); ++i) {
      other_thread_[threads[i]] = static_cast<std::uint16_t>(threads[(i + 1) % threads.size()]);
      has_smt_ |= threads.size() > 1;
    }
}

void idle_masks::set_core(unsigned cpu, bool idle) {
  for (unsigned c = cpu;;) {
    if (core_.test(c) != idle) {
      const unsigned p = place_of_[c];
      if (idle) {
        core_.set(c);
        if (core_count_[p]++ == 0 && p < 64) core_places_ |= 1ull << p;
      } else {
        core_.clear(c);
        if (--core_count_[p] == 0 && p < 64) core_places_ &= ~(1ull << p);
      }
    }
    c = other_thread_[c];
    if (c == cpu) return;
  }
}

void idle_masks::set_idle(unsigned cpu) {
  if (!cpu_.test(cpu)) {
    cpu_.set(cpu);
    const unsigned p = place_of_[cpu];
    if (place_count_[p]++ == 0 && p < 64) idle_places_ |= 1ull << p;
  }
  if (!has_smt_) return;
  for (unsigned c = other_thread_[cpu]; c != cpu; c = other_thread_[c])
    if (!cpu_.test(c)) return;
  set_core(cpu, true);
}

bool idle_masks::test_and_clear(unsigned cpu) {
  if (has_smt_ && core_.test(cpu)) set_core(cpu, false);
  if (!cpu_.test(cpu)) return false;
  cpu_.clear(cpu);
  const unsigned p = place_of_[cpu];
  if (--place_count_[p] == 0 && p < 64) idle_places_ &= ~(1ull << p);
  return true;
}

// The next one behind the last picked, cyclically.
std::int32_t idle_masks::find(const cpu_mask& in, const __u64* mask, const cpu_mask* allowed) const {
  const unsigned start = last_picked_ + 1 < nr_cpus_ ? last_picked_ + 1 : 0;
  const unsigned first = start / 64;
  for (unsigned i = 0; i <= nr_words_; ++i) {
    const unsigned w = first + i < nr_words_ ? first + i : first + i - nr_words_;
    std::uint64_t bits = in.word[w];
    if (mask != nullptr) bits &= mask[w];
    if (allowed != nullptr) bits &= allowed->word[w];
    if (i == 0) bits &= ~0ull << (start % 64);
    if (i == nr_words_) bits &= (1ull << (start % 64)) - 1;
    if (bits != 0) return static_cast<std::int32_t>(w * 64 + static_cast<unsigned>(std::countr_zero(bits)));
  }
  return -1;
}

std::int32_t idle_masks::pick(const __u64* mask, const cpu_mask* allowed, bool whole_core) {
  std::int32_t cpu = -1;
  if (has_smt_) cpu = find(core_, mask, allowed);
  if (cpu < 0 && !(has_smt_ && whole_core)) cpu = find(cpu_, mask, allowed);
  if (cpu < 0) return -1;
  last_picked_ = static_cast<unsigned>(cpu);
  test_and_clear(last_picked_);
  return cpu;
}

void idle_masks::assign(const cpu_mask& idle) {
  for (unsigned c = 0; c < nr_cpus_; ++c) {
    if (idle.test(c)) set_idle(c);
    else test_and_clear(c);
  }
}

}  // namespace tactus::sim
