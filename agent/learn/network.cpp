// SPDX-License-Identifier: Apache-2.0
//
// Forward and backward pass of the network of network.h, and the encoding of
// its inputs. Buffers grow to the largest batch seen and are then reused.
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

// tanh by the vectorised rational approximation where Eigen has one.
template <class Block> void tanh_in_place(Block&& m)
{
	m.array() = m.array().tanh();
}

// N of network.h: brings a column to mean 0 and variance 1. Returns what it was multiplied by.
template <class Column> auto normalise(Column&& a)
{
	using scalar = typename std::decay_t<Column>::Scalar;
	a.array() -= a.mean();
	scalar const inverse_deviation = 1 / std::sqrt(a.squaredNorm() / k_trunk + scalar(k_norm_epsilon));
	a *= inverse_deviation;
	return inverse_deviation;
}

// Of d loss / d N(a) makes d loss / d a: mean and deviation are functions of a too.
template <class Column, class Normalised>
void normalise_backward(Column&& d, Normalised const& normalised, typename Normalised::Scalar inverse_deviation)
{
	auto const mean = d.mean(), along = d.dot(normalised) / k_trunk;
	d.array() = (d.array() - mean - along * normalised.array()) * inverse_deviation;
}

template <class Matrix> void reserve(Matrix& m, int rows, int cols)
{
	if (m.rows() != rows || m.cols() < cols)
		m.resize(rows, cols);
}

// First and number of the inputs of x that are the machine state, and the task's.
constexpr int k_state_x = 2 * k_state_size;
constexpr int k_task_x = k_context - k_state_x;

// Calls f(j, x[j]) for the inputs of x from `first` on that are not 0: at most one of a
// value and its absent mark is not, so that half of the columns of Wx are never read.
template <class F> void for_inputs(context const& c, int first, int count, F&& f)
{
	for (int j = first; j < first + count; ++j)
		if (c.x[j] != 0)
			f(j, c.x[j]);
}

