// SPDX-License-Identifier: Apache-2.0
//
// The learner on a model of the demo's machine: from the clone of the fallback
// to clearly less cost within some ten thousand completions, with asynchronous
// learners. What it shows is the learner, not the machine: frame_sim.h says
// what is not modelled.
#include "frame_sim.h"

#include <doctest/doctest.h>
#include <thread>

using namespace tactus::learn;
using namespace tactus::learn::test;

TEST_CASE("on two fast and two slow CPUs the learned rows beat random and the clone they began with")
{
	std::vector<double> const speeds{0.7, 0.7, 0.2, 0.2};
	frame_load const load;
	auto cost = [&](chooser how, row_bank const* rows) {
		frame_sim sim(speeds, load, 999);
		sim.use(how, rows, 1, nullptr);
		sim.run(2e9);
		return sim.run(60e9);
	};
	learner_config config;
	learner_set learner(config);
	learner.start(2);
	frame_sim sim(speeds, load, 1);
	row_bank bank;
	std::uint32_t version = 0;
	learner.compile(sim.inputs(++version), bank);
	auto const clone = cost(chooser::rows, &bank);
	auto const random = cost(chooser::random_place, nullptr);
	auto const fallback = cost(chooser::fallback, nullptr);
	while (sim.completed() < 12'000) {
		sim.use(chooser::rows, &bank, version, &learner);
		sim.run(50e6);
		// In real time the learners have 50 ms for this.
		auto const seen = learner.stats().decisions_seen;
		for (int i = 0; i < 2000; ++i) {
			auto const s = learner.stats();
			if (s.decisions_trained + 64 > seen)
				break;
			std::this_thread::sleep_for(std::chrono::microseconds(100));
		}
		learner.compile(sim.inputs(++version), bank);
	}
	learner.stop();
	auto const learned = cost(chooser::rows, &bank);
	MESSAGE("cost: fallback " << fallback.cost << ", random " << random.cost << ", clone " << clone.cost << ", learned "
				  << learned.cost << "; audio p99 ms: fallback " << fallback.audio_p99_ms << ", learned "
				  << learned.audio_p99_ms);
	CHECK(learned.cost < 0.95 * random.cost);
	CHECK(learned.cost < 0.95 * clone.cost);
	CHECK(learned.cost < fallback.cost);
	CHECK(learner.stats().segments_dropped == 0);
}
