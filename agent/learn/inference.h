// SPDX-License-Identifier: Apache-2.0
//
// The policy's forward pass for operation: the network of network.h on fixed
// dimensions, with the vectors that this machine has (chosen at run time). Results
// of the instruction sets agree with each other and with network.h within
// k_inference_tolerance. The learner's passes with gradients are network.h's, by
// kernels of the same table. Knows no critic.
//
// Two ways in: decide() for one decision, and set_context() + logits() for many
// situations of one class, as the publisher needs them: what depends on the context
// is computed once, and of a situation only the sums of its few columns are added.
#pragma once

#include "network.h"

#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace tactus::learn {

enum class instruction_set : int { scalar, neon, avx2, avx512 };
std::string_view name_of(instruction_set which);

// Of a logit, relative to 1 + its absolute value, for weights as they are learned.
inline constexpr double k_inference_tolerance = 1e-4;

// Compiled in and present on this machine, slowest first; scalar is always there.
std::vector<instruction_set> instruction_sets();

// The fastest, or the one that the environment variable TACTUS_INSTRUCTIONS names.
// Throws config_error when this machine does not have that one.
instruction_set chosen_instruction_set();

// Its functions, for tests and benchmarks. Throws config_error: not on this machine.
kernel::table const& kernels_of(instruction_set which);
// Those of the instruction set that was chosen when they were first asked for.
kernel::table const& chosen_kernels();
kernel::features features_of(context const& c);

// Thread-safety: const calls by any thread, the others by one at a time.
class inference {
public:
	explicit inference(instruction_set which = chosen_instruction_set());

	// Takes k_nr_weights weights, of a network with layer normalisation or without.
	void set_weights(float const* theta, bool layer_norm);

	// Logits of one decision: c.nr_places places, then hold.
	void decide(context const& c, unsigned situation, std::span<float> out) const;

	// The class that logits() evaluates; copies what it needs.
	void set_context(context const& c);
	// out: per situation nr_places logits of places, then hold's.
	void logits(std::span<std::uint8_t const> situations, std::span<float> out) const;

private:
	kernel::table const* kernels_;
	std::unique_ptr<kernel::weights> weights_;
	std::unique_ptr<kernel::prepared> prepared_;
};

} // namespace tactus::learn
