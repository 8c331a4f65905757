// SPDX-License-Identifier: Apache-2.0
//
// The learner as the rest of the agent sees it: what goes in (inputs of the
// networks, decisions that the kernel reported), what comes out (rows of the
// decision map, figures, checkpoints), and every hyper-parameter.
//
// The learners know the environment only through this file, so the kernel, the
// simulator and a unit test are three environments of one learner. It relies on
// the contracts in tactus/abi and on nothing else: no map, no socket, no clock,
// no file but the checkpoint. What the numbers mean mathematically is in
// step.h, in the notation of docs/learning.md.
#pragma once

#include "config.h"


#include <tactus/abi/decision_map.h>
#include <tactus/abi/event.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace tactus::learn {

// ---------------------------------------------------------------- inputs ---

inline constexpr int k_state_size = 32;
inline constexpr int k_task_size = 16;
inline constexpr int k_place_size = 12;
inline constexpr int k_max_places = TACTUS_MAX_PLACES;
inline constexpr int k_max_slots = TACTUS_MAX_SLOTS;

// State of the machine, each value in [0,1]. Bit i of `present` tells that
// source i exists here; the value of an absent source is ignored and the
// network is told that it is absent. The learner gives no meaning to an index;
// sense/ names them.
struct machine_state {
	alignas(64) std::array<float, k_state_size> value{}; // here and below: read by whole vectors
	std::uint32_t present = 0;
};

// Features of one task class, each in [0,1]; absent as above. The learner gives
// no meaning to an index, but see class_inputs::weight and ::deadline.
struct task_features {
	alignas(64) std::array<float, k_task_size> value{};
	std::uint32_t present = 0;
};

// Features of one place as seen by one class, each in [0,1]. All can be had in
// user space from completion events, /proc/stat and the topology. An unknown
// value gets the neutral one named in brackets.
enum place_feature : int {
	k_place_speed = 0,	  // this class's speed here / its speed at its best place [capacity / best capacity]
	k_place_speed_known = 1,  // trust in that figure: completions / (completions + 20) [0]
	k_place_capacity = 2,	  // CPU capacity / largest capacity of the machine [1]
	k_place_load = 3,	  // share of time busy with managed work [0]
	k_place_interference = 4, // share of time taken by others: unmanaged work, irq, steal [0]
	k_place_queue = 5,	  // mean managed workers queued here per CPU, n / (n + 1) [0]
	k_place_idle = 6,	  // share of time with an idle CPU [1 - load - interference]
	k_place_home_domain = 7,  // 1 when in the domain where the class ran most [1]
	k_place_node_distance = 8, // 0 same NUMA node as home, 1 farthest [0]
	k_place_tier_best = 9,	  // 1 when tier[place] == 0
	k_place_tier = 10,	  // tier[place] / 3
	k_place_sibling_busy = 11, // share of time the SMT siblings are busy; 0 without SMT [0]
};
using place_features = std::array<float, k_place_size>;

// What one row slot's rows are computed from.
struct class_inputs {
	bool in_use = false;   // false: no rows are written for the slot
	bool deadline = false; // exploration is capped (config: floor_deadline)
	float weight = 1;      // cost weight w_j of a task of the class
	float confidence = 1;  // goes into the row as it is, clamped to [0,1]
	std::uint16_t slice_10us = 0; // goes into the row as it is; 0 = default
	task_features task;
	alignas(64) std::array<place_features, k_max_places> place{};
	std::array<std::uint8_t, k_max_places> tier{}; // < 4, 0 = best
};

// All that the rows of one version are computed from. Immutable once it was
// handed to learner_set::compile: the learner keeps the last versions, so that
// it evaluates pi at exactly the features the sampled row was compiled from.
struct policy_inputs {
	std::uint32_t version = 0; // of the rows; not 0, increasing
	int nr_places = 0;	   // 1..64
	machine_state state;
	std::array<class_inputs, k_max_slots> classes;
};

// --------------------------------------------------------------- decisions ---

