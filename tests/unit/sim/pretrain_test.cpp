// SPDX-License-Identifier: Apache-2.0
// Pre-training: worlds follow from their numbers, the same settings give the same model, and a model
// that was trained a little is judged better than random places on worlds it has not seen.
#include "sim/pretrain/pretrain.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

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
