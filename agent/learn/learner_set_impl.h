// SPDX-License-Identifier: Apache-2.0
//
// What a learner set of api.h holds. Its work is in learner_set.cpp, the weights it keeps in
// learner_weights.cpp.
//
// Locks, in the order in which they may be taken: a domain's mutex, then the
// queue's, then stats_mutex. Learners hold none while they compute.
#pragma once

#include "api.h"
#include "checkpoint.h"
#include "clone.h"
#include "convergence.h"
#include "exploration.h"
#include "row_compiler.h"
#include "segment_queue.h"
#include "segments.h"
#include "shared_parameters.h"
#include "validation.h"

#include <algorithm>
#include <deque>
#include <thread>

namespace tactus::learn {

// Sums of one learner's steps until it has `accumulate` of them.
struct learner_thread_state {
	learner_step<float> step;
	weights<float> theta = weights<float>::Zero();
	weights<float> gradient = weights<float>::Zero();
	step_report report;
	int segments = 0;
};

struct learner_set::impl {
	explicit impl(learner_config const& c)
		: config(c), explore(config), history(c.kept_versions), queue(c.queue_segments),
		  settling(c.converged_kl, c.converged_publishes)
	{
		weights<float> theta;
		initial_weights(config.seed, theta.data(), config.weight_init);
		clone_fallback(config, theta.data());
		shared.set(theta.data(), nullptr);
		prior = std::make_shared<weights<float> const>(theta);
		start_weights = champion = prior;
		for (int i = 0; i < TACTUS_MAX_DOMAINS; ++i)
			domains.push_back(std::make_unique<domain>(config, history));
	}

	struct domain {
		domain(learner_config const& c, version_history const& h) : assembler(c, h) {}
		std::mutex mutex;
		domain_assembler assembler;
		std::uint64_t segments = 0; // assembled so far
	};

	void take(std::uint8_t which, std::uint64_t sequence, decision const* d);
	void learn(learner_thread_state& state, segment const& s);
	void note_bound(segment const& s);
	double kappa_of_bound() const;
	void apply(learner_thread_state& state, schedule const& now);
	void run();
	void note(step_report const& r, double norm, bool applied);
	void rows_changed(double kl, double tasks_present);
	stream_figures busiest();
	checkpoint read(std::string const& path) const;
	std::uint64_t frozen_left() const // several learners may each take the last one
	{
		return std::uint64_t(std::max<std::int64_t>(0, frozen_updates.load(std::memory_order_relaxed)));
	}

	learner_config const config;
	learn::exploration const explore;
	shared_parameters shared;
	version_history history;
	segment_queue queue;
	held_out_segments held_out;
	std::vector<std::unique_ptr<domain>> domains;
	std::vector<std::jthread> threads;
	learner_thread_state inline_state; // of submit without threads
	std::mutex inline_mutex;
	std::deque<weights<float>> lag_snapshots;

	std::atomic<bool> learning{true};
	std::atomic<int> nr_threads{0};
	std::atomic<std::uint64_t> decisions_seen{0}, decisions_trained{0}, updates{0}, segments_dropped{0};
	std::atomic<double> service_time_ns{0};
	std::atomic<std::int64_t> frozen_updates{0}; // until the actor learns again
	std::atomic<double> rate_factor{1}; // of the learning rate, where it adapts to the rows' change
	// Mean square of A with its count, for the running RMS.
	std::atomic<double> mean_square_advantage{0};
	std::atomic<std::uint64_t> updates_of_advantage{0};
	std::atomic<double> bound_share{0}; // of decisions: releases at the bound on holding, over some 50 segments

	mutable std::mutex stats_mutex; // the next, down to compile's
	std::shared_ptr<weights<float> const> prior, start_weights, champion;
	learner_stats figures;
	double mean_error = 0, mean_target = 0, mean_target_square = 0;
	std::uint64_t figure_count = 0;
	convergence settling;

	// Of compile, by its one thread.
	weights<float> compile_theta;
	row_compiler compiler{config, explore};
};

} // namespace tactus::learn
