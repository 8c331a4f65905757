// SPDX-License-Identifier: Apache-2.0
//
// The small systems of sim/queueing that the learner's tests run on.
#pragma once

#include "queueing/training.h"

namespace tactus::learn::test {

using sim::closed_loop, sim::oracle_system, sim::row_table, sim::system_spec, sim::table_sink;

// O1: a fast place and one of a quarter of its speed, one class, slot 1.
inline oracle_system const& fast_and_slow()
{
	static oracle_system const system{system_spec{}};
	return system;
}
// Situations of it in which nobody waits, by who is idle.
inline constexpr unsigned k_none_idle = 0, k_fast_idle = 0b001, k_slow_idle = 0b100, k_both_idle = 0b101;

// O4: two places, two classes, slots 1 and 2; each is at half speed on the other's place.
inline oracle_system const& two_classes()
{
	static oracle_system const system{system_spec{.model = "affinity"}};
	return system;
}

// A learner's rows from what the system tells it.
inline row_table rows_of(learner_set& learner, oracle_system const& system, std::uint32_t version = 1)
{
	row_table rows;
	table_sink sink(rows);
	learner.compile(system.inputs(version), sink);
	return rows;
}

} // namespace tactus::learn::test
