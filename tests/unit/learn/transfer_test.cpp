// SPDX-License-Identifier: Apache-2.0
//
// A checkpoint of another machine: the policy is kept, and stands still while
// the critic learns the costs of this one.
#include "systems.h"

#include <cstdlib>
#include <doctest/doctest.h>
#include <filesystem>
#include <unistd.h>

using namespace tactus::learn;
using namespace tactus::learn::test;

namespace {

struct file {
	file()
	{
		std::string pattern = (std::filesystem::temp_directory_path() / "tactus-transfer-XXXXXX").string();
		int const fd = mkstemp(pattern.data());
		REQUIRE(fd >= 0);
		close(fd);
		path = pattern;
	}
	~file() { std::filesystem::remove(path); }
	std::string path;
};

learner_config of_machine(std::uint64_t machine, int transfer_updates = 50)
{
	learner_config c;
	c.clone_steps = 20;
	c.machine = machine;
	c.transfer_updates = transfer_updates;
	return c;
}

// Learns until so many updates more.
void train(learner_set& learner, std::uint64_t updates, std::uint64_t seed)
{
	closed_loop loop(fast_and_slow(), learner, seed);
	auto const until = learner.stats().updates + updates;
	while (learner.stats().updates < until) {
		loop.publish();
		for (int i = 0; i < 100 && learner.stats().updates < until; ++i)
			loop.run_decisions(1);
	}
}

std::vector<double> policy_of(learner_set const& learner)
{
	std::vector<double> out;
	auto const inputs = fast_and_slow().inputs(1);
	for (unsigned s = 0; s < TACTUS_NR_SITUATIONS; ++s)
		for (double p : learner.distribution(*inputs, 1, s))
			out.push_back(p);
	return out;
}

double change_of(learner_set const& learner, std::string const& layer)
{
	for (layer_change const& l : learner.stats().layers)
		if (l.name == layer)
			return l.change;
	FAIL("no such layer");
	return 0;
}

} // namespace

TEST_CASE("on another machine the policy stands still until the critic was refitted, then learns on")
{
	file f;
	learner_set first(of_machine(1));
	train(first, 100, 1);
	first.save(f.path);
	auto const kept = policy_of(first);

	learner_set second(of_machine(2));
	second.load(f.path);
	CHECK(policy_of(second) == kept);
	CHECK(second.stats().frozen_updates == 50);
	CHECK(second.stats().decisions_trained == 0); // the schedules begin anew
	train(second, 50, 2);
	CHECK(second.stats().frozen_updates == 0);
	CHECK(policy_of(second) == kept);
	CHECK(change_of(second, "value_trunk") > 0);
	CHECK(change_of(second, "value_situation") > 0);
	CHECK(change_of(second, "trunk_context") == 0); // shared with the actor
	train(second, 5, 3);
	CHECK(policy_of(second) != kept);
}

TEST_CASE("on the same machine, or with no updates to wait, the policy learns at once")
{
	file f;
	learner_set first(of_machine(1));
	train(first, 100, 1);
	first.save(f.path);
	auto const kept = policy_of(first);
	for (auto const& config : {of_machine(1), of_machine(2, 0), of_machine(0)}) {
		learner_set other(config);
		other.load(f.path);
		CHECK(policy_of(other) == kept);
		CHECK(other.stats().frozen_updates == 0);
		train(other, 5, 2);
		CHECK(policy_of(other) != kept);
	}
}

TEST_CASE("an agent that ends while the actor stands still goes on standing still")
{
	file f, g;
	learner_set first(of_machine(1));
	train(first, 100, 1);
	first.save(f.path);
	learner_set second(of_machine(2));
	second.load(f.path);
	train(second, 20, 2);
	second.save(g.path);
	learner_set again(of_machine(2));
	again.load(g.path);
	CHECK(again.stats().frozen_updates == 30);
}