// One decision as the kernel (or a simulator) reports it. time_ns and area are
// those of the event; area is the domain's time integral of weighted tasks
// present, ns x weight, modulo 2^64. reward is the sum of points (reward.h) of the
// group's tasks that ended in the domain until then; 0 where none are given.
struct decision {
	std::uint64_t sequence = 0;
	std::uint64_t time_ns = 0;
	std::uint64_t area = 0;
	double reward = 0;
	std::uint64_t legal = 0; // mask of legal places
	std::uint32_t version = 0;
	std::uint32_t prob_num = 0; // mu = prob_num / prob_den
	std::uint32_t prob_den = 0;
	std::uint16_t group = 0; // index of the uid: centring and scale are per group
	std::uint8_t domain = 0;
	std::uint8_t slot = 0;
	std::uint8_t situation = 0;
	std::uint8_t chosen = 0; // place or TACTUS_HOLD
	std::uint8_t source = 0; // enum tactus_source
	std::uint8_t moment = 0; // enum tactus_moment
	bool hold_legal = false;
	bool trusted = true; // false: this uid does not train the shared weights
};

// The decision of a ring event. group and trusted come from the registration.
decision decision_of(tactus_decision_event const& event, std::uint16_t group, bool trusted) noexcept;

// -------------------------------------------------------------------- rows ---

// Where compiled rows go. put is called from the thread that called compile,
// once per (slot in use, situation). version_begin and version_end of the row
// are 0: the sink owns the order of the stores (decision_map.h).
class row_sink {
public:
	virtual ~row_sink() = default;
	virtual void put(unsigned slot, unsigned situation, tactus_row const& row) = 0;
};

// ------------------------------------------------------------------- stats ---

struct layer_change {
	char const* name;
	double norm;   // L2 norm of the weights now
	double change; // L2 norm of (weights now - weights at start or load)
};

// Figures since start or load; the means are exponential over some hundred
// updates. Ratios are 0..1.
struct learner_stats {
	std::uint64_t decisions_seen = 0;    // submitted
	std::uint64_t decisions_trained = 0; // in segments that were learned from
	std::uint64_t updates = 0;
	std::uint64_t segments_dropped = 0;  // queue full: learners too slow
	std::uint64_t sequence_gaps = 0;
	std::uint64_t unknown_versions = 0;  // policy term left out: inputs no longer kept
	std::uint64_t bad_costs = 0;	     // area or time ran backwards or jumped: not learned from
	std::uint64_t untrusted = 0;	     // decisions of groups that do not train
	std::uint64_t bad_updates = 0;	     // gradient not finite: not applied
	std::uint64_t compiles = 0;
	std::uint64_t frozen_updates = 0;    // updates to come that leave the actor as it is
	double eta = 0;		 // mean weighted tasks present, of the busiest stream
	double scale = 0;	 // ns x weight, same stream
	double mean_gap_ns = 0;	 // between decisions, same stream
	double discount_rate = 0; // b, 1/ns
	double learning_rate = 0;
	double entropy_weight = 0;
	double prior_weight = 0; // kappa
	double entropy = 0;	 // nats
	double kl_rows = 0;	 // mean KL between consecutive compiled rows, nats
	bool converged = false;	 // rows and critic have stood still for config's converged_publishes: convergence.h
	int steady_publishes = 0; // .. have done so for so many until now
	double exploration = 0;	 // e of classes without deadlines
	std::uint64_t held_out = 0; // segments not learned from
	double kl_prior = 0;	 // mean KL(prior || pi), nats; of the last updates with kappa > 0
	double explained_variance = 0; // of the critic; < 0: worse than a constant
	double clipped_ratio = 0; // share of ratios above 1
	double mean_ratio = 0;	 // mean rho of decisions with a policy term
	double hold_ratio = 0;	 // share of hold among decisions where hold was legal
	double gradient_norm = 0; // before clipping
	double value_loss = 0;
	double advantage_rms = 0;
	std::vector<layer_change> layers;
};

// What held-out segments say of a policy; costs in the units of rewards, less is
// better: validation.h. dr_error is the standard error of dr. judged: enough
// effective segments to believe either.
struct policy_estimate {
	double snips = 0, dr = 0, dr_error = 0, effective_segments = 0;
	bool judged = false;
};

