// SPDX-License-Identifier: Apache-2.0
// Pre-training: worlds follow from their numbers, the same settings give the same model, and a model
// that was trained a little is judged better than random places on worlds it has not seen.
#include "sim/pretrain/pretrain.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "sim/pretrain/random_system.h"
#include "sim/pretrain/random_world.h"

using namespace tactus::sim;

namespace {

std::string file(const char* name) {
  return (std::filesystem::temp_directory_path() / ("tactus-pretrain-" + std::to_string(getpid()) + name)).string();
}

std::string bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

TEST_CASE("a world follows from its number alone and stays within what is promised") {
  bool differs = false;
  for (std::uint64_t n = 0; n < 300; ++n) {
    const random_world a = make_random_world(n), b = make_random_world(n), c = make_random_world(n + k_first_held_out);
    REQUIRE(a.on.cpus.size() == b.on.cpus.size());
    REQUIRE(a.load.classes.size() == b.load.classes.size());
    for (std::size_t i = 0; i < a.on.cpus.size(); ++i) REQUIRE(a.on.cpus[i].speed == b.on.cpus[i].speed);
    REQUIRE(a.on.cpus.size() >= 2);
    REQUIRE(a.on.cpus.size() <= 16);
    REQUIRE(a.load.classes.size() >= 2);
    REQUIRE(a.load.classes.size() <= 5);
    differs |= a.on.cpus.size() != c.on.cpus.size();
  }
  CHECK(differs);
}

TEST_CASE("every second world is a game: faster and slower CPUs, an urgent class, work in the background") {
  unsigned games = 0, throttled = 0;
  for (std::uint64_t n = 0; n < 100; ++n) {
    const random_world w = make_random_world(n);
    if (!is_game(n)) continue;
    ++games;
    const auto speed = [](const cpu_spec& c) { return c.period_ns ? static_cast<double>(c.quota_ns) / static_cast<double>(c.period_ns) : c.speed; };
    REQUIRE(speed(w.on.cpus.back()) < speed(w.on.cpus.front()));
    throttled += w.on.cpus.back().period_ns != 0;
    REQUIRE(w.load.classes[0].priority == 3);
    REQUIRE(w.load.classes[0].deadline_ns > 0);
  }
  CHECK(games == 50);
  CHECK(throttled > 25);
}

TEST_CASE("systems follow from their number, are stable and small enough, and of all three models") {
  unsigned of[3] = {};
  for (std::uint64_t n = 0; n < 300; ++n) {
    const system_spec a = make_random_system(n), b = make_random_system(n);
    REQUIRE(a.model == b.model);
    REQUIRE(a.load == b.load);
    REQUIRE(a.speeds == b.speeds);
    REQUIRE(a.load < 0.95);
    REQUIRE(a.speeds.size() >= 2);
    REQUIRE(a.speeds.size() <= 5);
    ++of[a.model == "queue" ? 0 : a.model == "immediate" ? 1 : 2];
  }
  CHECK(of[0] > 150);
  CHECK(of[1] > 10);
  CHECK(of[2] > 10);
}

TEST_CASE("pre-training is reproducible, and a little of it beats random places on worlds never seen") {
  pretrain_settings settings;
  settings.decisions = 40'000;
  settings.per_world = 4'000;
  std::uint64_t told = 0;
  const auto progress = [&](const pretrain_progress& p) { told = p.decisions; };
  pretrain(settings, file("a"), progress);
  CHECK(told >= settings.decisions);
  settings.decisions = 40'000;
  pretrain(settings, file("b"), progress);
  CHECK(bytes_of(file("a")) == bytes_of(file("b")));
  unsigned judged = 0;
  const judgement j = judge(file("a"), 12, 1, 3, [&](unsigned n) { judged = n; });
  CHECK(judged == 12);
  CHECK(j.worlds == 12);
  CHECK(j.model < j.random);
  for (const char* name : {"a", "b"}) std::filesystem::remove(file(name));
}
