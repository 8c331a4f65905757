// SPDX-License-Identifier: Apache-2.0
// Random machines and work loads, to pre-train on and to judge by: 2 to 16 CPUs of one to three
// speeds, stated or found out, throttled or steady, quiet or with neighbours; two to five classes of
// any priority, weight and shape of work, at 8 to 85 % of the machine. Odd numbers are games on
// throttled machines (random_game.cpp).
//
// A world follows from its number alone. Numbers below k_first_held_out are for training, those from
// there on are never trained on. Does not: imitate any machine or program in particular.
#pragma once

#include <cstdint>

#include "sim/machine/machine.h"
#include "sim/workload/workload.h"

namespace tactus::sim {

inline constexpr std::uint64_t k_first_held_out = 1'000'000'000;

struct random_world {
  machine on;
  workload load;
};

inline bool is_game(std::uint64_t number) { return number % 2 == 1; }

random_world make_random_world(std::uint64_t number);
random_world make_random_game(std::uint64_t number);  // what make_random_world gives for games

}  // namespace tactus::sim
