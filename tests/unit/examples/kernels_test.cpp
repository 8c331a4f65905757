// SPDX-License-Identifier: Apache-2.0
// The frame example's work kernels against plain definitions of what they compute.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "frame/asset_store.h"
#include "frame/audio_mixer.h"
#include "frame/nbody.h"
#include "frame/path_grid.h"
#include "frame/random.h"

using namespace tactus::frame;

namespace {

double largest_error(const audio_mixer& mixer, std::uint64_t block) {
  std::vector<float> fast(mixer.block_frames());
  mixer.mix(block, fast);
  const std::vector<double> direct = mixer.mix_direct(block);
  double worst = 0;
  for (std::size_t i = 0; i < fast.size(); ++i) worst = std::max(worst, std::abs(fast[i] - direct[i]));
  return worst;
}

// A folder of files of one's own, removed at the end.
struct folder {
  std::filesystem::path path;
  folder() {
    char name[] = "/tmp/tactus-test-XXXXXX";
    path = mkdtemp(name);
  }
  ~folder() { std::filesystem::remove_all(path); }
  void write(const std::string& name, std::size_t bytes, std::uint64_t seed) const {
    std::filesystem::create_directories((path / name).parent_path());
    std::ofstream file(path / name, std::ios::binary);
    random_source random(seed);
    for (std::size_t i = 0; i < bytes; ++i) file.put(static_cast<char>('a' + random.below(8)));
  }
};

}  // namespace

TEST_CASE("FFT convolution gives what direct convolution gives") {
  audio_mixer mixer({.rooms = 2, .voices = 3, .block_frames = 100, .fft_frames = 512, .loop_blocks = 8, .seed = 7});
  double loudest = 0;
  for (const double s : mixer.mix_direct(3)) loudest = std::max(loudest, std::abs(s));
  CHECK(loudest > 0.05);  // there is something to compare
  for (const std::uint64_t block : {0, 1, 5, 7}) CHECK(largest_error(mixer, block) < 1e-5);
}

TEST_CASE("a loop shorter than the transform's window wraps around more than once") {
  audio_mixer mixer({.voices = 2, .block_frames = 64, .fft_frames = 512, .loop_blocks = 3, .seed = 9});
  for (const std::uint64_t block : {0, 1, 2}) CHECK(largest_error(mixer, block) < 1e-5);
}

TEST_CASE("a block is the same whenever and wherever it is computed") {
  const audio_mixer::config cfg{.voices = 2, .seed = 11};
  audio_mixer one(cfg), two(cfg);
  const std::uint64_t first = one.block_hash(4);
  one.block_hash(5);
  CHECK(one.block_hash(4) == first);
  CHECK(one.block_hash(4 + one.loop_blocks()) == first);
  CHECK(one.block_hash(5) != first);
  std::uint64_t elsewhere = 0;
  std::thread([&] { elsewhere = two.block_hash(4); }).join();
  CHECK(elsewhere == first);
  CHECK(audio_mixer({.voices = 2, .seed = 12}).block_hash(4) != first);
}

TEST_CASE("audio sizes that do not fit each other are refused") {
  CHECK_THROWS_AS(audio_mixer({.block_frames = 240, .fft_frames = 1000}), std::invalid_argument);
  CHECK_THROWS_AS(audio_mixer({.block_frames = 2048, .fft_frames = 2048}), std::invalid_argument);
  CHECK_THROWS_AS(audio_mixer({.voices = 0}), std::invalid_argument);
}

TEST_CASE("n-body keeps its energy") {
  nbody scene({.bodies = 64, .loop_steps = 400, .seed = 3});
  const double before = scene.energy();
  REQUIRE(std::abs(before) > 0.05);
  double worst = 0;
  for (int step = 0; step < 400; ++step) {
    scene.begin_step();
    scene.run_chunk(0, scene.bodies());
    scene.end_step();
    worst = std::max(worst, std::abs(scene.energy() - before) / std::abs(before));
  }
  CHECK(worst < 0.005);
}

TEST_CASE("n-body moves, and does not depend on how a step is split") {
  const nbody::config cfg{.bodies = 50, .loop_steps = 8, .seed = 5};
  nbody whole(cfg), parts(cfg);
  std::set<std::uint64_t> seen;
  for (int step = 0; step < 20; ++step) {
    whole.begin_step();
    whole.run_chunk(0, 50);
    parts.begin_step();
    parts.run_chunk(33, 50);
    parts.run_chunk(0, 1);
    std::thread other([&] { parts.run_chunk(1, 20); });
    parts.run_chunk(20, 33);
    other.join();
    const std::uint64_t hash = whole.end_step();
    CHECK(parts.end_step() == hash);
    seen.insert(hash);
  }
  CHECK(seen.size() == 8);  // the scene starts anew after its eight steps
}

TEST_CASE("A* finds paths as cheap as Dijkstra's") {
  unsigned through_walls = 0;
  for (const std::uint64_t seed : {1, 2, 3, 4}) {
    path_grid grid({.side = 40, .queries = 16, .seed = seed});
    for (unsigned q = 0; q < grid.queries(); ++q) {
      const std::uint32_t cost = grid.find(q);
      CHECK(cost != path_grid::k_unreachable);
      CHECK(cost == grid.find_dijkstra(q));
      const auto [from, to] = grid.at(q);
      const int dx = std::abs(static_cast<int>(from % 40) - static_cast<int>(to % 40));
      const int dy = std::abs(static_cast<int>(from / 40) - static_cast<int>(to / 40));
      const int straight = 10 * (std::max(dx, dy) - std::min(dx, dy)) + 14 * std::min(dx, dy);
      CHECK(cost >= static_cast<std::uint32_t>(straight));
      through_walls += cost > static_cast<std::uint32_t>(straight);
    }
  }
  CHECK(through_walls > 16);  // walls do stand in the way
}

TEST_CASE("pieces of files come back from compression, and damage is noticed") {
  folder files;
  files.write("a/one.bin", 10'000, 1);
  files.write("b/two.bin", 4'096, 2);
  files.write("b/small.bin", 100, 3);  // less than a piece: not used
  asset_store store({.directories = {files.path.string()}, .total_bytes = 1 << 20, .piece_bytes = 2048, .seed = 1});
  CHECK(store.files() == 2);
  CHECK(store.pieces() == 4 + 2);
  CHECK(store.compressed_bytes() < store.bytes());
  for (std::size_t i = 0; i < store.pieces(); ++i) CHECK(store.load(i));
  store.damage(3);
  CHECK_FALSE(store.load(3));
  CHECK(store.load(4));
}

TEST_CASE("the work set is bounded, the same for the same seed, and never silently empty") {
  folder files;
  for (int i = 0; i < 9; ++i) files.write("f" + std::to_string(i), 8'192, 10 + i);
  const asset_store::config cfg{
      .directories = {files.path.string()}, .total_bytes = 16'384, .piece_bytes = 2'048, .seed = 4};
  asset_store one(cfg), two(cfg);
  CHECK(one.bytes() == 16'384);
  CHECK(one.checksum() == two.checksum());
  CHECK_THROWS_WITH_AS(
      asset_store({.directories = {files.path.string()}, .total_bytes = 1 << 20, .piece_bytes = 1 << 16}),
      doctest::Contains("--load-from"), std::runtime_error);
}
