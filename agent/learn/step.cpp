// SPDX-License-Identifier: Apache-2.0
//
// The learner step of step.h.
#include "step.h"

#include "rows.h"

#include <algorithm>
#include <cmath>

namespace tactus::learn {

double centring::reward(double cost, double tau_ns, double clip)
{
	++count_;
	double const step = std::max(step_, 1.0 / double(count_));
	mean_cost_ += step * (cost - mean_cost_);
	mean_tau_ += step * (tau_ns - mean_tau_);
	double const centred = cost - eta() * tau_ns;
	mean_square_ += step * (centred * centred - mean_square_);
	double const s = scale();
	return s > 0 ? std::clamp(-centred / s, -clip, clip) : 0;
}

double centring::scale() const
{
	// The RMS alone would blow up noise where the cost hardly varies. With rewards it may be negative.
	return std::max(std::sqrt(mean_square_), 1e-3 * std::abs(mean_cost_));
}

void vtrace(std::span<double const> r, std::span<double const> g, std::span<double const> rho_bar,
	    std::span<double const> c, std::span<double const> value, std::span<double> v, std::span<double> advantage)
{
	std::size_t const n = r.size();
	double v_next = value[n];
	for (std::size_t k = n; k-- > 0;) {
		double const d = rho_bar[k] * (r[k] + g[k] * value[k + 1] - value[k]);
		v[k] = value[k] + d + g[k] * c[k] * (v_next - value[k + 1]);
		advantage[k] = rho_bar[k] * (r[k] + g[k] * v_next - value[k]);
		v_next = v[k];
	}
}

template <class Scalar>
void masked_softmax(std::span<Scalar const> z, std::span<std::uint8_t const> legal, std::span<Scalar> out)
{
	Scalar top = -std::numeric_limits<Scalar>::infinity();
	for (std::size_t i = 0; i < z.size(); ++i)
		if (legal[i])
			top = std::max(top, z[i]);
	Scalar sum = 0;
	for (std::size_t i = 0; i < z.size(); ++i) {
		out[i] = legal[i] ? std::exp(z[i] - top) : Scalar(0);
		sum += out[i];
	}
	if (sum > 0)
		for (Scalar& x : out)
			x /= sum;
}

template <class Scalar>
Scalar policy_gradient(std::span<Scalar const> s, std::span<Scalar const> prior, std::span<std::uint8_t const> legal,
		     int action, Scalar advantage, Scalar share, Scalar h, Scalar kappa, std::span<Scalar> d_z)
{
	std::array<Scalar, k_max_places + 1> log_s;
	Scalar entropy = 0;
	for (std::size_t j = 0; j < s.size(); ++j) {
		log_s[j] = s[j] > 0 ? std::log(s[j]) : Scalar(0);
		entropy -= s[j] * log_s[j];
	}
	for (std::size_t j = 0; j < s.size(); ++j) {
		if (!legal[j])
			continue;
		Scalar const d_log_pi = share * (Scalar(int(j) == action) - s[j]);
		Scalar const d_entropy = -s[j] * (log_s[j] + entropy);
		d_z[j] += -advantage * d_log_pi - h * d_entropy;
		if (kappa > 0)
			d_z[j] += kappa * (s[j] - prior[j]);
	}
	return entropy;
}

// pi(a) of decision k as the kernel drew it, and keep_, floor_ of it. The row is
// computed in float, as it was compiled.
template <class Scalar>
double learner_step<Scalar>::behave(std::span<Scalar const> z, std::span<std::uint8_t const> legal, int action,
				    context const& x, unsigned situation, int k)
{
	logits_.assign(z.begin(), z.end());
	row_.resize(z.size());
	near_actions(x, situation, near_);
	row_distribution(logits_, near_, double(x.floor), row_);
	float const top = *std::max_element(logits_.begin(), logits_.end());
	double row_legal = 0, legal_sum = 0, group_sum = 0, group_mass = 0;
	for (std::size_t i = 0; i < z.size(); ++i) {
		double const w = std::exp(double(logits_[i]) - double(top));
		row_legal += legal[i] ? row_[i] : 0;
		legal_sum += legal[i] ? w : 0;
		group_sum += near_[i] == near_[std::size_t(action)] ? w : 0;
		group_mass += near_[i] == near_[std::size_t(action)] ? row_[i] : 0;
	}
	double const pi_a = row_[std::size_t(action)] / row_legal;
	double const s_a = std::exp(double(logits_[std::size_t(action)]) - double(top)) / legal_sum;
	// Of row_a, group_mass (1-e) softmax_group(a) is softmax; per unit of s_a that is
	keep_[k] = group_sum > 0 ? group_mass * (1 - double(x.floor)) * (legal_sum / group_sum) / row_legal : 0;
	floor_[k] = std::max(0.0, pi_a - keep_[k] * s_a);
	return pi_a;
}

template <class Scalar>
Scalar learner_step<Scalar>::gradient(learner_config const& config, schedule const& now, Scalar const* theta,
				      Scalar const* prior, Scalar rms_advantage, segment const& data, Scalar* gradient,
				      step_report& report, bool fixed_targets)
{
	int const n = data.n();
	Scalar const kappa = prior ? Scalar(now.kappa) : Scalar(0);
	Scalar const h = Scalar(now.h);

	batch_.clear();
	column_.clear();
	for (step_k const& k : data.steps) {
		context const* x = &k.inputs->of(k.slot);
		auto const found = std::find(batch_.contexts.rbegin(), batch_.contexts.rend(), x);
		int which = int(batch_.contexts.rend() - found) - 1;
		if (which < 0) {
			which = int(batch_.contexts.size());
			batch_.contexts.push_back(x);
		}
		column_.push_back(batch_.column_of(which, k.situation));
	}
	pi_.forward(theta, batch_, config.layer_norm);
	pi_.zero_gradients();
	if (kappa > 0)
		prior_.forward(prior, batch_, config.layer_norm);

	if (!fixed_targets)
		for (auto* x : {&r_, &g_, &rho_bar_, &c_, &v_, &advantage_, &keep_, &floor_})
			x->assign(n, 0);
	value_.resize(n + 1);
	for (int k = 0; k <= n; ++k)
		value_[k] = pi_.value(column_[k]);

	// pi(.|x_k) of all k, with its legal mask, in one row each of s_.
	int const width = k_max_places + 1;
	s_.assign(std::size_t(n) * width, 0);
	prior_s_.assign(std::size_t(n) * width, 0);
	legal_.assign(std::size_t(n) * width, 0);
	auto row = [&](auto& v, int k, int size) { return std::span(v.data() + std::size_t(k) * width, std::size_t(size)); };
	auto logits = [&](evaluation<Scalar> const& e, int k) {
		auto const places = e.place_logits(column_[k]);
		z_.assign(places.begin(), places.end());
		z_.push_back(e.hold_logit(column_[k]));
		return std::span<Scalar const>(z_);
	};
	// Places, hold last; -1: an action the inputs do not know (no policy term).
	auto action_of = [](step_k const& k, int nr_places) {
		return k.action == TACTUS_HOLD ? nr_places : k.action < nr_places ? k.action : -1;
	};

	for (int k = 0; k < n; ++k) {
		step_k const& step = data.steps[k];
		int const nr_places = pi_.nr_places(column_[k]);
		auto const legal = row(legal_, k, nr_places + 1);
		for (int p = 0; p < nr_places; ++p)
			legal[p] = (step.legal >> p) & 1;
		legal[nr_places] = step.hold_legal;
		auto const z = logits(pi_, k);
		auto const s = row(s_, k, nr_places + 1);
		masked_softmax<Scalar>(z, legal, s);
		int const action = action_of(step, nr_places);
		double rho = 1;
		if (step.policy_term && action >= 0 && legal[action] && !fixed_targets) {
			double const pi_a = behave(z, legal, action, *batch_.contexts[batch_.context_of[column_[k]]], step.situation, k);
			if (config.use_ratio)
				rho = pi_a / std::max(1e-6, double(step.mu));
			++report.policy_terms;
			report.sum_ratio += rho;
			report.ratios_clipped += rho > config.ratio_clip;
			report.hold_legal += step.hold_legal;
			report.held += step.hold_legal && action == nr_places;
		}
		if (!fixed_targets) {
			r_[k] = step.r;
			g_[k] = step.g;
			rho_bar_[k] = std::min(config.ratio_clip, rho);
			c_[k] = config.trace_factor * std::min(config.trace_clip, rho);
			if (!step.policy_term || config.target == n_step)
				rho_bar_[k] = c_[k] = 1;
		}
	}
	if (!fixed_targets) {
		vtrace(r_, g_, rho_bar_, c_, value_, v_, advantage_);
		if (config.target == gae) // sum over l of (g lambda)^l d_{k+l}, with the ratios of V-trace
			for (int k = 0; k < n; ++k)
				advantage_[k] = v_[k] - value_[k];
	}

	Scalar loss = 0;
	for (int k = 0; k < n; ++k) {
		step_k const& step = data.steps[k];
		int const nr_places = pi_.nr_places(column_[k]);
		Scalar const error = Scalar(v_[k] - value_[k]);
		loss += Scalar(config.value_weight) * error * error;
		pi_.d_value(column_[k]) += -2 * Scalar(config.value_weight) * error / Scalar(n);
		report.sum_square_error += double(error) * double(error);
		report.sum_target += v_[k];
		report.sum_square_target += v_[k] * v_[k];

		int const action = action_of(step, nr_places);
		auto const legal = row(legal_, k, nr_places + 1);
		if (!step.policy_term || action < 0 || !legal[action])
			continue;
		auto const s = row(s_, k, nr_places + 1);
		auto const prior_s = row(prior_s_, k, nr_places + 1);
		report.sum_square_advantage += advantage_[k] * advantage_[k];
		Scalar const a = Scalar(advantage_[k]) / rms_advantage;
		Scalar const soft = Scalar(keep_[k]) * s[action], pi_a = soft + Scalar(floor_[k]);
		loss -= a * std::log(pi_a);
		Scalar kl = 0;
		if (kappa > 0) {
			masked_softmax<Scalar>(logits(prior_, k), legal, prior_s);
			for (int i = 0; i <= nr_places; ++i)
				if (prior_s[i] > 0)
					kl += prior_s[i] * std::log(prior_s[i] / std::max(s[i], Scalar(1e-30)));
		}
		d_z_.assign(nr_places + 1, 0);
		Scalar const entropy = policy_gradient<Scalar>(s, prior_s, legal, action, a, pi_a > 0 ? soft / pi_a : 0, h, kappa, d_z_);
		loss += kappa * kl - h * entropy;
		report.sum_entropy += double(entropy);
		report.sum_kl_prior += double(kl);
		auto const d_place = pi_.d_place(column_[k]);
		for (int p = 0; p < nr_places; ++p)
			d_place[p] += d_z_[p] / Scalar(n);
		pi_.d_hold(column_[k]) += d_z_[nr_places] / Scalar(n);
	}
	report.n += n;
	pi_.backward(theta, gradient);
	return loss / Scalar(n);
}

template void masked_softmax<float>(std::span<float const>, std::span<std::uint8_t const>, std::span<float>);
template void masked_softmax<double>(std::span<double const>, std::span<std::uint8_t const>, std::span<double>);
template float policy_gradient<float>(std::span<float const>, std::span<float const>, std::span<std::uint8_t const>,
				     int, float, float, float, float, std::span<float>);
template double policy_gradient<double>(std::span<double const>, std::span<double const>, std::span<std::uint8_t const>,
				      int, double, double, double, double, std::span<double>);
template class learner_step<float>;
template class learner_step<double>;

} // namespace tactus::learn
