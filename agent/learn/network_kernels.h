// SPDX-License-Identifier: Apache-2.0
//
// What the kernels of the learner's passes work on: forward and backward of a batch
// (network.h has the network), and the step of RMSProp. The one source is
// network_kernel.inc, compiled with inference_kernel.inc per instruction set in float,
// and once in double, where gradients are checked. Includes no library, as there.
#pragma once

#include "inference_kernels.h"

namespace tactus::learn::kernel {

constexpr int z_size = 1 + situation + task_z;

// The blocks of network.h in weights or in a gradient, column-major.
template <class Real> struct blocks {
	Real *trunk_x, *trunk_s, *trunk_b, *head_h, *head_f, *head_i, *head_b, *head_o, *bilinear, *hold_h, *hold_z,
		*value_h, *value_z;
};

// What one pass needs of the weights in another order, or summed as in `weights`. Of
// z's columns lane 13 is hold's, lane 14 the critic's.
template <class Real> struct alignas(64) pass_weights {
	Real head_rows[head][trunk];
	Real head_f[2][place + 1][head]; // [idle]: bias, then a column per feature
	Real z[z_size][head];
	Real trunk_step[steps + 1][trunk], trunk_idle[1 << tiers][trunk];
	Real z_step[steps + 1][head], z_idle[1 << tiers][head];
};
constexpr int value_lane = hold_lane + 1;

// A batch and its buffers. A pair is a column of the batch and a place of its context;
// a context's place is counted over all contexts. Sums of gradients by step and by mask
// of idle tiers come into d_weights.
template <class Real> struct pass {
	int columns, contexts;
	features const* context;
	int const *context_of, *first_pair;  // of a column; first_pair has one more
	unsigned char const* situation;	     // of a column
	int const *first_place, *state_of;   // of a context: first place; number of its machine state, from 0, rising
	bool layer_norm;

	pass_weights<Real> *weights, *d_weights;
	Real *state_sum, *context_sum;	     // trunk each: Wx x of the state; with the task's and b
	Real *context_z;		     // head each: the context's part of Z z
	Real *place_sum, *place_f;	     // 2 x head per context's place: [idle] Wf f + ..; [f; idle; 0..]
	Real *h, *normalised;		     // trunk per column; normalised: N(a), with layer_norm only
	Real *inverse_deviation;	     // per column
	Real *t;			     // head per pair
	Real *d_u;			     // head per column
	Real *logit, *hold, *value;	     // out of forward: per pair, per column
	Real *d_logit, *d_hold, *d_value;    // into backward
};

template <class Real> struct network_table {
	void (*forward)(blocks<Real const> const& theta, pass<Real>& p);
	// Adds to gradient. REQUIRES: forward before; the buffers of sums are used again.
	void (*backward)(blocks<Real const> const& theta, pass<Real>& p, blocks<Real> const& gradient);
	// g <- decay g + (1 - decay) d^2;  theta <- theta - rate d / sqrt(unbias g + epsilon)
	void (*rmsprop)(Real* theta, Real* g, Real const* d, int n, Real rate, Real decay, Real unbias, Real epsilon);
};

// The kernels of one instruction set.
struct table {
	// x, task (the first 16) and place as in features. Returns the masks less what is no
	// number, the task's in the upper half: were they stored one by one and soon read as
	// one, which compilers do, the read would wait until the stores are in the cache.
	unsigned long long (*encode)(raw_features const& in, float* x, float* task, float* place);
	// out: nr_places + 1 logits, hold last; of `rows`: so many per situation.
	void (*decide)(weights const& w, features const& in, unsigned situation, float* out);
	void (*prepare)(weights const& w, features const& in, prepared& out);
	void (*rows)(weights const& w, prepared const& p, unsigned char const* situations, int n, float* out);
	void (*tanh)(float* x, int n); // in place; n a multiple of 16
	network_table<float> network;
};

extern table const scalar, avx2, avx512, neon; // those that were compiled for this machine
extern network_table<double> const in_double;

} // namespace tactus::learn::kernel
