// SPDX-License-Identifier: Apache-2.0
//
// The estimates of validation.h.
#include "validation.h"

#include "rows.h"

#include <algorithm>
#include <cmath>

namespace tactus::learn {
namespace {

constexpr std::size_t k_kept_segments = 256;
// An estimate from fewer effective segments, or from a smaller share of those there are, is not judged.
constexpr double k_least_effective = 20, k_least_effective_share = 0.2;

// A copy that keeps no version alive: only the contexts that the steps use.
std::shared_ptr<segment const> copy_of(segment const& s)
{
	auto out = std::make_shared<segment>(s);
	std::vector<std::pair<version_contexts const*, std::shared_ptr<version_contexts>>> copies;
	for (step_k& k : out->steps) {
		auto found = std::find_if(copies.begin(), copies.end(), [&](auto const& c) { return c.first == k.inputs.get(); });
		if (found == copies.end()) {
			auto fresh = std::make_shared<version_contexts>();
			fresh->version = k.inputs->version;
			found = copies.insert(copies.end(), {k.inputs.get(), std::move(fresh)});
		}
		context const& used = k.inputs->of(k.slot);
		std::size_t const at = std::size_t(&used - k.inputs->slot.data());
		if (!found->second->slot[at].nr_places)
			found->second->slot[at] = used;
		k.inputs = found->second;
	}
	return out;
}

} // namespace

segment_value evaluate_segment(std::span<double const> r, std::span<double const> g, std::span<double const> rho,
			       std::span<double const> value)
{
	segment_value out;
	out.sampled = out.robust = value[r.size()];
	for (std::size_t k = r.size(); k-- > 0;) {
		out.weight = std::min(1e30, out.weight * rho[k]);
		out.sampled = r[k] + g[k] * out.sampled;
		out.robust = value[k] + rho[k] * (r[k] + g[k] * out.robust - value[k]);
	}
	return out;
}

policy_estimate estimate(std::span<segment_value const> values)
{
	double weights = 0, squares = 0, sampled = 0, robust = 0, variance = 0;
	double const m = double(values.size());
	for (segment_value const& v : values) {
		weights += v.weight;
		squares += v.weight * v.weight;
		sampled += v.weight * v.sampled;
		robust += v.robust / m;
	}
	for (segment_value const& v : values)
		variance += (v.robust - robust) * (v.robust - robust) / std::max(1.0, m - 1);
	policy_estimate out;
	out.snips = weights > 0 ? -sampled / weights : 0;
	out.dr = -robust;
	out.dr_error = std::sqrt(variance / m);
	out.effective_segments = squares > 0 ? weights * weights / squares : 0;
	out.judged = out.effective_segments >= std::max(k_least_effective, k_least_effective_share * m) &&
		     std::isfinite(out.snips) && std::isfinite(out.dr) && std::isfinite(out.dr_error);
	return out;
}

difference_estimate difference(std::span<segment_value const> a, std::span<segment_value const> b)
{
	std::vector<segment_value> d(a.begin(), a.end());
	for (std::size_t i = 0; i < d.size(); ++i)
		d[i].robust -= b[i].robust;
	policy_estimate const e = estimate(d);
	return {e.dr, e.dr_error};
}

bool is_held_out(std::uint64_t n, double share)
{
	return std::floor(double(n + 1) * share) > std::floor(double(n) * share);
}

void held_out_segments::add(segment const& s)
{
	auto copy = copy_of(s);
	std::scoped_lock lock(mutex_);
	if (ring_.size() < k_kept_segments)
		ring_.resize(k_kept_segments);
	ring_[count_++ % k_kept_segments] = std::move(copy);
}

std::vector<std::shared_ptr<segment const>> held_out_segments::newer_than(std::uint64_t after, std::uint64_t& last) const
{
	std::scoped_lock lock(mutex_);
	last = count_;
	std::uint64_t const kept = count_ > k_kept_segments ? count_ - k_kept_segments : 0;
	std::vector<std::shared_ptr<segment const>> out;
	for (std::uint64_t n = std::max({after, kept, cleared_}); n < count_; ++n)
		out.push_back(ring_[n % k_kept_segments]);
	return out;
}

std::uint64_t held_out_segments::last() const
{
	std::scoped_lock lock(mutex_);
	return count_;
}

void held_out_segments::clear()
{
	std::scoped_lock lock(mutex_);
	cleared_ = count_;
	ring_.clear();
}

segment_value validator::evaluate(float const* theta, float const* critic, segment const& s)
{
	std::size_t const n = std::size_t(s.n());
	batch_.clear();
	for (step_k const& k : s.steps) {
		batch_.contexts.push_back(&k.inputs->of(k.slot));
		batch_.add(int(batch_.contexts.size()) - 1, k.situation);
	}
	pi_.forward(theta, batch_, layer_norm_);
	v_.forward(critic, batch_, layer_norm_);
	r_.resize(n), g_.resize(n), rho_.assign(n, 1), value_.resize(n + 1);
	for (std::size_t i = 0; i <= n; ++i)
		value_[i] = double(v_.value(int(i)));
	for (std::size_t i = 0; i < n; ++i) {
		step_k const& k = s.steps[i];
		r_[i] = double(k.r);
		g_[i] = double(k.g);
		context const& x = *batch_.contexts[i];
		std::size_t const action = k.action == TACTUS_HOLD ? std::size_t(x.nr_places) : k.action;
		bool const legal_action = k.action == TACTUS_HOLD ? k.hold_legal : (k.legal >> (k.action & 63)) & 1;
		if (!k.policy_term || action > std::size_t(x.nr_places) || !legal_action)
			continue;
		auto const places = pi_.place_logits(int(i));
		z_.assign(places.begin(), places.end());
		z_.push_back(pi_.hold_logit(int(i)));
		row_.resize(z_.size());
		near_actions(x, k.situation, near_);
		row_distribution(z_, near_, double(x.floor), row_);
		double legal = k.hold_legal ? row_.back() : 0;
		for (std::size_t p = 0; p + 1 < row_.size(); ++p)
			legal += (k.legal >> p) & 1 ? row_[p] : 0;
		rho_[i] = row_[action] / legal / std::max(1e-6, double(k.mu));
	}
	return evaluate_segment(r_, g_, rho_, value_);
}

} // namespace tactus::learn
