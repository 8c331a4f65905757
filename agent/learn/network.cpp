// SPDX-License-Identifier: Apache-2.0
//
// Forward and backward pass of the network of network.h, and the encoding of
// its inputs. The arithmetic is network_kernel.inc.
#include "network.h"

#include "exploration.h"
#include "inference.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace tactus::learn {
namespace {

float clean(float v)
{
	return v > 0 ? std::min(v, 1.0f) : 0.0f; // a NaN compares false
}

bool same_state(context const& a, context const& b)
{
	return std::equal(a.x.data(), a.x.data() + 2 * k_state_size, b.x.data());
}

} // namespace

context encode(policy_inputs const& inputs, unsigned slot, learner_config const& config, std::uint64_t updates)
{
	context out;
	encode(inputs, slot, config, out, updates);
	return out;
}

void encode(policy_inputs const& inputs, unsigned slot, learner_config const& config, context& out,
	    std::uint64_t updates)
{
	class_inputs const& c = inputs.classes[slot % k_max_slots];
	out.in_use = c.in_use;
	out.nr_places = std::clamp(inputs.nr_places, 0, k_max_places);
	out.floor = float(exploration(config).share(updates, c.deadline));
	if (out.place.cols() != out.nr_places)
		out.place.resize(k_place_size, out.nr_places);
	static kernel::table const& kernels = chosen_kernels();
	std::uint64_t const present = kernels.encode({inputs.state.value.data(), c.task.value.data(), c.place[0].data(),
						      inputs.state.present, c.task.present, out.nr_places},
						     out.x.data(), out.task.data(), out.place.data());
	out.state_present = std::uint32_t(present);
	out.task_present = std::uint32_t(present >> 32);
	// Weights 1, 3, 15 give 0.25, 0.5, 1: what counts is the ratio.
	out.task[k_task_size] = std::isfinite(c.weight) && c.weight > 0 ? clean(std::log2(1 + c.weight) / 4) : 0;
	out.task[k_task_size + 1] = c.deadline;
	for (int p = 0; p < k_max_places; ++p) // also those beyond: no loop
		out.tier[p] = std::min<std::uint8_t>(c.tier[p], TACTUS_MAX_TIERS - 1);
}

namespace {

// Rows (or columns, whichever are fewer) orthonormal: Gram-Schmidt of what is there.
void orthogonalise(Eigen::Map<Eigen::MatrixXf> m)
{
	bool const tall = m.rows() >= m.cols();
	Eigen::MatrixXf q = tall ? Eigen::MatrixXf(m) : Eigen::MatrixXf(m.transpose());
	for (int c = 0; c < q.cols(); ++c) {
		for (int before = 0; before < c; ++before)
			q.col(c) -= q.col(before).dot(q.col(c)) * q.col(before);
		q.col(c).normalize();
	}
	m = tall ? q : Eigen::MatrixXf(q.transpose());
}

} // namespace

void initial_weights(std::uint64_t seed, float* theta, int init)
{
	std::mt19937_64 random(seed);
	std::normal_distribution<float> normal;
	std::fill_n(theta, k_nr_weights, 0.0f);
	auto draw = [&](block_id id, double fan_in, double gain) {
		block const b = k_blocks[id];
		float const sigma = init == orthogonal_init ? 1 : float(gain * std::sqrt((init == he_init ? 2 : 1) / fan_in));
		for (int i = 0; i < b.size(); ++i)
			theta[b.offset + i] = sigma * normal(random);
		if (init != orthogonal_init)
			return;
		Eigen::Map<Eigen::MatrixXf> const m(theta + b.offset, b.rows, b.cols);
		orthogonalise(m);
		Eigen::Map<Eigen::MatrixXf>(theta + b.offset, b.rows, b.cols) *= float(gain);
	};
	draw(b_trunk_x, k_context, 1);
	draw(b_trunk_s, k_situation, 1);
	draw(b_head_h, k_trunk, 1);
	draw(b_head_f, k_place_size, 1);
	draw(b_head_i, k_place_i, 1);
	draw(b_head_o, k_head, 0.01);
	draw(b_hold_h, k_trunk, 0.01);
	draw(b_value_h, k_trunk, 0.01);
}

