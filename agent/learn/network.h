// SPDX-License-Identifier: Apache-2.0
//
// The actor-critic network: layout of its weights, forward pass, analytic
// backward pass. Templated on the scalar: float in operation, double where
// gradients are checked. Relies on Eigen; knows nothing of learning, rows or
// decisions.
//
//   trunk   H = tanh(N(Wx x + Ws s + b))           64; x, s below
//   place   U = Wh H + b'                          16
//           T_p = tanh(U + Wf f_p + i_p Wi [1; f_p])
//           logit_p = wo . T_p + [f_p; i_p]' B z
//   hold    logit_hold = (wh . H + wz . z) / 4
//   critic  V = vh . H + vz . z
//
//   x    context: machine state and task features, with their absent marks   96
//   s    situation: idle bits of the 4 tiers, waiting steps as a thermometer  11
//   z    [1; s; task features, weight, deadline]                             30
//   f_p  the place's own features                                            12
//   i_p  1 when the tier of the place has an idle CPU in this situation
//
// The bilinear term B lets the situation reach the score of a place without a
// hidden layer between, so that "queue here when many wait, if the place is
// slow" takes hundreds of decisions to learn and not tens of thousands. Any
// number of places; the weights do not depend on it.
//
// The quarter: some 90 inputs reach the hold logit at once, while what tells two
// places apart are few; with equal steps per weight (RMSProp) hold would swing
// several times faster than any preference among places, and a row that holds
// everything for a second undoes what it learned.
//
// N is the identity, or with layer_norm N(a) = (a - mean a) / sqrt(var a + 1e-5) over
// the 64 units (layer normalisation, Ba, Kiros & Hinton 2016; without gain and bias).
//
// x is scaled by a tenth: on most machines some fifty of its inputs are constant
// (absent marks), so that with equal steps per weight the trunk's bias would move
// fifty times as fast as anything else.
//
// What depends only on the context (Wx x, Wf f_p, ..) is computed once per
// context and not per decision: a segment of 32 decisions has a handful.
#pragma once

#include "api.h"
#include "network_kernels.h"

#include <Eigen/Core>

#include <memory>
#include <span>

namespace tactus::learn {

inline constexpr int k_trunk = 64;
inline constexpr int k_head = 16;
inline constexpr int k_context = 2 * (k_state_size + k_task_size);
inline constexpr int k_situation = TACTUS_MAX_TIERS + 7;
inline constexpr int k_task_z = k_task_size + 2;
inline constexpr int k_z = 1 + k_situation + k_task_z;
inline constexpr int k_place_i = k_place_size + 1;
inline constexpr double k_hold_scale = 0.25;
inline constexpr float k_context_scale = 0.1f;
inline constexpr float k_norm_epsilon = 1e-5f; // added to the variance in N

// The features one class has in one version of the rows.
struct context {
	int nr_places = 0;
	bool in_use = false;
	float floor = 0; // e of the rows compiled from it
	std::uint32_t state_present = 0, task_present = 0; // whose values count; the others are marked absent
	alignas(64) Eigen::Matrix<float, k_context, 1> x; // stored by whole vectors, each in one cache line
	alignas(64) Eigen::Matrix<float, k_task_z, 1> task;
	Eigen::Matrix<float, k_place_size, Eigen::Dynamic> place;
	std::array<std::uint8_t, k_max_places> tier{};
};

// Encodes one class. Values are clamped to [0,1]; what is not a number counts
// as 0 and absent. updates: of the weights so far, for the floor (exploration.h).
context encode(policy_inputs const& inputs, unsigned slot, learner_config const& config, std::uint64_t updates = 0);
// The same into a context that is there: no allocation when its places are as many.
void encode(policy_inputs const& inputs, unsigned slot, learner_config const& config, context& out, std::uint64_t updates = 0);

// s of a situation number (bpf/policy.h: low 4 bits idle tiers, upper 3 step).
template <class Scalar> Eigen::Matrix<Scalar, k_situation, 1> encode_situation(unsigned situation)
{
	Eigen::Matrix<Scalar, k_situation, 1> s;
	for (int tier = 0; tier < TACTUS_MAX_TIERS; ++tier)
		s[tier] = Scalar((situation >> tier) & 1);
	int const step = int(situation >> 4) & 7;
	for (int k = 1; k <= 7; ++k)
		s[TACTUS_MAX_TIERS + k - 1] = Scalar(step >= k);
	return s;
}

inline bool tier_idle(context const& c, int place, unsigned situation)
{
	return (situation >> c.tier[place]) & 1;
}

// Actions that have an idle CPU behind them, and hold (the last): see rows.h.
inline void near_actions(context const& c, unsigned situation, std::vector<std::uint8_t>& near)
{
	near.assign(std::size_t(c.nr_places) + 1, 1);
	for (int p = 0; p < c.nr_places; ++p)
		near[std::size_t(p)] = tier_idle(c, p, situation);
}

// ----------------------------------------------------------------- weights ---

struct block {
	char const* name;
	int rows, cols, offset;
	constexpr int size() const { return rows * cols; }
};

enum block_id { b_trunk_x, b_trunk_s, b_trunk_b, b_head_h, b_head_f, b_head_i, b_head_b, b_head_o, b_bilinear,
		b_hold_h, b_hold_z, b_value_h, b_value_z, k_nr_blocks };

inline constexpr std::array<block, k_nr_blocks> k_blocks = [] {
	std::array<block, k_nr_blocks> b{{
		{"trunk_context", k_trunk, k_context, 0},
		{"trunk_situation", k_trunk, k_situation, 0},
		{"trunk_bias", k_trunk, 1, 0},
		{"place_trunk", k_head, k_trunk, 0},
		{"place_features", k_head, k_place_size, 0},
		{"place_idle", k_head, k_place_i, 0},
		{"place_bias", k_head, 1, 0},
		{"place_out", k_head, 1, 0},
		{"place_bilinear", k_place_i, k_z, 0},
		{"hold_trunk", k_trunk, 1, 0},
		{"hold_situation", k_z, 1, 0},
		{"value_trunk", k_trunk, 1, 0},
		{"value_situation", k_z, 1, 0},
	}};
	int offset = 0;
	for (auto& x : b) {
		x.offset = offset;
		offset += x.size();
	}
	return b;
}();
inline constexpr int k_nr_weights = k_blocks.back().offset + k_blocks.back().size();

template <class Scalar> using weights = Eigen::Matrix<Scalar, k_nr_weights, 1>;

template <block_id B, class Scalar> auto view(Scalar* theta)
{
	constexpr block b = k_blocks[B];
	using plain = std::remove_const_t<Scalar>;
	using matrix = Eigen::Matrix<plain, b.rows, b.cols>;
	using mapped = std::conditional_t<std::is_const_v<Scalar>, matrix const, matrix>;
	return Eigen::Map<mapped>(theta + b.offset);
}

// Weights drawn for a start, as init_kind says, in trunk and head; the outputs a
// hundredth of that, so that the first policy is almost uniform and the first value 0.
void initial_weights(std::uint64_t seed, float* theta, int init = normal_init);

// ------------------------------------------------------------------- batch ---

// Columns to evaluate: column i is situation[i] in contexts[context_of[i]].
struct batch {
	std::vector<context const*> contexts;
	std::vector<int> context_of;
	std::vector<std::uint8_t> situation;