bool same_state(context const& a, context const& b)
{
	return std::equal(a.x.data(), a.x.data() + k_state_x, b.x.data());
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
	out.place.resize(k_place_size, out.nr_places);
	chosen_kernels().encode({inputs.state.value.data(), c.task.value.data(), c.place[0].data(), inputs.state.present,
				 c.task.present, out.nr_places},
				out.x.data(), out.task.data(), out.place.data(), &out.state_present, &out.task_present);
	// Weights 1, 3, 15 give 0.25, 0.5, 1: what counts is the ratio.
	out.task[k_task_size] = std::isfinite(c.weight) && c.weight > 0 ? clean(std::log2(1 + c.weight) / 4) : 0;
	out.task[k_task_size + 1] = c.deadline;
	for (int p = 0; p < out.nr_places; ++p)
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

template <class Scalar> void evaluation<Scalar>::forward(Scalar const* theta, batch const& b, bool layer_norm)
{
	int const n = b.size();
	int const nc = int(b.contexts.size());
	auto const wx = view<b_trunk_x>(theta);
	auto const ws = view<b_trunk_s>(theta);
	auto const wh = view<b_head_h>(theta);
	auto const wf = view<b_head_f>(theta);
	auto const wi = view<b_head_i>(theta);

	// Per context.
	context_place_.assign(nc + 1, 0);
	for (int c = 0; c < nc; ++c)
		context_place_[c + 1] = context_place_[c] + b.contexts[c]->nr_places;
	// The classes of one version of the rows share the machine's state.
	state_of_.assign(std::size_t(nc), 0);
	for (int c = 1; c < nc; ++c)
		state_of_[c] = state_of_[c - 1] + !same_state(*b.contexts[c - 1], *b.contexts[c]);
	reserve(state_base_, k_trunk, nc);
	reserve(base_, k_trunk, nc);
	reserve(g0_, k_head, context_place_[nc]);
	reserve(g1_, k_head, context_place_[nc]);
	for (int c = 0; c < nc; ++c) {
		context const& x = *b.contexts[c];
		int const at = context_place_[c];
		auto state = state_base_.col(state_of_[c]);
		if (c == 0 || state_of_[c] != state_of_[c - 1]) {
			state = view<b_trunk_b>(theta);
			for_inputs(x, 0, k_state_x, [&](int j, float v) { state += Scalar(v) * wx.col(j); });
		}
		base_.col(c) = state;
		for_inputs(x, k_state_x, k_task_x, [&](int j, float v) { base_.col(c) += Scalar(v) * wx.col(j); });
		g0_.middleCols(at, x.nr_places).noalias() = wf * x.place.template cast<Scalar>();
		g1_.middleCols(at, x.nr_places).noalias() =
			wi.template rightCols<k_place_size>() * x.place.template cast<Scalar>();
		g1_.middleCols(at, x.nr_places).colwise() += wi.col(0);
	}

	// Per column.
	offset_.assign(n + 1, 0);
	for (int i = 0; i < n; ++i)
		offset_[i + 1] = offset_[i] + b.contexts[b.context_of[i]]->nr_places;
	int const pairs = offset_[n];
	reserve(z_, k_z, n);
	reserve(h_, k_trunk, n);
	reserve(u_, k_head, n);
	reserve(bz_, k_place_i, n);
	reserve(t_, k_head, pairs);
	reserve(logit_, std::max<int>(pairs, int(logit_.size())), 1);
	reserve(hold_, std::max<int>(n, int(hold_.size())), 1);
	reserve(value_, std::max<int>(n, int(value_.size())), 1);
	for (int i = 0; i < n; ++i) {
		z_(0, i) = 1;
		z_.col(i).template segment<k_situation>(1) = encode_situation<Scalar>(b.situation[i]);
		z_.col(i).template tail<k_task_z>() = b.contexts[b.context_of[i]]->task.template cast<Scalar>();
	}
	auto const z = z_.leftCols(n);
	auto h = h_.leftCols(n);
	auto u = u_.leftCols(n);
	h.noalias() = ws * z.template middleRows<k_situation>(1);
	for (int i = 0; i < n; ++i)
		h.col(i) += base_.col(b.context_of[i]);
	layer_norm_ = layer_norm;
	if (layer_norm) {
		reserve(normalised_, k_trunk, n);
		reserve(inverse_deviation_, std::max<int>(n, int(inverse_deviation_.size())), 1);
		for (int i = 0; i < n; ++i)
			inverse_deviation_[i] = normalise(h.col(i));
		normalised_.leftCols(n) = h;
	}
	tanh_in_place(h);
	u.noalias() = wh * h;
	u.colwise() += view<b_head_b>(theta);
	bz_.leftCols(n).noalias() = view<b_bilinear>(theta) * z;

	for (int i = 0; i < n; ++i) {
		int const c = b.context_of[i];
		context const& x = *b.contexts[c];
		for (int p = 0; p < x.nr_places; ++p) {
			int const at = context_place_[c] + p;
			auto t = t_.col(offset_[i] + p);
			if (tier_idle(x, p, b.situation[i]))
				t = u.col(i) + g0_.col(at) + g1_.col(at);
			else
				t = u.col(i) + g0_.col(at);
		}
	}
	tanh_in_place(t_.leftCols(pairs));
	logit_.head(pairs).noalias() = t_.leftCols(pairs).transpose() * view<b_head_o>(theta);
	for (int i = 0; i < n; ++i) {
		context const& x = *b.contexts[b.context_of[i]];
		auto const bz = bz_.col(i);
		for (int p = 0; p < x.nr_places; ++p) {
			logit_[offset_[i] + p] += bz.template head<k_place_size>().dot(x.place.col(p).template cast<Scalar>());
			if (tier_idle(x, p, b.situation[i]))
				logit_[offset_[i] + p] += bz[k_place_size];
		}
	}
	hold_.head(n).noalias() = h.transpose() * view<b_hold_h>(theta);
	hold_.head(n).noalias() += z.transpose() * view<b_hold_z>(theta);
	hold_.head(n) *= Scalar(k_hold_scale);
	value_.head(n).noalias() = h.transpose() * view<b_value_h>(theta);
	value_.head(n).noalias() += z.transpose() * view<b_value_z>(theta);
}

template <class Scalar> void evaluation<Scalar>::zero_gradients()
{
	int const n = int(offset_.size()) - 1;
	reserve(d_logit_, int(logit_.size()), 1);
	reserve(d_hold_, int(hold_.size()), 1);
	reserve(d_value_, int(value_.size()), 1);
	d_logit_.head(offset_[n]).setZero();
	d_hold_.head(n).setZero();
	d_value_.head(n).setZero();
}

template <class Scalar> void evaluation<Scalar>::backward(Scalar const* theta, batch const& b, Scalar* gradient)
{
	int const n = b.size();
	int const nc = int(b.contexts.size());
	int const pairs = offset_[n];
	auto const z = z_.leftCols(n);
	auto const h = h_.leftCols(n);
	auto const t = t_.leftCols(pairs);
	auto const d_logit = d_logit_.head(pairs);
	d_hold_.head(n) *= Scalar(k_hold_scale);
	auto const d_hold = d_hold_.head(n);
	auto const d_value = d_value_.head(n);
	reserve(d_t_, k_head, pairs);
	reserve(d_u_, k_head, n);
	reserve(d_h_, k_trunk, n);
	reserve(q_, k_place_i, n);
	reserve(d_g0_, k_head, context_place_[nc]);
	reserve(d_g1_, k_head, context_place_[nc]);
	auto d_t = d_t_.leftCols(pairs);
	auto d_u = d_u_.leftCols(n);
	auto d_h = d_h_.leftCols(n);
	auto q = q_.leftCols(n);

	// Outputs.
	view<b_head_o>(gradient).noalias() += t * d_logit;
	view<b_hold_h>(gradient).noalias() += h * d_hold;
	view<b_hold_z>(gradient).noalias() += z * d_hold;
	view<b_value_h>(gradient).noalias() += h * d_value;
	view<b_value_z>(gradient).noalias() += z * d_value;

	// Head of the places, summed over the places of a column and of a context.
	d_t.noalias() = view<b_head_o>(theta) * d_logit.transpose();
	d_t.array() *= 1 - t.array().square();
	d_u.setZero();
	q.setZero();
	d_g0_.leftCols(context_place_[nc]).setZero();
	d_g1_.leftCols(context_place_[nc]).setZero();
	for (int i = 0; i < n; ++i) {
		int const c = b.context_of[i];
		context const& x = *b.contexts[c];
		for (int p = 0; p < x.nr_places; ++p) {
			int const pair = offset_[i] + p;
			int const at = context_place_[c] + p;
			d_u.col(i) += d_t.col(pair);
			d_g0_.col(at) += d_t.col(pair);
			q.col(i).template head<k_place_size>() += d_logit[pair] * x.place.col(p).template cast<Scalar>();
			if (tier_idle(x, p, b.situation[i])) {
				d_g1_.col(at) += d_t.col(pair);
				q(k_place_size, i) += d_logit[pair];
			}
		}
	}
	view<b_bilinear>(gradient).noalias() += q * z.transpose();
	view<b_head_b>(gradient) += d_u.rowwise().sum();
	view<b_head_h>(gradient).noalias() += d_u * h.transpose();
	for (int c = 0; c < nc; ++c) {
		context const& x = *b.contexts[c];
		auto const g0 = d_g0_.middleCols(context_place_[c], x.nr_places);
		auto const g1 = d_g1_.middleCols(context_place_[c], x.nr_places);
		auto wi = view<b_head_i>(gradient);
		view<b_head_f>(gradient).noalias() += g0 * x.place.template cast<Scalar>().transpose();
		wi.col(0) += g1.rowwise().sum();
		wi.template rightCols<k_place_size>().noalias() += g1 * x.place.template cast<Scalar>().transpose();
	}

	// Trunk.
	d_h.noalias() = view<b_head_h>(theta).transpose() * d_u;
	d_h.noalias() += view<b_hold_h>(theta) * d_hold.transpose();
	d_h.noalias() += view<b_value_h>(theta) * d_value.transpose();
	d_h.array() *= 1 - h.array().square();
	for (int i = 0; layer_norm_ && i < n; ++i)
		normalise_backward(d_h.col(i), normalised_.col(i), inverse_deviation_[i]);
	view<b_trunk_b>(gradient) += d_h.rowwise().sum();
	view<b_trunk_s>(gradient).noalias() += d_h * z.template middleRows<k_situation>(1).transpose();
	base_.leftCols(nc).setZero(); // now: sum of d_h over a context's columns
	for (int i = 0; i < n; ++i)
		base_.col(b.context_of[i]) += d_h.col(i);
	state_base_.leftCols(nc).setZero(); // and over a state's contexts
	auto wx = view<b_trunk_x>(gradient);
	for (int c = 0; c < nc; ++c) {
		state_base_.col(state_of_[c]) += base_.col(c);
		for_inputs(*b.contexts[c], k_state_x, k_task_x, [&](int j, float v) { wx.col(j) += Scalar(v) * base_.col(c); });
	}
	for (int c = 0; c < nc; ++c)
		if (c == 0 || state_of_[c] != state_of_[c - 1])
			for_inputs(*b.contexts[c], 0, k_state_x, [&](int j, float v) { wx.col(j) += Scalar(v) * state_base_.col(state_of_[c]); });
}

template class evaluation<float>;
template class evaluation<double>;

} // namespace tactus::learn
