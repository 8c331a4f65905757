// SPDX-License-Identifier: Apache-2.0
//
// The checkpoint file: a header that says what follows (magic, schema, shape of
// the network, length), the weights, and a checksum over all of it. Little
// endian, as all machines Tactus runs on. A file that is not exactly what its
// header says is refused; nothing is repaired.
//
// Weights mean another function with layer normalisation than without: the shape
// says also which of the two they were learned with. Files without have the shape
// they had before there was the choice.
//
// Schema 3 has in its header also the machine that was learned on; schema 2,
// which has not, is read as of no particular machine.
#pragma once

#include "network.h"

#include <string>
#include <string_view>
#include <vector>

namespace tactus::learn {

struct checkpoint {
	std::vector<float> theta, squares, prior; // nr_weights each; squares: RMSProp's g
	std::uint64_t decisions_trained = 0, updates = 0;
	bool layer_norm = false;	  // of the network that learned them
	double mean_square_advantage = 0;
	std::uint64_t updates_of_advantage = 0;
	std::uint64_t machine = 0;	  // fingerprint of the machine learned on; 0: none in particular
	std::uint64_t frozen_updates = 0; // the actor stands still for so many updates more
};

// What the header must say of the network; anything else is another schema.
struct checkpoint_layout {
	std::uint32_t nr_blocks, nr_weights;
	std::uint64_t shape; // of the blocks' rows and columns
	std::uint64_t shape_of(bool layer_norm) const; // what the header has
};
checkpoint_layout network_layout();

// The file's bytes, and back. decode throws checkpoint_error; `name` stands for
// the file in its message. REQUIRES of encode: vectors of nr_weights entries.
std::string encode_checkpoint(checkpoint const& c, checkpoint_layout const& layout = network_layout());
checkpoint decode_checkpoint(std::string_view data, std::string const& name,
			     checkpoint_layout const& layout = network_layout());

// Both throw checkpoint_error. Writing replaces the file atomically; weights that
// are no numbers are not written, so that the file there stays the last good one.
void write_checkpoint(std::string const& path, checkpoint const& c);
checkpoint read_checkpoint(std::string const& path);

} // namespace tactus::learn
