// SPDX-License-Identifier: Apache-2.0
// Task features: declared and measured, the One-Euro filter, the preferred node, what extraction costs.
#include "agent/publish/one_euro.h"
#include "agent/publish/task_features.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <new>
#include <random>
#include <vector>

using namespace tactus::agent;
namespace learn = tactus::learn;

namespace {
thread_local std::size_t allocations = 0;
}

void* operator new(std::size_t size) {
  allocations++;
  if (void* p = std::malloc(size != 0 ? size : 1)) return p;
  throw std::bad_alloc();
}
// Not inlined: g++ would see free() of what new returned and warn of a mismatch.
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace {

bool has(const learn::task_features& t, unsigned i) { return (t.present >> i & 1) != 0; }

// Two places on each of two nodes.
std::vector<tactus_place> two_nodes() {
  std::vector<tactus_place> places(4);
  places[2].node = places[3].node = 1;
  return places;
}

void ran(class_figures& f, std::size_t place, double tasks, double each_ns) {
  f.place[place].tasks += tasks;
  f.place[place].run_ns += tasks * each_ns;
}

}  // namespace

TEST_CASE("One-Euro: within a fifth of an octave of a noisy signal, and of a step within 30 tasks") {
  std::mt19937_64 random(5);
  std::normal_distribution<double> noise(0, 1);  // one octave: tasks that vary by a factor of two
  one_euro f;
  for (int i = 0; i < 500; i++) f.add(20 + noise(random), 1);
  double worst = 0, mean = 0;
  for (int i = 0; i < 1000; i++) {
    f.add(20 + noise(random), 1);
    worst = std::max(worst, std::abs(f.value() - 20));
    mean += f.value() / 1000;
  }
  CHECK(std::abs(mean - 20) < 0.2);
  CHECK(worst < 1);
  for (int i = 0; i < 30; i++) f.add(23 + noise(random), 1);  // eight times slower
  double after = 0;
  for (int i = 0; i < 20; i++) {
    f.add(23 + noise(random), 1);
    after += f.value() / 20;
  }
  CHECK(std::abs(after - 23) < 0.5);
}

TEST_CASE("One-Euro: quicker on a step than the low-pass it is when nothing changes") {
  one_euro adaptive, plain;
  one_euro_settings flat;
  flat.slope = 0;
  adaptive.add(20, 1);
  plain.add(20, 1, flat);
  for (int i = 0; i < 20; i++) {
    adaptive.add(23, 1);
    plain.add(23, 1, flat);
  }
  CHECK(adaptive.value() > 22.5);
  CHECK(plain.value() < 21.5);
}

TEST_CASE("One-Euro: an observation of many tasks moves it as far as they would, about; nonsense does not") {
  one_euro one, many;
  one.add(20, 1);
  many.add(20, 1);
  for (int i = 0; i < 64; i++) one.add(21, 1);
  many.add(21, 64);
  CHECK(one.value() == doctest::Approx(21).epsilon(0.03));
  CHECK(many.value() > 20.5);
  const double before = one.value();
  one.add(std::nan(""), 1);
  one.add(INFINITY, 1);
  one.add(5, 0);
  one.add(5, -3);
  CHECK(one.value() == before);
  CHECK_FALSE(one_euro().known());
}

TEST_CASE("declared features go in as they are, measured ones in place of what was not declared") {
  slot_class c;
  class_figures f;
  c.priority = 2;
  c.declared = 1u << TACTUS_FEATURE_VECTORIZATION | 1u << TACTUS_FEATURE_RUN_TIME;
  c.features[TACTUS_FEATURE_VECTORIZATION] = 255;
  c.features[TACTUS_FEATURE_RUN_TIME] = 51;
  f.run_log2.add(std::log2(1e6), 1);
  const auto places = two_nodes();
  learn::task_features t = task_features_of(c, f, places);
  CHECK(t.value[TACTUS_FEATURE_VECTORIZATION] == 1);
  CHECK(t.value[TACTUS_FEATURE_RUN_TIME] == doctest::Approx(0.2));
  CHECK(t.value[TACTUS_FEATURE_PRIORITY] == doctest::Approx(2.0 / 3));
  for (const unsigned absent : std::initializer_list<unsigned>{TACTUS_FEATURE_COMPUTE_INTENSITY, TACTUS_FEATURE_DEADLINE_PRESSURE, TACTUS_FEATURE_PREFERRED_NODE, 13u})
    CHECK_FALSE(has(t, absent));
  c.declared = 0;
  t = task_features_of(c, f, places);
  CHECK(t.value[TACTUS_FEATURE_RUN_TIME] == doctest::Approx(std::log2(1e6 / 100) / 24));
  CHECK_FALSE(has(t, TACTUS_FEATURE_VECTORIZATION));
  CHECK_FALSE(has(task_features_of(c, {}, places), TACTUS_FEATURE_RUN_TIME));
}