namespace {

template <class Scalar> kernel::network_table<Scalar> const& network_kernels();
template <> kernel::network_table<float> const& network_kernels()
{
	return chosen_kernels().network;
}
template <> kernel::network_table<double> const& network_kernels()
{
	return kernel::in_double;
}

template <class Scalar> kernel::blocks<Scalar> blocks_of(Scalar* w)
{
	auto const at = [w](block_id b) { return w + k_blocks[b].offset; };
	return {at(b_trunk_x), at(b_trunk_s), at(b_trunk_b),  at(b_head_h), at(b_head_f),  at(b_head_i), at(b_head_b),
		at(b_head_o),  at(b_bilinear), at(b_hold_h), at(b_hold_z), at(b_value_h), at(b_value_z)};
}

} // namespace

template <class Scalar> evaluation<Scalar>::evaluation() : evaluation(network_kernels<Scalar>())
{
}

template <class Scalar>
evaluation<Scalar>::evaluation(kernel::network_table<Scalar> const& kernels)
	: kernels_(kernels), weights_(new kernel::pass_weights<Scalar>),
	  d_weights_(new kernel::pass_weights<Scalar>)
{
	pass_.weights = weights_.get();
	pass_.d_weights = d_weights_.get();
}

template <class Scalar> void evaluation<Scalar>::forward(Scalar const* theta, batch const& b, bool layer_norm)
{
	std::size_t const n = std::size_t(b.size()), nc = b.contexts.size();
	features_.clear();
	first_place_.assign(1, 0);
	state_of_.clear();
	for (context const* c : b.contexts) {
		// The classes of one version of the rows share the machine's state.
		bool const same = !state_of_.empty() && same_state(*b.contexts[state_of_.size() - 1], *c);
		state_of_.push_back(state_of_.empty() ? 0 : state_of_.back() + !same);
		features_.push_back(features_of(*c));
		first_place_.push_back(first_place_.back() + c->nr_places);
	}
	first_pair_.assign(1, 0);
	for (std::size_t i = 0; i < n; ++i)
		first_pair_.push_back(first_pair_.back() + b.contexts[std::size_t(b.context_of[i])]->nr_places);
	context_of_ = b.context_of;
	situation_ = b.situation;
	std::size_t const places = std::size_t(first_place_.back()), pairs = std::size_t(first_pair_.back());

	std::size_t lines = 0;
	auto const each = [&](auto&& take) {
		std::size_t const trunk = k_trunk, head = k_head;
		take(pass_.state_sum, nc * trunk), take(pass_.context_sum, nc * trunk), take(pass_.context_z, nc * head);
		take(pass_.place_sum, places * 2 * head), take(pass_.place_f, places * 2 * head);
		take(pass_.h, n * trunk), take(pass_.d_u, n * head), take(pass_.t, pairs * head);
		take(pass_.normalised, layer_norm ? n * trunk : 0), take(pass_.inverse_deviation, layer_norm ? n : 0);
		take(pass_.logit, pairs), take(pass_.hold, n), take(pass_.value, n);
		take(pass_.d_logit, pairs), take(pass_.d_hold, n), take(pass_.d_value, n);
	};
	each([&](Scalar*&, std::size_t size) { lines += (size + k_head - 1) / k_head; });
	if (numbers_.size() < lines)
		numbers_.resize(lines);
	line* next = numbers_.data();
	each([&](Scalar*& array, std::size_t size) {
		array = next->of;
		next += (size + k_head - 1) / k_head;
	});
	pass_.columns = int(n);
	pass_.contexts = int(nc);
	pass_.context = features_.data();
	pass_.context_of = context_of_.data();
	pass_.first_pair = first_pair_.data();
	pass_.situation = situation_.data();
	pass_.first_place = first_place_.data();
	pass_.state_of = state_of_.data();
	pass_.layer_norm = layer_norm;
	kernels_.forward(blocks_of(theta), pass_);
}

template <class Scalar> void evaluation<Scalar>::zero_gradients()
{
	std::fill_n(pass_.d_logit, first_pair_.back(), Scalar(0));
	std::fill_n(pass_.d_hold, pass_.columns, Scalar(0));
	std::fill_n(pass_.d_value, pass_.columns, Scalar(0));
}

template <class Scalar> void evaluation<Scalar>::backward(Scalar const* theta, Scalar* gradient)
{
	kernels_.backward(blocks_of(theta), pass_, blocks_of(gradient));
}

template class evaluation<float>;
template class evaluation<double>;

} // namespace tactus::learn