struct held_out_report {
	int segments = 0;	// those looked at
	std::uint64_t last = 0; // number of the newest held-out segment, from 1
	double logged = 0;	// cost of what was done in them
	policy_estimate current, champion;
	double difference = 0, difference_error = 0; // dr of current less champion, segment by segment
	bool finite = true;	// current weights are numbers
};

// ------------------------------------------------------------- learner set ---

// The asynchronous learners over one shared actor-critic, the assembly of
// decisions into segments, and the evaluation of the actor into rows.
//
// Threads: submit and skip by one thread at a time per domain (the ring's
// reader; different domains may have different threads); compile by one thread
// at a time; all else by any thread at any time. submit never blocks: when
// learners lag, whole segments are dropped and counted.
class learner_set {
public:
	// A new network, cloned from the fallback heuristic (well under 2 s, same
	// seed same weights). Throws config_error.
	explicit learner_set(learner_config const& config);
	~learner_set();
	learner_set(learner_set const&) = delete;
	learner_set& operator=(learner_set const&) = delete;

	// Starts n learner threads. 0: no threads, submit learns in the caller,
	// deterministically (tests, simulator).
	void start(int nr_threads);
	// Ends the threads; segments that wait are dropped. Idempotent.
	void stop();

	// Takes one decision, in ring order. Events of the ring that are no
	// decisions are told by skip, so that a lost event is seen as a gap in the
	// sequence: the segment ends before it and is never bridged. Neighbours that
	// two CPUs wrote in the other order are put right.
	void submit(decision const& d);
	void skip(std::uint8_t domain, std::uint64_t sequence);

	// false: from the return of this call on no weight, no mean and no scale
	// changes until it is true again; half segments are discarded. Learning is
	// on at the start.
	void set_learning(bool on);
	bool learning() const noexcept;

	// Mean service time of a task (run time without wait), from completions;
	// 0 or never told: mean_gap_ns stands in. Sets the discount rate b.
	void set_service_time_ns(double mean_ns) noexcept;

	// Evaluates the actor over (slots in use x 128 situations) of the inputs,
	// gives each row to the sink and keeps the inputs for the decisions to come.
	// A row is a distribution over the places and hold; the kernel masks and
	// renormalises. REQUIRES: version increasing, nr_places in 1..64 (else
	// std::invalid_argument). Values that are not finite count as 0.
	void compile(std::shared_ptr<policy_inputs const> inputs, row_sink& sink);

	// One row's distribution before quantisation: places 0..nr_places-1, then
	// hold at index nr_places. For explanation and tests; slow.
	std::vector<double> distribution(policy_inputs const& inputs, unsigned slot, unsigned situation) const;

	learner_stats stats() const;

	// Current weights and the champion's on the held-out segments (the newest 256)
	// with numbers above `after`: about 5 us each.
	held_out_report validate(std::uint64_t after = 0) const;
	// The weights to go back to. At first those of the start or of the last load.
	void set_champion();			     // the current ones
	void load_champion(std::string const& path); // throws checkpoint_error, nothing changed then
	// Current weights become the champion's, with fresh RMSProp state; what was
	// held out before is forgotten.
	void restore_champion();

	// What was learned so far becomes the start of a new course: the schedules of
	// rate, entropy and prior begin anew, and the present policy is the prior.
	// For a model that others start from. REQUIRES: learning is off.
	void begin_course();

	// The decisions to come are those of another environment: means and scales of
	// rewards begin anew. The weights stay. REQUIRES: learning is off.
	void begin_environment();

	// The file is replaced atomically (write, fsync, rename, fsync of the
	// folder). Throws checkpoint_error.
	void save(std::string const& path) const;
	// On error throws checkpoint_error and nothing has changed. Keeps running
	// learners running; inputs kept for decisions under way stay. From a
	// checkpoint that another machine wrote a new course begins (begin_course),
	// with the actor standing still for transfer_updates updates while the critic
	// learns this machine's costs.
	void load(std::string const& path);

private:
	struct impl;
	std::unique_ptr<impl> impl_;
};

} // namespace tactus::learn
