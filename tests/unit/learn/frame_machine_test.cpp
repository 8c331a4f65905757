// SPDX-License-Identifier: Apache-2.0
//
// The learner on the simulated demo: from the clone of the fallback to clearly less cost within some ten
// thousand completions, with asynchronous learners. What it shows is the learner, not the machine:
// docs/simulator.md says what is not modelled.
#include "agent/learn/api.h"
#include "sim/policy/policy.h"

#include <chrono>
#include <doctest/doctest.h>
#include <thread>

using namespace tactus::learn;
using namespace tactus::sim;

namespace {

#ifdef __SANITIZE_THREAD__ // here only that nothing races or is lost
constexpr bool k_judged = false;
#else
constexpr bool k_judged = true;
#endif

// Waits, 0.2 s at most, until what was submitted is learned from but for segments that are not full.
void let_learners_follow(learner_set& learner)
{
	auto const seen = learner.stats().decisions_seen;
	for (int i = 0; i < 2000; ++i) {
		if (learner.stats().decisions_trained + 64 > seen)
			return;
		std::this_thread::sleep_for(std::chrono::microseconds(100));
	}
}

std::uint64_t tasks_ended(simulation const& s)
{
	std::uint64_t n = 0;
	for (class_window const& c : s.window().classes)
		n += c.ended;
	return n;
}

} // namespace

TEST_CASE("on two fast and two slow CPUs the learned rows beat random, the fallback and the clone they began with")
{
	machine const demo = load_machine("demo");
	workload const frame = load_workload("frame");
	auto const cost_from = [](simulation& s) {
		s.run_until(s.now_ns() + 2'000'000'000);
		s.start_window();
		s.run_until(s.now_ns() + 20'000'000'000);
		return s.window().cost;
	};
	auto const cost_of = [&](policy& p) {
		simulation s(demo, frame, {});
		p.attach(s);
		return cost_from(s);
	};

	learner_set learner(learner_config{});
	learner.start(2);
	std::uint32_t version = 0;
	simulation s(demo, frame, {});
	auto const policy = make_learned(learner, version, {});
	policy->attach(s);
	s.start_window();
	while (tasks_ended(s) < (k_judged ? 12'000 : 2'000)) {
		s.run_until(s.now_ns() + 50'000'000);
		let_learners_follow(learner); // in real time they have 50 ms
	}
	learner.stop();
	CHECK(learner.stats().updates > 20);
	CHECK(learner.stats().segments_dropped == 0);
	CHECK(learner.stats().sequence_gaps == 0);
	if (!k_judged)
		return;

	learner.set_learning(false);
	double const learned = cost_from(s);
	double const random = cost_of(*make_policy("random", {})), fallback = cost_of(*make_policy("fallback", {}));
	auto const start = make_policy("learned", {});
	start->set_learning(false);
	double const clone = cost_of(*start);
	MESSAGE("cost: fallback " << fallback << ", random " << random << ", clone " << clone << ", learned " << learned);
	CHECK(learned < 0.75 * random);
	CHECK(learned < 0.75 * clone);
	CHECK(learned < 0.75 * fallback);
}
