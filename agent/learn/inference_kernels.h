// SPDX-License-Identifier: Apache-2.0
//
// What the kernels of the policy's forward pass work on, and the table of them.
// One kernel file per instruction set (inference_scalar.cpp, .._avx2, .._avx512,
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
constexpr float norm_epsilon = 1e-5f;

// One class's encoded inputs: a view of network.h's context.
struct features {
	float const* x;		   // context; of a value and its mark at most one is not 0
	float const* task;	   // task_z
	float const* place;	   // nr_places x 12
	unsigned char const* tier; // nr_places, < 4
	int nr_places;
};

// The actor's weights with every row as wide as a vector. Bilinear columns and
// place features are padded to 16; lane 12 belongs to "the place is idle".
struct alignas(64) weights {
	float trunk_x[context][trunk]; // read once per context, half of it
	// Read by every decision; small enough for the L1 data cache.
	float trunk_s[situation][trunk];
	float head_h[trunk][head];
	float head_f[2][place + 1][head]; // [idle]: bias, then a column per feature
	float bilinear_1[head], bilinear_s[situation][head], bilinear_task[task_z][head];
	float trunk_b[trunk], hold_h[trunk];
	float head_o[head];
	float hold_1, hold_s[situation], hold_task[task_z];
	bool layer_norm;
};
static_assert(sizeof(weights) - sizeof(weights::trunk_x) <= 16 * 1024);

// One context's constant part, and the sums of the situation's columns: by waiting
// step (with everything constant) and by mask of idle tiers, so that a situation is
// one of the first plus one of the second. Exact but for the order of summation.
struct alignas(64) prepared {
	float trunk_step[steps + 1][trunk], trunk_idle[1 << tiers][trunk];
	float bilinear_step[steps + 1][head], bilinear_idle[1 << tiers][head];
	float hold_step[steps + 1], hold_idle[1 << tiers];
	float head_f[2][max_places][head];
	float place[max_places][head]; // padded
	unsigned char tier[max_places];
	int nr_places;
};

// out of `decide`: nr_places + 1 logits, hold last. Of `rows`: so many per situation.
struct table {
	void (*decide)(weights const& w, features const& in, unsigned situation, float* out);
	void (*prepare)(weights const& w, features const& in, prepared& out);
	void (*rows)(weights const& w, prepared const& p, unsigned char const* situations, int n, float* out);
	void (*tanh)(float* x, int n); // in place; n a multiple of 16
};

extern table const scalar, avx2, avx512, neon; // those that were compiled for this machine

} // namespace tactus::learn::kernel
