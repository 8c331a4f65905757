// SPDX-License-Identifier: Apache-2.0
//
// When a policy counts as settled, and what ends that.
#include "agent/learn/convergence.h"

#include <doctest/doctest.h>

using namespace tactus::learn;

namespace {

// Settled by 10 steady versions after the one that begins the run.
convergence settled()
{
	convergence c(1e-3, 10);
	for (int i = 0; i < 11; ++i)
		c.publish(5e-4, 0.8, 2);
	REQUIRE(c.settled());
	return c;
}

} // namespace

TEST_CASE("settled after so many steady versions on end, and not before")
{
	convergence c(1e-3, 10);
	for (int i = 0; i < 10; ++i)
		CHECK_FALSE(c.publish(5e-4, 0.8, 2));
	CHECK(c.publish(5e-4, 0.8, 2));
	CHECK(c.steady_publishes() == 10);

	convergence interrupted(1e-3, 10);
	for (int i = 0; i < 40; ++i)
		CHECK_FALSE(interrupted.publish(i % 8 == 7 ? 2e-3 : 5e-4, 0.8, 2));
}

TEST_CASE("a critic that still learns, or tasks present that still move, keep it from settling")
{
	convergence critic(1e-3, 10), load(1e-3, 10);
	for (int i = 0; i < 60; ++i) {
		CHECK_FALSE(critic.publish(0, i * 0.02, 2));
		CHECK_FALSE(load.publish(0, 0.8, 1 << (i / 4)));
	}
}

TEST_CASE("settled, it bears what rarer publishing brings, and leaves when rows, critic or load change")
{
	auto c = settled();
	CHECK(c.publish(3e-3, 0.8, 2)); // three times what it took to enter
	CHECK(c.publish(5e-4, 0.65, 5));
	CHECK_FALSE(c.publish(5e-3, 0.8, 2)); // rows
	c = settled();
	CHECK_FALSE(c.publish(5e-4, 0.5, 2)); // critic
	c = settled();
	CHECK_FALSE(c.publish(5e-4, 0.8, 9)); // load: up
	c = settled();
	CHECK_FALSE(c.publish(5e-4, 0.8, 0.4)); // .. and down
	for (int i = 0; i < 9; ++i)
		CHECK_FALSE(c.publish(5e-4, 0.8, 0.4));
	CHECK(c.publish(5e-4, 0.8, 0.4)); // settled anew, under the new load
}

TEST_CASE("tasks present that are not known are no reason")
{
	convergence c(1e-3, 10);
	for (int i = 0; i < 11; ++i)
		c.publish(5e-4, 0, i % 2 ? 0 : 3);
	CHECK(c.settled());
}
