// SPDX-License-Identifier: Apache-2.0
//
// The compiler of row_compiler.h.
#include "row_compiler.h"

#include "rows.h"

#include <algorithm>
#include <cmath>

namespace tactus::learn {

std::shared_ptr<version_contexts> contexts_of(policy_inputs const& inputs, learner_config const& config, std::uint64_t updates)
{
	auto contexts = std::make_shared<version_contexts>();
	contexts->version = inputs.version;
	for (unsigned slot = 0; slot < unsigned(k_max_slots); ++slot)
		if (inputs.classes[slot].in_use)
			contexts->slot[slot] = encode(inputs, slot, config, updates);
	policy_inputs nobody;
	nobody.nr_places = inputs.nr_places;
	nobody.state = inputs.state;
	contexts->slot[k_max_slots] = encode(nobody, 0, config, updates);
	return contexts;
}

std::optional<double> row_compiler::compile(policy_inputs const& inputs, version_contexts const& contexts, float const* theta,
					    bool exploring, row_sink& sink)
{
	constexpr std::size_t row_size = TACTUS_MAX_PLACES;
	constexpr std::size_t slot_size = TACTUS_NR_SITUATIONS * row_size;
	int const nr_places = inputs.nr_places;
	pi_.set_weights(theta, config_.layer_norm);
	if (last_rows_.empty())
		last_rows_.resize(k_max_slots * slot_size);
	double sum_kl = 0;
	int rows_compared = 0;
	std::vector<std::uint8_t> situations; // evaluated of a class
	std::vector<float> logits, z(std::size_t(nr_places) + 1);
	std::vector<double> probability(z.size());
	std::vector<std::uint8_t> near;
	std::array<tactus_row, TACTUS_NR_SITUATIONS> rows;
	for (unsigned slot = 0; slot < unsigned(k_max_slots); ++slot) {
		class_inputs const& c = inputs.classes[slot];
		if (!c.in_use) {
			last_places_[slot] = 0;
			continue;
		}
		context const& x = contexts.slot[slot];
		// Only tiers that this class has can be idle; the kernel never forms
		// another situation, so the others share the row of what is left of them.
		unsigned existing = 7u << 4;
		for (int i = 0; i < nr_places; ++i)
			existing |= 1u << x.tier[i];
		situations.clear();
		std::array<int, TACTUS_NR_SITUATIONS> column;
		for (unsigned s = 0; s < TACTUS_NR_SITUATIONS; ++s) {
			if ((s & existing) == s) {
				column[s] = int(situations.size());
				situations.push_back(std::uint8_t(s));
			} else {
				column[s] = column[s & existing]; // a smaller number: already there
			}
		}
		logits.resize(situations.size() * z.size());
		pi_.set_context(x);
		pi_.logits(situations, logits);
		for (std::size_t i = 0; i < situations.size(); ++i) {
			std::copy_n(logits.data() + i * z.size(), z.size(), z.data());
			near_actions(x, situations[i], near);
			explore_.distribution(z, near, double(x.floor), exploring, probability);
			tactus_row& row = rows[i];
			row = {};
			float const confidence = std::isfinite(c.confidence) ? std::clamp(c.confidence, 0.0f, 1.0f) : 0;
			row.confidence = std::uint16_t(std::lround(confidence * 65535));
			row.slice_10us = c.slice_10us;
			quantise(probability, row.cdf);
			std::uint16_t* last = last_rows_.data() + slot * slot_size + situations[i] * row_size;
			if (last_places_[slot] == nr_places) {
				sum_kl += row_kl(last, row.cdf, nr_places);
				++rows_compared;
			}
			std::copy_n(row.cdf, row_size, last);
		}
		last_places_[slot] = nr_places;
		for (unsigned s = 0; s < TACTUS_NR_SITUATIONS; ++s)
			sink.put(slot, s, rows[std::size_t(column[s])]);
	}
	if (rows_compared == 0)
		return {};
	return sum_kl / rows_compared;
}

} // namespace tactus::learn
