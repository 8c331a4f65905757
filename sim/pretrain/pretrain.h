// SPDX-License-Identifier: Apache-2.0
// Pre-training: one learner over many random worlds, one after the other, and the judgement of a
// model on worlds that nobody trained on. The result is a checkpoint that an agent starts from.
// Of three worlds one is a solvable system (random_system.h), the others are machines with work loads
// (random_world.h), every second of them a game on a throttled machine.
// Single-threaded and deterministic: the same settings give the same model.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace tactus::sim {

struct pretrain_settings {
  std::uint64_t seed = 1;
  std::uint64_t decisions = 6'000'000;   // trained on, in all
  std::uint64_t per_world = 12'000;      // decisions in one world, at most
  double seconds_per_world = 60;         // simulated, at most
  std::string from;                      // a checkpoint to go on from; empty: the clone of the fallback
};

// Ratios of cost to that of the fallback, same world and arrivals.
struct judgement {
  unsigned worlds = 0, games = 0;          // games: on throttled machines
  double model = 0, game_model = 0;        // geometric means; the model stands still
  double random = 0, greedy = 0;           // of random places and of fastest-first
  double worst = 0;                        // largest ratio of the model ..
  std::uint64_t worst_world = 0;           // .. and the number of that held-out world
  unsigned worse = 0, better = 0;          // worlds in which it is more than 2 % off
};

struct pretrain_progress {
  std::uint64_t worlds = 0, decisions = 0;
  double entropy = 0, explained_variance = 0;
};

// Trains and writes the checkpoint to `file`. progress is called after every world.
void pretrain(const pretrain_settings& settings, const std::string& file,
              const std::function<void(const pretrain_progress&)>& progress);

// Judges a checkpoint ("" = the clone) on `worlds` held-out worlds from number `first` on.
judgement judge(const std::string& checkpoint, unsigned worlds, std::uint64_t first, double seconds,
                const std::function<void(unsigned)>& progress);

}  // namespace tactus::sim
