// SPDX-License-Identifier: Apache-2.0
//
// From decisions to segments: losses are never bridged, neighbours in the other
// order are put right, areas that jump are not learned from, groups are apart.
#include "agent/learn/segment_queue.h"
#include "agent/learn/segments.h"
#include "systems.h"

#include <cmath>
#include <doctest/doctest.h>
#include <span>

using namespace tactus::learn;
using namespace tactus::learn::test;

namespace {

struct bench {
	explicit bench(learner_config c = {}) : config(c), history(c.kept_versions), assembler(config, history)
	{
		add_version(1);
	}
	void add_version(std::uint32_t version)
	{
		auto const inputs = fast_and_slow().inputs(version);
		auto v = std::make_shared<version_contexts>();
		v->version = version;
		v->slot[1] = encode(*inputs, 1, config);
		v->slot[k_max_slots] = encode(*inputs, 0, config);
		history.add(v);
	}
	decision make(std::uint64_t sequence) const
	{
		decision d;
		d.sequence = sequence;
		d.time_ns = 1'000'000 + sequence * 1000;
		d.area = 7'000'000 + sequence * 2000;
		d.legal = 3;
		d.version = 1;
		d.prob_num = 1;
		d.prob_den = 2;
		d.slot = 1;
		d.chosen = std::uint8_t(sequence % 2);
		d.hold_legal = true;
		return d;
	}
	void give(decision const& d)
	{
		assembler.event(d.sequence, &d, 0, [&](segment&& s) { out.push_back(std::move(s)); });
	}
	void give(std::uint64_t sequence) { give(make(sequence)); }
	void skip(std::uint64_t sequence)
	{
		assembler.event(sequence, nullptr, 0, [&](segment&& s) { out.push_back(std::move(s)); });
	}

	learner_config const config;
	version_history history;
	domain_assembler assembler;
	std::vector<segment> out;
};

learner_config short_segments(int n, int window = 4)
{
	learner_config c;
	c.segment_length = n;
	c.reorder_window = window;
	return c;
}

} // namespace

TEST_CASE("a full segment ends in the state that opens the next")
{
	bench b(short_segments(4));
	for (std::uint64_t i = 0; i <= 8; ++i)
		b.give(i);
	REQUIRE(b.out.size() == 2);
	CHECK(b.out[0].n() == 4);
	CHECK(b.out[1].n() == 4);
	CHECK(b.out[0].steps[4].action == b.out[1].steps[0].action);
	CHECK(b.out[0].steps[0].mu == doctest::Approx(0.5));
	CHECK(b.out[0].steps[0].policy_term);
	// constant cost rate: centred rewards are 0
	for (auto const& k : b.out[1].steps)
		CHECK(std::abs(k.r) < 1e-4);
}

TEST_CASE("events that are no decisions keep the sequence whole")
{
	bench b(short_segments(2));
	b.give(0);
	b.skip(1);
	b.give(2);
	b.skip(3);
	b.give(4);
	CHECK(b.out.size() == 1);
	CHECK(b.assembler.counts().gaps == 0);
}

TEST_CASE("a gap ends the segment before it and is not bridged")
{
	bench b(short_segments(8, 2));
	for (std::uint64_t i = 0; i < 4; ++i)
		b.give(i);
	for (std::uint64_t i = 10; i < 13; ++i) // 4..9 lost
		b.give(i);
	CHECK(b.assembler.counts().gaps == 1);
	REQUIRE(b.out.size() == 1);
	CHECK(b.out[0].n() == 3); // 0,1,2 with the state of 3; the interval 3..10 is in no segment
	for (std::uint64_t i = 13; i < 19; ++i)
		b.give(i);
	REQUIRE(b.out.size() == 2);
	CHECK(b.out[1].n() == 8); // 10 .. 18
}

TEST_CASE("neighbours in the other order are put right, late and double ones are ignored")
{
	bench b(short_segments(5, 4));
	for (std::uint64_t i : {0, 2, 1, 3, 3, 1, 5, 4})
		b.give(i);
	CHECK(b.assembler.counts().gaps == 0);
	REQUIRE(b.out.size() == 1);
	CHECK(b.out[0].n() == 5);
	for (int k = 0; k <= 5; ++k)
		CHECK(b.out[0].steps[k].action == k % 2);

	bench narrow(short_segments(5, 0)); // the window at 0: every disorder is a gap
	for (std::uint64_t i : {0, 2, 1, 3})
		narrow.give(i);
	CHECK(narrow.assembler.counts().gaps == 1);
}

