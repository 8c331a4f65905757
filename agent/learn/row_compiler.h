// SPDX-License-Identifier: Apache-2.0
//
// From the inputs of a version to its rows: the policy is evaluated in every situation that a class can
// be in, its logits become the row's distribution (exploration.h), and that is quantised (rows.h).
// Thread-safety: one thread at a time per object.
#pragma once

#include "api.h"
#include "exploration.h"
#include "inference.h"
#include "segments.h"

#include <array>
#include <memory>
#include <optional>
#include <vector>

namespace tactus::learn {

// The encoded inputs of the slots in use, and in the last place of a decision without a class.
std::shared_ptr<version_contexts> contexts_of(policy_inputs const& inputs, learner_config const& config, std::uint64_t updates);

class row_compiler {
public:
	// Both must outlive it.
	row_compiler(learner_config const& config, exploration const& explore) : config_(config), explore_(explore) {}

	// Puts every row of the slots in use, by the weights theta. Returns the mean KL of these rows to those
	// of the version before; nothing when there are none to compare with. exploring: exploration.h.
	std::optional<double> compile(policy_inputs const& inputs, version_contexts const& contexts, float const* theta, bool exploring,
				      row_sink& sink);

private:
	learner_config const& config_;
	exploration const& explore_;
	inference pi_;
	std::vector<std::uint16_t> last_rows_; // slots x situations x cdf, once a slot was compiled
	std::array<int, k_max_slots> last_places_{};
};

} // namespace tactus::learn