TEST_CASE("deadlines: pressure is run time over deadline, and a near one makes a class sensitive") {
  slot_class c;
  class_figures f;
  const auto places = two_nodes();
  f.run_log2.add(std::log2(1e6), 1);
  CHECK(task_features_of(c, f, places).value[TACTUS_FEATURE_LATENCY_SENSITIVITY] == doctest::Approx(1.0 / 3));
  c.deadline_us = 4000;
  const learn::task_features t = task_features_of(c, f, places);
  CHECK(t.value[TACTUS_FEATURE_DEADLINE_PRESSURE] == doctest::Approx(0.25));
  CHECK(t.value[TACTUS_FEATURE_LATENCY_SENSITIVITY] == doctest::Approx(10.0 / 14));
  c.deadline_us = 500;
  CHECK(task_features_of(c, f, places).value[TACTUS_FEATURE_DEADLINE_PRESSURE] == 1);
}

TEST_CASE("the preferred node is the one with the least run time, believed as tasks come in") {
  const auto places = two_nodes();
  class_figures f;
  f.task_ns = 1e6;
  f.task_ns_squared = 2e12;  // squared variation 1, as of exponential times
  CHECK(preferred_node(f, places).node == -1);
  ran(f, 0, 30, 1.2e6);
  CHECK(preferred_node(f, places).confidence == 0);  // nothing to compare with
  ran(f, 3, 30, 1.0e6);
  const node_preference few = preferred_node(f, places);
  CHECK(few.node == 1);
  CHECK(few.confidence > 0.3);
  CHECK(few.confidence < 0.7);
  CHECK_FALSE(has(task_features_of({}, f, places), TACTUS_FEATURE_PREFERRED_NODE));
  ran(f, 0, 1000, 1.2e6);
  ran(f, 1, 1000, 1.2e6);
  ran(f, 2, 1000, 1.0e6);
  ran(f, 3, 1000, 1.0e6);
  const node_preference many = preferred_node(f, places);
  CHECK(many.node == 1);
  CHECK(many.confidence > 0.99);
  CHECK(task_features_of({}, f, places).value[TACTUS_FEATURE_PREFERRED_NODE] == 1);
  CHECK(preferred_node(f, std::vector<tactus_place>(4)).confidence == 0);  // one node
}

TEST_CASE("extraction allocates nothing and takes well under a microsecond") {
  slot_class c;
  c.deadline_us = 16000;
  c.declared = 0xff;
  class_figures f;
  f.run_log2.add(20, 1);
  const std::vector<tactus_place> places = [] {
    std::vector<tactus_place> p(TACTUS_MAX_PLACES);
    for (std::size_t i = 0; i < p.size(); i++) p[i].node = static_cast<__u16>(i / 8);
    return p;
  }();
  for (std::size_t p = 0; p < places.size(); p++) ran(f, p, 100, 1e6 + 1e4 * static_cast<double>(p));
  constexpr int k_rounds = 2000;
  double best_ns = 1e9;
  float sum = 0;
  const std::size_t before = allocations;
  for (int i = 0; i < k_rounds; i++) {
    const auto start = std::chrono::steady_clock::now();
    sum += task_features_of(c, f, places).value[TACTUS_FEATURE_RUN_TIME];
    best_ns = std::min(best_ns, std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count());
  }
  CHECK(allocations == before);
  CHECK(sum > 0);
  MESSAGE("extraction with 64 places on 8 nodes: " << best_ns << " ns at best");
#if defined(NDEBUG) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  CHECK(best_ns < 1000);  // 200 on a quiet machine; this bound is for a loaded one
#endif
}