	int size() const { return int(situation.size()); }
	void clear() { contexts.clear(), context_of.clear(), situation.clear(); }
	void add(int which, unsigned s) { context_of.push_back(which), situation.push_back(std::uint8_t(s)); }

	// The column of that context and situation; added when there is none. Decisions
	// that follow each other mostly repeat a few, which need evaluating once.
	int column_of(int which, unsigned s)
	{
		for (int i = 0; i < size(); ++i)
			if (context_of[std::size_t(i)] == which && situation[std::size_t(i)] == s)
				return i;
		add(which, s);
		return size() - 1;
	}
};

// One evaluation and its gradient, by the kernels of inference.h. Keeps its buffers,
// which grow to the largest batch seen. Not thread-safe.
template <class Scalar> class evaluation {
public:
	evaluation(); // with the kernels of the chosen instruction set; in double, the plain ones
	explicit evaluation(kernel::network_table<Scalar> const& kernels);

	// layer_norm: whether N is layer normalisation; backward is of the same network.
	void forward(Scalar const* theta, batch const& b, bool layer_norm);

	// Logits of column i: places, then hold. value(i) = V.
	int nr_places(int i) const { return pass_.first_pair[i + 1] - pass_.first_pair[i]; }
	std::span<Scalar const> place_logits(int i) const { return {pass_.logit + pass_.first_pair[i], std::size_t(nr_places(i))}; }
	Scalar hold_logit(int i) const { return pass_.hold[i]; }
	Scalar value(int i) const { return pass_.value[i]; }

	// Derivatives of the loss; zero_gradients first, then fill, then backward.
	void zero_gradients();
	std::span<Scalar> d_place(int i) { return {pass_.d_logit + pass_.first_pair[i], std::size_t(nr_places(i))}; }
	Scalar& d_hold(int i) { return pass_.d_hold[i]; }
	Scalar& d_value(int i) { return pass_.d_value[i]; }

	// Adds d loss / d theta to gradient. REQUIRES: forward(theta, ..) before, and the
	// contexts of its batch still there.
	void backward(Scalar const* theta, Scalar* gradient);

private:
	struct alignas(64) line {
		Scalar of[k_head];
	};

	kernel::network_table<Scalar> const& kernels_;
	kernel::pass<Scalar> pass_{};
	std::unique_ptr<kernel::pass_weights<Scalar>> weights_, d_weights_;
	std::vector<kernel::features> features_; // and the like of pass_, in its order
	std::vector<int> context_of_, first_pair_, first_place_, state_of_;
	std::vector<std::uint8_t> situation_;
	std::vector<line> numbers_;		 // all of pass_'s arrays
};

extern template class evaluation<float>;
extern template class evaluation<double>;

} // namespace tactus::learn
