// SPDX-License-Identifier: Apache-2.0
//
// The checkpoint file: a header that says what follows (magic, schema, shape of
// the network, length), the weights, and a checksum over all of it. Little
// endian, as all machines Tactus runs on. A file that is not exactly what its
// header says is refused; nothing is repaired.
#pragma once

#include "network.h"

#include <string>
#include <vector>

namespace tactus::learn {

struct checkpoint {
	std::vector<float> theta, squares, prior; // k_nr_weights each; squares: RMSProp's g
	std::uint64_t decisions_trained = 0, updates = 0;
	double mean_square_advantage = 0;
	std::uint64_t updates_of_advantage = 0;
};

// Both throw checkpoint_error. Writing replaces the file atomically.
void write_checkpoint(std::string const& path, checkpoint const& c);
checkpoint read_checkpoint(std::string const& path);

} // namespace tactus::learn