TEST_CASE("an area or a clock that runs back or jumps ends the segment")
{
	bench b(short_segments(8));
	auto give = [&](std::uint64_t i, std::int64_t area, std::int64_t time) {
		decision d = b.make(i);
		d.area += std::uint64_t(area);
		d.time_ns += std::uint64_t(time);
		b.give(d);
	};
	give(0, 0, 0);
	give(1, 0, 0);
	give(2, 4'000'000'000'000, 0); // N and M read in between: a jump of weight x uptime ..
	give(3, 0, 0);		       // .. and back
	give(4, 0, 0);
	CHECK(b.assembler.counts().bad_costs == 2);
	REQUIRE(b.out.size() == 1);
	CHECK(b.out[0].n() == 1);
	give(5, 0, -1'001'500); // far back
	CHECK(b.assembler.counts().bad_costs == 3);
	bench slight(short_segments(3));
	for (std::uint64_t i = 0; i < 4; ++i) {
		decision d = slight.make(i);
		if (i == 2)
			d.time_ns -= 1500, d.area -= 3000; // two CPUs, less than a millisecond
		slight.give(d);
	}
	CHECK(slight.assembler.counts().bad_costs == 0);
	CHECK(slight.out.size() == 1);
}

TEST_CASE("a row of a version no longer kept, forced actions and fallbacks have no policy term")
{
	learner_config c = short_segments(7);
	c.kept_versions = 2;
	bench b(c);
	b.add_version(2);
	std::uint64_t i = 0;
	auto give = [&](std::uint32_t version, tactus_source source) {
		decision d = b.make(i++);
		d.version = version;
		d.source = std::uint8_t(source);
		b.give(d);
	};
	give(1, TACTUS_SOURCE_ROW);
	give(2, TACTUS_SOURCE_MIXED);
	b.add_version(3); // 1 goes
	give(1, TACTUS_SOURCE_ROW);
	give(3, TACTUS_SOURCE_ROW);
	give(3, TACTUS_SOURCE_FORCED_BOUND);
	give(0, TACTUS_SOURCE_FALLBACK_HEARTBEAT);
	give(3, TACTUS_SOURCE_ROW);
	give(3, TACTUS_SOURCE_ROW);
	REQUIRE(b.out.size() == 1);
	std::vector<bool> terms;
	for (auto const& k : b.out[0].steps)
		terms.push_back(k.policy_term);
	// the last kept copy of 1 is held by the assembler itself while it is in use
	CHECK(terms == std::vector<bool>{true, true, false, true, false, false, true, true});
	CHECK(b.assembler.counts().unknown_versions == 1);
}

TEST_CASE("groups have streams of their own; untrusted ones train nothing")
{
	bench b(short_segments(3));
	for (std::uint64_t i = 0; i < 12; ++i) {
		decision d = b.make(i);
		d.group = std::uint16_t(i % 3);
		d.trusted = d.group != 2;
		b.give(d);
	}
	REQUIRE(b.out.size() == 2);
	CHECK(b.out[0].group == 0);
	CHECK(b.out[1].group == 1);
	CHECK(b.assembler.counts().untrusted == 4);
}

TEST_CASE("another environment: means begin anew, and its first interval is not bridged to the last")
{
	bench b(short_segments(4));
	for (std::uint64_t i = 0; i <= 20; ++i)
		b.give(i);
	b.assembler.reset();
	CHECK(b.assembler.figures().eta == doctest::Approx(2)); // as before
	b.assembler.forget();
	CHECK(b.assembler.figures().count == 0);
	b.out.clear();
	for (std::uint64_t i = 0; i <= 4; ++i) {
		decision d = b.make(i); // the clock begins anew too
		d.area = i * 50'000;
		b.give(d);
	}
	REQUIRE(b.out.size() == 1);
	CHECK(b.assembler.figures().eta == doctest::Approx(50));
	for (auto const& k : std::span(b.out[0].steps).first(4))
		CHECK(std::abs(k.r) < 1e-4);
}

TEST_CASE("the queue serves groups in turn and drops what is too much")
{
	segment_queue q(2);
	auto make = [](int group) {
		segment s;
		s.group = std::uint16_t(group);
		return s;
	};
	CHECK(q.push(make(1)));
	CHECK(q.push(make(1)));
	CHECK_FALSE(q.push(make(1)));
	CHECK(q.push(make(2)));
	CHECK(q.take()->group == 1);
	CHECK(q.take()->group == 2);
	CHECK(q.take()->group == 1);
	q.done(), q.done(), q.done();
	CHECK(q.push(make(3)));
	q.drain();
	q.close();
	CHECK_FALSE(q.push(make(3)));
	CHECK_FALSE(q.take().has_value());
	q.open();
	CHECK(q.push(make(3)));
}
