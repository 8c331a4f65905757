// SPDX-License-Identifier: Apache-2.0
//
// The learner step, in the notation of docs/learning.md; hold this
// file and step.cpp beside that page. One segment of n decisions in, one
// gradient of the loss out:
//
//   C_k   = area(t_{k+1}) - area(t_k)              cost: weighted tasks present x time
//   tau_k = t_{k+1} - t_k
//   eta   = EMA(C) / EMA(tau)                      average cost rate
//   r_k   = -(C_k - eta tau_k) / scale             centred reward; scale = running RMS
//   g_k   = exp(-b tau_k)                          discount over time, b = beta / mean service time
//   rho_k = pi(a_k|x_k) / mu_k
//   rb_k  = min(ratio_clip, rho_k),  c_k = trace_factor min(trace_clip, rho_k)
//   d_k   = rb_k (r_k + g_k V(x_{k+1}) - V(x_k))
//   v_k   = V(x_k) + d_k + g_k c_k (v_{k+1} - V(x_{k+1})),   v_n = V(x_n)
//   A_k   = rb_k (r_k + g_k v_{k+1} - V(x_k)) / RMS(A)
//           n-step: rb = c = 1 throughout;  GAE: A_k = (v_k - V(x_k)) / RMS(A)
//   loss  = mean_k [ -A_k log pi(a_k|x_k) + 0.5 (v_k - V(x_k))^2
//                    - h H(pi(.|x_k)) + kappa KL(prior || pi) ]
//   step  : clip the norm; g <- 0.99 g + 0.01 d^2; theta <- theta - lr d / sqrt(g/(1-0.99^t) + 1e-5)
//
// v_k and A_k are constants of the loss. A decision that the state alone made
// (forced, fallback) has rho = c = 1 and no policy term; the critic learns.
// Sources: V-trace, Espeholt et al. 2018; reward centring, Naik et al. 2024.
//
// The policy as the kernel draws from it: a row (rows.h) renormalised to the
// legal actions L, pi(a) = row_a / row_L. What of pi(a) is not softmax but floor is
// taken as a constant in the gradient,
//   pi(a) = keep s_a + floor,  s = softmax over L,  d log pi(a)/dz_j = share (1[j=a] - s_j),
//   share = keep s_a / pi(a)
// so that illegal actions get none.
#pragma once

#include "network.h"
#include "schedule.h"

#include <memory>
#include <span>

namespace tactus::learn {

// Means of one stream (one domain, one group) for centring and scaling.
class centring {
public:
	explicit centring(double step) : step_(step) {}

	// Takes one interval, then gives its centred, scaled and clipped reward r.
	double reward(double cost, double tau_ns, double clip);

	double eta() const { return mean_tau_ > 0 ? mean_cost_ / mean_tau_ : 0; }
	double scale() const;
	double mean_gap_ns() const { return mean_tau_; }
	std::uint64_t count() const { return count_; }

private:
	double step_;
	double mean_cost_ = 0, mean_tau_ = 0, mean_square_ = 0;
	std::uint64_t count_ = 0;
};

// Contexts of one version of the rows, kept for the decisions sampled from it.
struct version_contexts {
	std::uint32_t version = 0;
	std::array<context, k_max_slots + 1> slot; // the last: a slot not in use
	context const& of(unsigned s) const { return slot[s < k_max_slots && slot[s].in_use ? s : k_max_slots]; }
};

// One decision of a segment, ready to learn from.
struct step_k {
	std::shared_ptr<version_contexts const> inputs; // x_k, with slot and situation
	std::uint64_t legal = 0;
	std::uint8_t slot = 0;
	std::uint8_t situation = 0;
	std::uint8_t action = 0; // a_k: place or TACTUS_HOLD
	bool hold_legal = false;
	bool policy_term = false; // sampled from a row
	bool at_bound = false; // held until the bound on holding released it
	float mu = 1;
	float r = 0;
	float g = 1;
};

// n decisions and the state that ends them (only its x is used).
struct segment {
	std::vector<step_k> steps; // n + 1
	std::uint16_t group = 0;
	int n() const { return int(steps.size()) - 1; }
};

// V-trace targets by one backward pass. Spans of n, value of n + 1.
void vtrace(std::span<double const> r, std::span<double const> g, std::span<double const> rho_bar,
	    std::span<double const> c, std::span<double const> value, std::span<double> v, std::span<double> advantage);

// softmax over the legal entries of z; exactly 0 elsewhere. legal[i] != 0: legal.
// All illegal: all 0.
template <class Scalar>
void masked_softmax(std::span<Scalar const> z, std::span<std::uint8_t const> legal, std::span<Scalar> out);

// Adds d/dz of [-A log pi(a) - h H(s) + kappa KL(prior||s)] to d_z, where
// s = masked softmax and share as above. Zero on illegal entries. Returns H(s).
template <class Scalar>
Scalar policy_gradient(std::span<Scalar const> s, std::span<Scalar const> prior, std::span<std::uint8_t const> legal,
		     int action, Scalar advantage, Scalar share, Scalar h, Scalar kappa, std::span<Scalar> d_z);

// What one segment contributes to the figures.
struct step_report {
	int n = 0, policy_terms = 0, ratios_clipped = 0, hold_legal = 0, held = 0;
	double sum_ratio = 0, sum_entropy = 0, sum_kl_prior = 0, sum_square_advantage = 0;
	double sum_square_error = 0;		     // of the critic: (v - V)^2
	double sum_target = 0, sum_square_target = 0; // of v
};

// The loss and its gradient of one segment. Keeps buffers: one per thread.
template <class Scalar> class learner_step {
public:
	// Adds the gradient of the loss at theta to gradient (k_nr_weights) and
	// returns the loss. prior: weights of the prior, or null. rms_advantage
	// divides the advantages. fixed_targets, for gradient checks: v, A, rho, keep,
	// floor of the last call are used again.
	Scalar gradient(learner_config const& config, schedule const& now, Scalar const* theta, Scalar const* prior,
			Scalar rms_advantage, segment const& data, Scalar* gradient, step_report& report,
			bool fixed_targets = false);

private:
	double behave(std::span<Scalar const> z, std::span<std::uint8_t const> legal, int action, context const& x,
		      unsigned situation, int k);

	evaluation<Scalar> pi_, prior_;
	batch batch_;
	std::vector<int> column_; // of decision k in batch_
	std::vector<double> value_, r_, g_, rho_bar_, c_, v_, advantage_, keep_, floor_, row_;
	std::vector<Scalar> s_, prior_s_, d_z_, z_;
	std::vector<float> logits_;
	std::vector<std::uint8_t> legal_, near_;
};

extern template class learner_step<float>;
extern template class learner_step<double>;

} // namespace tactus::learn
