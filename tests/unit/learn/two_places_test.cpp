// SPDX-License-Identifier: Apache-2.0
//
// A known answer that changes: two places, one three times as slow, nothing in
// the features tells which; half-way they are switched. Learners are
// asynchronous threads; decisions are drawn from compiled rows by policy.h.
#include "systems.h"

#include <doctest/doctest.h>
#include <random>
#include <thread>

using namespace tactus::learn;
using namespace tactus::learn::test;

namespace {

// One task every 4 ms, alone on the machine; it takes 1 ms at the better place
// and 3 ms at the other.
class two_places {
public:
	explicit two_places(learner_set& learner) : learner_(learner) {}

	void publish()
	{
		auto in = std::make_shared<policy_inputs>();
		in->version = ++version_;
		in->nr_places = 2;
		class_inputs& c = in->classes[1];
		c.in_use = true;
		for (int p = 0; p < 2; ++p) {
			c.place[p][k_place_speed] = 1; // not known: told as equal
			c.place[p][k_place_capacity] = 1;
			c.place[p][k_place_home_domain] = float(p); // what tells them apart
		}
		table_sink sink(rows_);
		learner_.compile(in, sink);
	}

	void decide()
	{
		tactus_choice c{};
		unsigned const situation = tactus_situation(1, 0);
		tactus_sample(rows_.row(1, situation).cdf, 2, 3, true, std::uint32_t(random_()), &c);
		decision d;
		d.sequence = sequence_++;
		d.time_ns = now_;
		d.area = area_;
		d.legal = 3;
		d.version = version_;
		d.prob_num = c.num;
		d.prob_den = c.den;
		d.slot = 1;
		d.situation = std::uint8_t(situation);
		d.chosen = std::uint8_t(c.action);
		d.hold_legal = true;
		learner_.submit(d);
		// held: as long as the slow place, and nothing done
		area_ += c.action == TACTUS_HOLD ? 4'000'000 : int(c.action) == better ? 1'000'000 : 3'000'000;
		now_ += 4'000'000;
	}

	double chance_of_better() const
	{
		return tactus_row_mass(rows_.row(1, tactus_situation(1, 0)).cdf, unsigned(better)) / 65535.0;
	}
	std::uint64_t decisions() const { return sequence_; }

	// Until the better place has most of the mass, or so many decisions.
	std::uint64_t until_found(std::uint64_t limit)
	{
		std::uint64_t const start = sequence_;
		while (sequence_ - start < limit) {
			publish();
			if (chance_of_better() > 0.9)
				break;
			for (int i = 0; i < 64; ++i)
				decide();
			// The environment is far faster than real time: let the learners follow.
			auto const seen = learner_.stats().decisions_seen;
			for (int i = 0; i < 2000; ++i) {
				auto const s = learner_.stats();
				if (s.decisions_trained + 512 > seen || s.segments_dropped)
					break;
				std::this_thread::sleep_for(std::chrono::microseconds(100));
			}
		}
		return sequence_ - start;
	}

	int better = 0;

private:
	learner_set& learner_;
	row_table rows_;
	std::mt19937_64 random_{3};
	std::uint32_t version_ = 0;
	std::uint64_t sequence_ = 0, now_ = 0, area_ = 0;
};

} // namespace

TEST_CASE("asynchronous learners find the better place and follow when it is switched")
{
	learner_config config;
	config.service_time_ns = 2e6;
	learner_set learner(config);
	learner.start(3);
	two_places env(learner);
	env.publish();
	CHECK(env.chance_of_better() < 0.65); // the clone does not know

	auto const first = env.until_found(40000);
	CHECK(env.chance_of_better() > 0.9);
	auto const half = learner.stats();
	for (layer_change const& l : half.layers) {
		INFO(l.name);
		CHECK(l.change > 1e-4);
	}

	env.better = 1;
	env.publish();
	CHECK(env.chance_of_better() < 0.2);
	auto const second = env.until_found(80000);
	CHECK(env.chance_of_better() > 0.9);
	auto const end = learner.stats();
	for (std::size_t i = 0; i < end.layers.size(); ++i) {
		INFO(end.layers[i].name);
		CHECK(end.layers[i].norm != half.layers[i].norm);
	}
	CHECK(end.bad_updates == 0);
	CHECK(end.sequence_gaps == 0);
	CHECK(end.updates > 10);
	MESSAGE("found after " << first << " decisions, followed the switch after " << second);
	learner.stop();
}
