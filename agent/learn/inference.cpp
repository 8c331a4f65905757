// SPDX-License-Identifier: Apache-2.0
//
// Choice of the kernels, and the packing of weights for them: see inference.h.
#include "inference.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <string>

namespace tactus::learn {

static_assert(kernel::trunk == k_trunk && kernel::head == k_head && kernel::context == k_context &&
	      kernel::state == k_state_size && kernel::task == k_task_size && kernel::tiers == TACTUS_MAX_TIERS &&
	      kernel::situation == k_situation && kernel::task_z == k_task_z && kernel::place == k_place_size &&
	      kernel::max_places == k_max_places && k_hold_scale == 0.25 &&
	      kernel::norm_epsilon == k_norm_epsilon && kernel::scale == k_context_scale);

std::string_view name_of(instruction_set which)
{
	constexpr std::string_view names[] = {"scalar", "neon", "avx2", "avx512"};
	return names[int(which)];
}

std::vector<instruction_set> instruction_sets()
{
	std::vector<instruction_set> out{instruction_set::scalar};
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
		out.push_back(instruction_set::avx2);
	if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
	    __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw"))
		out.push_back(instruction_set::avx512);
#elif defined(__aarch64__)
	out.push_back(instruction_set::neon);
#endif
	return out;
}

instruction_set chosen_instruction_set()
{
	auto const present = instruction_sets();
	char const* const wanted = std::getenv("TACTUS_INSTRUCTIONS");
	if (!wanted || !*wanted)
		return present.back();
	std::string names;
	for (instruction_set s : present) {
		if (name_of(s) == wanted)
			return s;
		names += (names.empty() ? "" : ", ") + std::string(name_of(s));
	}
	throw config_error("TACTUS_INSTRUCTIONS is '" + std::string(wanted) + "'; this machine has: " + names);
}

kernel::table const& kernels_of(instruction_set which)
{
	auto const present = instruction_sets();
	if (std::find(present.begin(), present.end(), which) == present.end())
		throw config_error("inference: this machine does not have " + std::string(name_of(which)));
	switch (which) {
#if defined(__x86_64__)
	case instruction_set::avx2:
		return kernel::avx2;
	case instruction_set::avx512:
		return kernel::avx512;
#elif defined(__aarch64__)
	case instruction_set::neon:
		return kernel::neon;
#endif
	default:
		return kernel::scalar;
	}
}

kernel::table const& chosen_kernels()
{
	static kernel::table const& chosen = kernels_of(chosen_instruction_set());
	return chosen;
}

namespace {

// The sum of the columns (each n floats) of the bits that are set, for every mask of so many bits.
void sum_by_mask(float const* columns, int nr_bits, int n, float factor, float* out)
{
	for (int m = 1; m < 1 << nr_bits; ++m)
		for (int r = 0; r < n; ++r)
			out[m * n + r] = out[(m & (m - 1)) * n + r] + factor * columns[std::countr_zero(unsigned(m)) * n + r];
}

// out[0] is there; each step adds the next column.
void sum_by_step(float const* columns, int n, float* out)
{
	for (int k = 1; k <= kernel::steps; ++k)
		for (int r = 0; r < n; ++r)
			out[k * n + r] = out[(k - 1) * n + r] + columns[(k - 1) * n + r];
}

// Row r, column k.
float& at(kernel::by_fours* matrix, int r, int k)
{
	return matrix[k / 4][r % 4][r / 4][k % 4];
}

void pack(float const* theta, kernel::weights& w)
{
	w = {};
	auto copy = [&](block_id b, float* to) { std::copy_n(theta + k_blocks[b].offset, k_blocks[b].size(), to); };
	auto const x = view<b_trunk_x>(theta);
	float const* const state = x.data();
	float const* const task = x.col(2 * k_state_size).data();
	std::copy_n(state, k_state_size * k_trunk, w.trunk_value[0]);
	std::copy_n(task, k_task_size * k_trunk, w.trunk_value[k_state_size]);
	float marks[k_state_size + k_task_size][k_trunk];
	std::copy_n(state + k_state_size * k_trunk, k_state_size * k_trunk, marks[0]);
	std::copy_n(task + k_task_size * k_trunk, k_task_size * k_trunk, marks[k_state_size]);
	for (int i = 0; i < k_state_size + k_task_size; i += 6)
		sum_by_mask(marks[i], 6, k_trunk, k_context_scale, w.trunk_absent[i / 6][0]);
	float const* const s = view<b_trunk_s>(theta).data();
	copy(b_trunk_b, w.trunk_step[0]);
	sum_by_step(s + kernel::tiers * k_trunk, k_trunk, w.trunk_step[0]);
	sum_by_mask(s, kernel::tiers, k_trunk, 1, w.trunk_idle[0]);
	auto const h = view<b_head_h>(theta);
	for (int k = 0; k < k_trunk; ++k)
		for (int r = 0; r < k_head; ++r)
			at(w.head_h, r, k) = h(r, k);
	copy(b_head_o, w.head_o);
	copy(b_hold_h, w.hold_h);
	auto const f = view<b_head_f>(theta);
	auto const i = view<b_head_i>(theta);
	auto const b = view<b_head_b>(theta);
	for (int r = 0; r < k_head; ++r) {
		w.head_b[0][r] = b[r];
		w.head_b[1][r] = b[r] + i(r, 0);
		for (int k = 0; k < k_place_size; ++k) {
			at(w.head_f[0], r, k) = f(r, k);
			at(w.head_f[1], r, k) = f(r, k) + i(r, 1 + k);
		}
	}
	float z[k_z][k_head] = {}; // z's columns: the bilinear term, and hold's weight
	auto const bilinear = view<b_bilinear>(theta);
	for (int j = 0; j < k_z; ++j) {
		std::copy_n(bilinear.col(j).data(), k_place_i, z[j]);
		z[j][kernel::hold_lane] = view<b_hold_z>(theta)[j];
	}
	std::copy_n(z[0], k_head, w.z_step[0]);
	sum_by_step(z[1 + kernel::tiers], k_head, w.z_step[0]);
	sum_by_mask(z[1], kernel::tiers, k_head, 1, w.z_idle[0]);
	for (int j = 0; j < k_task_size; ++j)
		for (int r = 0; r < k_head; ++r)
			at(w.z_task, r, j) = z[1 + k_situation + j][r];
	std::copy_n(z[1 + k_situation + k_task_size], (k_task_z - k_task_size) * k_head, w.z_more[0]);
}

} // namespace

kernel::features features_of(context const& c)
{
	return {c.x.data(), c.task.data(), c.place.data(), c.tier.data(), c.state_present, c.task_present, c.nr_places};
}

inference::inference(instruction_set which)
	: kernels_(&kernels_of(which)), weights_(new kernel::weights{}), prepared_(new kernel::prepared{})
{
}

void inference::set_weights(float const* theta, bool layer_norm)
{
	pack(theta, *weights_);
	weights_->layer_norm = layer_norm;
}

void inference::decide(context const& c, unsigned situation, std::span<float> out) const
{
	kernels_->decide(*weights_, features_of(c), situation % TACTUS_NR_SITUATIONS, out.data());
}

void inference::set_context(context const& c)
{
	kernels_->prepare(*weights_, features_of(c), *prepared_);
}

void inference::logits(std::span<std::uint8_t const> situations, std::span<float> out) const
{
	kernels_->rows(*weights_, *prepared_, situations.data(), int(situations.size()), out.data());
}

} // namespace tactus::learn
