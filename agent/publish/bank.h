// SPDX-License-Identifier: Apache-2.0
//
// Writing rows so that a reader in the kernel never takes a torn one for valid, and reading them
// the same way (tests, route tables).
//
// Writer: version_end = 0, version_begin = v, body, version_end = v, each store released, so that
// no reader sees a later one without the earlier ones. Reader: version_end, body, version_begin,
// each load acquired; valid when both versions are equal and not 0. On x86 all of this is plain
// moves. One writer per bank.
#pragma once

#include <tactus/abi/decision_map.h>

#include <cstdint>

namespace tactus::agent {

// The body of `row` (confidence, slice, cdf) into *to, as version v (not 0).
void write_row(tactus_row* to, const tactus_row& row, std::uint32_t version);
// Makes *to invalid.
void clear_row(tactus_row* to);
// False: torn or never written.
bool read_row(const tactus_row* from, tactus_row& out);

// Uniform over the places, no hold, confidence 1: the arm `random` of a comparison.
tactus_row uniform_row(unsigned nr_places);

// For a class of a route table: how likely the rows of (bank, slot) choose each place, 0..255 of the
// likeliest one; averaged over the situations with the weights given (all equal where all are 0).
// Not against holding: a place that a row avoids has no mass, and so little to hold against.
void suit_of_rows(const tactus_row* rows, unsigned bank, unsigned slot, const float* visits, unsigned nr_places,
                  std::uint8_t* out);

}  // namespace tactus::agent
