// SPDX-License-Identifier: Apache-2.0
//
// What the kernels of the policy's forward pass work on, and the table of them.
// One kernel file per instruction set (kernels_scalar.cpp, .._avx2, .._avx512,
// .._neon), all of the one source inference_kernel.inc. Includes nothing, so that
// it compiles for a foreign machine without its headers, and so that no inline
// function of a library is compiled with flags that not every machine has.
#pragma once

namespace tactus::learn::kernel {

// As in network.h; inference.cpp asserts that they agree.
constexpr int trunk = 64, head = 16;
constexpr int state = 32, task = 16;	       // marked inputs: a value each, then an absent mark each
constexpr int context = 2 * (state + task);
constexpr int tiers = 4, steps = 7;
constexpr int situation = tiers + steps;
constexpr int task_z = task + 2;
constexpr int place = 12;
constexpr int max_places = 64;
constexpr float norm_epsilon = 1e-5f, scale = 0.1f; // of x: an absent mark is this or 0

// One class's inputs as they come: a view of policy_inputs.
struct raw_features {
	float const *state, *task, *place; // state, task, max_places x 12 values
	unsigned state_present, task_present;
	int nr_places;
};

// One class's encoded inputs: a view of network.h's context. Bit i of a mask: the
// value of source i counts, its absent mark is 0; else the other way round.
struct features {
	float const* x;		   // context
	float const* task;	   // task_z
	float const* place;	   // nr_places x 12
	unsigned char const* tier; // nr_places, < 4
	unsigned state_present, task_present;
	int nr_places;
};

// Four columns of a matrix of `head` rows; an array of them is a matrix. Row r, column k
// of it: [k / 4][r % 4][r / 4][k % 4], so that a vector of numbers, four of them
// repeated, is multiplied without a broadcast for each.
using by_fours = float[4][head / 4][4];

// The actor's weights with every row as wide as a vector. What is constant but for a
// few bits is summed for all their values: a situation is two columns (waiting step
// and idle tiers), the absent marks are one column for each six sources. Columns of
// z and place features are padded to 16: lane 12 belongs to "the place is idle", lane
// 13 of z's columns is hold's.
struct alignas(64) weights {
	float trunk_value[state + task][trunk];
	float trunk_absent[(state + task) / 6][64][trunk];
	float trunk_step[steps + 1][trunk], trunk_idle[1 << tiers][trunk]; // steps: with the bias
	by_fours head_h[trunk / 4];
	by_fours head_f[2][place / 4]; // [idle]
	float head_b[2][head];
	float z_step[steps + 1][head], z_idle[1 << tiers][head]; // steps: with z's 1
	by_fours z_task[task / 4];
	float z_more[task_z - task][head]; // z's columns of weight and deadline
	float hold_h[trunk], head_o[head];
	bool layer_norm;
};
constexpr int hold_lane = place + 1;
// What decisions of one class read: one column of trunk_absent in 64, all else.
static_assert(sizeof(weights) - sizeof(weights::trunk_absent) / 64 * 63 <= 32 * 1024, "the L1 data cache");

// One context's part of the sums.
struct alignas(64) prepared {
	float trunk_step[steps + 1][trunk], z_step[steps + 1][head]; // with the context's part
	float head_f[2][max_places][head];
	float place[2][max_places][head]; // padded
	unsigned char tier[max_places];
	int nr_places;
};

} // namespace tactus::learn::kernel
