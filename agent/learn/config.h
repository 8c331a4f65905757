// SPDX-License-Identifier: Apache-2.0
//
// Every hyper-parameter of the learner, its default, and its error types.
// A config is checked once, when a learner_set is made; a value out of range is
// an error that names the field, never silently clamped. Reading it from a file
// is the agent's job.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace tactus::learn {

enum target_kind : int { vtrace_target = 0, n_step = 1, gae = 2 };
enum exploration_kind : int { sampling = 0, epsilon_greedy = 1, argmax = 2 };
enum shape_kind : int { linear = 0, cosine = 1 };
enum init_kind : int { normal_init = 0, he_init = 1, orthogonal_init = 2 };

// Names follow docs/learning.md; units in the names. Schedules run over
// decisions trained, which the checkpoint keeps. That page says what the defaults
// were chosen by.
struct learner_config {
	std::uint64_t seed = 1; // of initial weights and cloning
	std::uint64_t machine = 0; // fingerprint of this machine, kept in checkpoints; 0: none in particular

	// targets and loss
	int segment_length = 32;	  // n: decisions per segment
	double discount_beta = 0.05;	  // b = discount_beta / mean service time
	double service_time_ns = 0;	  // 0: measured (set_service_time_ns, else mean gap)
	int target = 0;			  // 0 V-trace, 1 n-step return, 2 GAE (lambda = trace_factor): step.h
	double trace_factor = 0.9;	  // c_k = trace_factor * min(trace_clip, rho)
	double ratio_clip = 1.0;	  // rb_k = min(ratio_clip, rho)
	double trace_clip = 1.0;
	double value_weight = 0.5;	  // of (v - V)^2
	double entropy_start = 0.05;	  // h, linear from start to end ..
	double entropy_end = 5e-4;
	double entropy_decisions = 200e3;  // .. over so many decisions
	double prior_start = 0.05;	  // kappa, halves every prior_half_life decisions
	double prior_half_life = 1500;
	double prior_bound = 0.5;	  // kappa also rises by this times the share of releases at the bound on holding
					   // above 1 %: where all is held no action of a row makes a difference
	double reward_clip = 20;	  // |r| after scaling

	// reward: weights, 0 or more; reward.h has the terms. Cost is the time integral of tasks present;
	// a term's weight is in points, 10 of them as much as one mean service time of it.
	double reward_cost = 1;
	double reward_efficiency = 0;
	double reward_utilisation = 0;
	double reward_cache = 0;
	double reward_cross_node = 0;
	double reward_thermal = 0;
	double reward_deadline = 0;

	// centring
	double centring_step = 1e-4;	  // step of the means eta, scale, gap once warmed up. Faster, a queue that stays
					   // full soon counts as what is usual, and holding everything costs nothing
	double advantage_step = 1e-2;	  // step of the mean square of A, per update
	double max_cost_rate = 1e5;	  // weighted tasks present above this: a bad area, not learned from

	// step
	double learning_rate_start = 2e-3; // from start ..
	double learning_rate_end = 2e-4;   // .. to the floor
	double learning_rate_decisions = 400e3;
	int learning_rate_shape = linear;  // 0 linear, 1 half a cosine
	double gradient_clip = 20;	   // global norm: well above what is usual (2 to 6), or it biases the gradient
	double kl_target = 0;		   // > 0: the rate is also adapted so that consecutive rows differ by about
					   // so many nats; at most 10 times and at least a tenth of the schedule's
	double rms_decay = 0.99;
	double rms_epsilon = 1e-5;	   // added under the root
	int accumulate = 1;		   // segments per step

	int weight_init = 0;		   // 0 variance 1/fan-in, 1 He (2/fan-in), 2 orthogonal; for clone_steps 0 above all
	int layer_norm = 0;		   // 1: the trunk's sums are normalised before tanh (network.h); kept in checkpoints

	// convergence: rows differ by less than this from those before, ..
	double converged_kl = 1e-3;
	int converged_publishes = 100;	   // .. for so many versions, and the critic's explained variance is steady

	// a checkpoint of another machine
	int transfer_updates = 300;	   // the actor stands still for so many updates while the critic is refitted

	// rows
	int exploration = sampling;	   // 0 sampling, 1 epsilon-greedy, 2 argmax: exploration.h
	double explore_start = 0.002;	   // e, the uniform share of a row, at first ..
	double explore_decay = 0.995;	   // .. times this with every update ..
	double floor = 0.002;		   // .. down to this
	double floor_deadline = 0.001;	   // at most, of a deadline class
	double still_power = 10;	   // odds of a row's actions are raised to it while learning is off, without
					   // floor: nobody learns from the worse choice. Equal places stay equal.

	// held-out validation
	double held_out = 0;		   // share of segments that are not learned from; 0.05 is enough to judge by

	// cloning of the fallback
	double clone_smoothing = 0.9;	   // mass on what the fallback would do
	int clone_steps = 400;

	// plumbing
	int kept_versions = 64;		   // policy_inputs kept for pi
	int queue_segments = 64;	   // bound of waiting segments, per group
	int reorder_window = 16;	   // events two CPUs may have written in another order
	int emulate_lag_updates = 0;	   // tests, without threads: gradient at weights so many updates old
	bool use_ratio = true;		   // false: rho = 1 always (negative control of the lag test)

	// Throws config_error naming the first field out of range.
	void validate() const;

	// Sets a numeric field by its name. Throws config_error: no such field (and which
	// there are), not a number, out of range.
	void set(std::string const& name, std::string const& value);
};

class config_error : public std::invalid_argument {
public:
	using std::invalid_argument::invalid_argument;
};

// Why a checkpoint was refused. what() names the file, the reason and the next
// step.
enum class checkpoint_fault {
	missing,     // no such file
	io,	     // cannot be read or written
	truncated,   // shorter or longer than its header says
	checksum,    // bytes changed
	schema,	     // not a checkpoint, or of another version or shape
	not_finite,  // a weight is not a number
};

class checkpoint_error : public std::runtime_error {
public:
	checkpoint_error(checkpoint_fault fault, std::string const& what) : std::runtime_error(what), fault_(fault) {}
	checkpoint_fault fault() const noexcept { return fault_; }

private:
	checkpoint_fault fault_;
};

} // namespace tactus::learn
