// SPDX-License-Identifier: Apache-2.0
//
// Assembly of decisions into segments: see segments.h.
#include "segments.h"

#include "reward.h"

#include <algorithm>
#include <cmath>

namespace tactus::learn {
namespace {

// Groups of one domain that are kept apart; beyond, the least used is replaced.
constexpr std::size_t k_max_streams = 64;
// Two CPUs may read the clock and take their sequence numbers in different
// order; times that run back by less count as equal.
constexpr std::int64_t k_clock_disorder_ns = 1'000'000;
// A pause so long is no information about the decision before it.
constexpr std::int64_t k_longest_gap_ns = 10'000'000'000;

bool from_row(std::uint8_t source)
{
	return source == TACTUS_SOURCE_ROW || source == TACTUS_SOURCE_MIXED;
}

} // namespace

decision decision_of(tactus_decision_event const& e, std::uint16_t group, bool trusted) noexcept
{
	decision d;
	d.sequence = e.head.sequence;
	d.time_ns = e.head.time_ns;
	d.area = e.head.area;
	d.legal = e.legal;
	d.version = e.version;
	d.prob_num = e.prob_num;
	d.prob_den = e.prob_den;
	d.group = group;
	d.domain = e.head.domain;
	d.slot = e.slot;
	d.situation = e.situation;
	d.chosen = e.chosen;
	d.source = e.source;
	d.moment = e.moment;
	d.hold_legal = e.hold_legal != 0;
	d.trusted = trusted;
	return d;
}

void version_history::add(std::shared_ptr<version_contexts const> v)
{
	std::scoped_lock lock(mutex_);
	entries_[next_ % entries_.size()] = std::move(v);
	++next_;
}

std::shared_ptr<version_contexts const> version_history::find(std::uint32_t version) const
{
	std::scoped_lock lock(mutex_);
	std::size_t const kept = std::min(next_, entries_.size());
	for (std::size_t i = 1; i <= kept; ++i) {
		auto const& e = entries_[(next_ - i) % entries_.size()];
		if (e->version == version)
			return e;
	}
	return nullptr;
}

std::shared_ptr<version_contexts const> version_history::newest() const
{
	std::scoped_lock lock(mutex_);
	return next_ ? entries_[(next_ - 1) % entries_.size()] : nullptr;
}

void domain_assembler::reset()
{
	started_ = false;
	waiting_.clear();
	for (auto& s : streams_)
		s->steps.clear();
}

void domain_assembler::forget()
{
	reset();
	streams_.clear();
}

stream_figures domain_assembler::figures() const
{
	stream_figures f;
	for (auto const& s : streams_)
		if (s->means.count() > f.count)
			f = {s->means.count(), s->means.eta(), s->means.scale(), s->means.mean_gap_ns()};
	return f;
}

void domain_assembler::event(std::uint64_t sequence, decision const* d, double service_time_ns,
			     segment_sink const& sink)
{
	if (!started_) {
		started_ = true;
		expected_ = sequence;
	}
	if (sequence < expected_)
		return; // its gap was already declared
	waiting_event e{sequence, d != nullptr, d ? *d : decision{}};
	if (sequence == expected_) {
		in_order(e, service_time_ns, sink);
	} else {
		auto const at = std::lower_bound(waiting_.begin(), waiting_.end(), sequence,
						 [](auto const& w, std::uint64_t s) { return w.sequence < s; });
		if (at != waiting_.end() && at->sequence == sequence)
			return;
		waiting_.insert(at, e);
		if (int(waiting_.size()) > config_.reorder_window) {
			++counts_.gaps;
			end_segments(sink);
			expected_ = waiting_.front().sequence;
		}
	}
	std::size_t done = 0;
	for (; done < waiting_.size() && waiting_[done].sequence == expected_; ++done)
		in_order(waiting_[done], service_time_ns, sink);
	waiting_.erase(waiting_.begin(), waiting_.begin() + std::ptrdiff_t(done));
}

void domain_assembler::in_order(waiting_event const& e, double service_time_ns, segment_sink const& sink)
{
	expected_ = e.sequence + 1;
	if (e.is_decision)
		decided(e.d, service_time_ns, sink);
}

bool domain_assembler::step_of(decision const& d, step_k& out)
{
	bool policy_term = from_row(d.source);
	if (!last_inputs_ || last_inputs_->version != d.version) {
		auto found = d.version ? history_.find(d.version) : nullptr;
		if (!found && policy_term) {
			++counts_.unknown_versions;
			policy_term = false;
		}
		last_inputs_ = found ? std::move(found) : history_.newest();
	}
	if (!last_inputs_)
		return false;
	out.inputs = last_inputs_;
	out.legal = d.legal;
	out.slot = d.slot;
	out.situation = d.situation & (TACTUS_NR_SITUATIONS - 1);
	out.action = d.chosen;
	out.hold_legal = d.hold_legal;
	out.at_bound = d.source == TACTUS_SOURCE_FORCED_BOUND;
	out.policy_term = policy_term && d.prob_den && d.prob_num && d.prob_num <= d.prob_den &&
			  last_inputs_->version == d.version && d.slot < k_max_slots && last_inputs_->slot[d.slot].in_use;
	out.mu = out.policy_term ? float(double(d.prob_num) / d.prob_den) : 1.0f;
	return true;
}

domain_assembler::stream& domain_assembler::stream_of(std::uint16_t group)
{
	for (auto& s : streams_)
		if (s->group == group)
			return *s;
	auto fresh = std::make_unique<stream>(group, config_.centring_step);
	if (streams_.size() < k_max_streams)
		return *streams_.emplace_back(std::move(fresh));
	auto const least = std::min_element(streams_.begin(), streams_.end(), [](auto const& a, auto const& b) {
		return a->means.count() < b->means.count();
	});
	*least = std::move(fresh);
	return **least;
}

void domain_assembler::decided(decision const& d, double service_time_ns, segment_sink const& sink)
{
	if (!d.trusted) {
		++counts_.untrusted;
		return;
	}
	stream& s = stream_of(d.group);
	step_k next;
	if (!step_of(d, next)) {
		s.steps.clear();
		return;
	}
	bool simultaneous = false;
	if (!s.steps.empty()) {
		std::int64_t tau = std::int64_t(d.time_ns - s.time_ns);
		std::int64_t cost = std::int64_t(d.area - s.area);
		double points = d.reward - s.reward;
		if (tau <= 0 && tau > -k_clock_disorder_ns)
			tau = cost = 0, points = 0;
		if (tau < 0 || tau > k_longest_gap_ns || cost < 0 || !std::isfinite(points) ||
		    double(cost) > config_.max_cost_rate * double(tau)) {
			++counts_.bad_costs;
			end_segment(s, sink);
		} else {
			double const mean_service = config_.service_time_ns > 0 ? config_.service_time_ns
						    : service_time_ns > 0	 ? service_time_ns
										 : s.means.mean_gap_ns();
			double const b = mean_service > 0 ? config_.discount_beta / mean_service : 0;
			step_k& k = s.steps.back();
			double const worth = points / k_points_per_service * mean_service;
			k.r = float(s.means.reward(config_.reward_cost * double(cost) - worth, double(tau), config_.reward_clip));
			k.g = float(std::exp(-b * double(tau)));
			simultaneous = tau == 0;
		}
	}
	s.steps.push_back(std::move(next));
	if (!simultaneous) { // else the base of the next interval stays the later of the two
		s.time_ns = d.time_ns;
		s.area = d.area;
		s.reward = d.reward;
	}
	if (int(s.steps.size()) > config_.segment_length) {
		step_k const boundary = s.steps.back();
		end_segment(s, sink);
		s.steps.push_back(boundary); // opens the next segment
	}
}

// The last step has no cost yet: it is the state that the segment ends in.
void domain_assembler::end_segment(stream& s, segment_sink const& sink)
{
	if (s.steps.size() >= 2) {
		segment out;
		out.group = s.group;
		out.steps = std::move(s.steps);
		sink(std::move(out));
		s.steps = {};
		s.steps.reserve(std::size_t(config_.segment_length) + 1);
	}
	s.steps.clear();
}

void domain_assembler::end_segments(segment_sink const& sink)
{
	for (auto& s : streams_)
		end_segment(*s, sink);
}

} // namespace tactus::learn
