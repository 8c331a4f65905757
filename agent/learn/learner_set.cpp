// SPDX-License-Identifier: Apache-2.0
//
// The learner set of api.h: ties assembly (segments.h), the queue, the step
// (step.h) on the shared parameters, and the compilation of rows together.
#include "learner_set_impl.h"

#include "inference.h"
#include "rows.h"

#include <algorithm>
#include <cmath>

namespace tactus::learn {
namespace {

// The critic's own weights; of what is before, the actor has a part.
constexpr int k_first_critic_weight = k_blocks[b_value_h].offset;
static_assert(b_value_h + 2 == k_nr_blocks && b_value_z + 1 == k_nr_blocks, "the critic's blocks are the last");

// Exponential means for figures, over about 200 updates.
constexpr double k_figure_step = 0.005;
constexpr double k_bound_share_step = 0.02, k_usual_bound_share = 0.01; // docs/learning.md, Holding everything

} // namespace

learner_set::learner_set(learner_config const& config)
{
	config.validate();
	impl_ = std::make_unique<impl>(config);
}

learner_set::~learner_set()
{
	stop();
}

void learner_set::start(int nr_threads)
{
	stop();
	impl_->queue.open();
	impl_->nr_threads = std::max(0, nr_threads);
	for (int i = 0; i < nr_threads; ++i)
		impl_->threads.emplace_back([p = impl_.get()] { p->run(); });
}

void learner_set::stop()
{
	impl_->queue.close();
	impl_->threads.clear(); // joins
	impl_->nr_threads = 0;
}

void learner_set::submit(decision const& d)
{
	impl_->decisions_seen.fetch_add(1, std::memory_order_relaxed);
	impl_->take(d.domain, d.sequence, &d);
}

void learner_set::skip(std::uint8_t domain, std::uint64_t sequence)
{
	impl_->take(domain, sequence, nullptr);
}

void learner_set::impl::take(std::uint8_t which, std::uint64_t sequence, decision const* d)
{
	domain& dom = *domains[which % TACTUS_MAX_DOMAINS];
	std::scoped_lock lock(dom.mutex);
	if (!learning.load(std::memory_order_relaxed))
		return;
	dom.assembler.event(sequence, d, service_time_ns.load(std::memory_order_relaxed), [&](segment&& s) {
		if (is_held_out(dom.segments++, config.held_out)) {
			held_out.add(s);
			return;
		}
		if (nr_threads.load(std::memory_order_relaxed) == 0) {
			std::scoped_lock one_at_a_time(inline_mutex);
			learn(inline_state, s);
		} else if (!queue.push(std::move(s))) {
			segments_dropped.fetch_add(1, std::memory_order_relaxed);
		}
	});
}

void learner_set::impl::run()
{
	learner_thread_state state;
	while (auto s = queue.take()) {
		learn(state, *s);
		queue.done();
	}
}

// Into the running mean of the share of releases at the bound on holding.
void learner_set::impl::note_bound(segment const& s)
{
	auto const n = std::count_if(s.steps.begin(), s.steps.end() - 1, [](step_k const& k) { return k.at_bound; });
	double const before = bound_share.load(std::memory_order_relaxed);
	bound_share.store(before + k_bound_share_step * (double(n) / s.n() - before), std::memory_order_relaxed);
}

// Where everything is held until the bound releases it, no row makes a difference and no gradient leads
// out: the prior does.
double learner_set::impl::kappa_of_bound() const
{
	return config.prior_bound * std::max(0.0, bound_share.load(std::memory_order_relaxed) - k_usual_bound_share);
}

void learner_set::impl::learn(learner_thread_state& state, segment const& s)
{
	schedule now = schedule_at(config, double(decisions_trained.load(std::memory_order_relaxed)));
	note_bound(s);
	now.kappa += kappa_of_bound();
	std::shared_ptr<weights<float> const> prior_now;
	if (now.kappa > 0) {
		std::scoped_lock lock(stats_mutex);
		prior_now = prior;
	}
	shared.snapshot(state.theta.data());
	if (config.emulate_lag_updates > 0 && &state == &inline_state) {
		lag_snapshots.push_back(state.theta);
		if (int(lag_snapshots.size()) > config.emulate_lag_updates + 1)
			lag_snapshots.pop_front();
		state.theta = lag_snapshots.front();
	}
	double const square = mean_square_advantage.load(std::memory_order_relaxed);
	float const rms = updates_of_advantage.load(std::memory_order_relaxed) ? float(std::sqrt(square) + 1e-6) : 1.0f;
	state.step.gradient(config, now, state.theta.data(), prior_now ? prior_now->data() : nullptr, rms, s,
			    state.gradient.data(), state.report);
	decisions_trained.fetch_add(std::uint64_t(s.n()), std::memory_order_relaxed);
	if (++state.segments >= config.accumulate)
		apply(state, now);
}

void learner_set::impl::apply(learner_thread_state& state, schedule const& now)
{
	if (state.segments > 1)
		state.gradient /= float(state.segments);
	bool const frozen = frozen_updates.load(std::memory_order_relaxed) > 0;
	int const first = frozen ? k_first_critic_weight : 0;
	state.gradient.head(first).setZero();
	double const norm = double(state.gradient.norm());
	bool const finite = std::isfinite(norm);
	if (finite) {
		if (norm > config.gradient_clip)
			state.gradient *= float(config.gradient_clip / norm);
		shared.apply(state.gradient.data(), now.learning_rate * rate_factor.load(std::memory_order_relaxed), config.rms_decay,
			     config.rms_epsilon, first);
		updates.fetch_add(1, std::memory_order_relaxed);
		if (frozen)
			frozen_updates.fetch_sub(1, std::memory_order_relaxed);
	}
	if (finite && state.report.policy_terms > 0) {
		double const square = state.report.sum_square_advantage / state.report.policy_terms;
		auto const count = updates_of_advantage.fetch_add(1, std::memory_order_relaxed) + 1;
		double const step = std::max(config.advantage_step, 1.0 / double(count));
		double const old = mean_square_advantage.load(std::memory_order_relaxed);
		mean_square_advantage.store(old + step * (square - old), std::memory_order_relaxed);
	}
	note(state.report, norm, finite);
	state.gradient.setZero();
	state.report = {};
	state.segments = 0;
}

void learner_set::impl::note(step_report const& r, double norm, bool applied)
{
	std::scoped_lock lock(stats_mutex);
	if (!applied) {
		++figures.bad_updates;
		return;
	}
	double const step = std::max(k_figure_step, 1.0 / double(++figure_count));
	auto mean = [&](double& m, double x) { m += step * (x - m); };
	mean(figures.gradient_norm, norm);
	mean(mean_error, r.sum_square_error / r.n);
	mean(mean_target, r.sum_target / r.n);
	mean(mean_target_square, r.sum_square_target / r.n);
	double const variance = mean_target_square - mean_target * mean_target;
	figures.value_loss = mean_error;
	figures.explained_variance = variance > 1e-12 ? 1 - mean_error / variance : 0;
	if (r.policy_terms) {
		mean(figures.entropy, r.sum_entropy / r.policy_terms);
		mean(figures.clipped_ratio, double(r.ratios_clipped) / r.policy_terms);
		mean(figures.mean_ratio, r.sum_ratio / r.policy_terms);
		mean(figures.kl_prior, r.sum_kl_prior / r.policy_terms);
	}
	if (r.hold_legal)
		mean(figures.hold_ratio, double(r.held) / r.hold_legal);
}

void learner_set::set_learning(bool on)
{
	impl& p = *impl_;
	for (auto& d : p.domains) {
		std::scoped_lock lock(d->mutex);
		p.learning.store(on, std::memory_order_relaxed);
		d->assembler.reset();
	}
	if (!on)
		p.queue.drain();
}

bool learner_set::learning() const noexcept
{
	return impl_->learning.load(std::memory_order_relaxed);
}

void learner_set::set_service_time_ns(double mean_ns) noexcept
{
	impl_->service_time_ns.store(std::isfinite(mean_ns) && mean_ns > 0 ? mean_ns : 0, std::memory_order_relaxed);
}

void learner_set::compile(std::shared_ptr<policy_inputs const> inputs, row_sink& sink)
{
	if (!inputs || inputs->version == 0 || inputs->nr_places < 1 || inputs->nr_places > k_max_places)
		throw std::invalid_argument("learner: inputs need a version and 1 to 64 places");
	impl& p = *impl_;
	auto contexts = contexts_of(*inputs, p.config, p.updates.load(std::memory_order_relaxed));
	p.shared.snapshot(p.compile_theta.data());
	auto const kl = p.compiler.compile(*inputs, *contexts, p.compile_theta.data(), p.learning.load(std::memory_order_relaxed), sink);
	p.history.add(std::move(contexts));
	double const tasks_present = p.busiest().eta;
	std::scoped_lock lock(p.stats_mutex);
	++p.figures.compiles;
	if (kl)
		p.rows_changed(*kl, tasks_present);
}

// Of the rows just compiled against those before. Holds stats_mutex.
void learner_set::impl::rows_changed(double kl, double tasks_present)
{
	figures.kl_rows = kl;
	figures.converged = settling.publish(kl, figures.explained_variance, tasks_present);
	figures.steady_publishes = settling.steady_publishes();
	rate_factor.store(adapted_rate(rate_factor.load(std::memory_order_relaxed), kl, config.kl_target),
			  std::memory_order_relaxed);
}

// The stream with the most decisions.
stream_figures learner_set::impl::busiest()
{
	stream_figures most;
	for (auto& d : domains) {
		std::scoped_lock lock(d->mutex);
		stream_figures const f = d->assembler.figures();
		if (f.count > most.count)
			most = f;
	}
	return most;
}

std::vector<double> learner_set::distribution(policy_inputs const& inputs, unsigned slot, unsigned situation) const
{
	context const x = encode(inputs, slot, impl_->config, impl_->updates.load(std::memory_order_relaxed));
	weights<float> theta;
	impl_->shared.snapshot(theta.data());
	inference pi;
	pi.set_weights(theta.data(), impl_->config.layer_norm);
	std::vector<float> z(std::size_t(x.nr_places) + 1);
	pi.decide(x, situation, z);
	std::vector<double> out(z.size());
	std::vector<std::uint8_t> near;
	near_actions(x, situation, near);
	impl_->explore.distribution(z, near, double(x.floor), true, out);
	return out;
}

learner_stats learner_set::stats() const
{
	impl const& p = *impl_;
	learner_stats s;
	weights<float> theta;
	p.shared.snapshot(theta.data());
	std::shared_ptr<weights<float> const> start;
	{
		std::scoped_lock lock(p.stats_mutex);
		s = p.figures;
		start = p.start_weights;
	}
	s.decisions_seen = p.decisions_seen.load(std::memory_order_relaxed);
	s.decisions_trained = p.decisions_trained.load(std::memory_order_relaxed);
	s.updates = p.updates.load(std::memory_order_relaxed);
	s.segments_dropped = p.segments_dropped.load(std::memory_order_relaxed);
	s.frozen_updates = p.frozen_left();
	s.advantage_rms = std::sqrt(p.mean_square_advantage.load(std::memory_order_relaxed));
	for (auto& d : p.domains) {
		std::scoped_lock lock(d->mutex);
		assembly_counts const& c = d->assembler.counts();
		s.sequence_gaps += c.gaps;
		s.bad_costs += c.bad_costs;
		s.unknown_versions += c.unknown_versions;
		s.untrusted += c.untrusted;
	}
	stream_figures const f = impl_->busiest();
	s.eta = f.eta;
	s.scale = f.scale;
	s.mean_gap_ns = f.mean_gap_ns;
	s.exploration = p.explore.share(s.updates, false);
	s.held_out = p.held_out.last();
	double service = p.config.service_time_ns > 0 ? p.config.service_time_ns
						      : p.service_time_ns.load(std::memory_order_relaxed);
	if (service <= 0)
		service = s.mean_gap_ns;
	s.discount_rate = service > 0 ? p.config.discount_beta / service : 0;
	schedule const now = schedule_at(p.config, double(s.decisions_trained));
	s.learning_rate = now.learning_rate * p.rate_factor.load(std::memory_order_relaxed);
	s.entropy_weight = now.h;
	s.prior_weight = now.kappa + p.kappa_of_bound();
	for (block const& b : k_blocks) {
		auto const w = theta.segment(b.offset, b.size());
		s.layers.push_back({b.name, double(w.norm()), double((w - start->segment(b.offset, b.size())).norm())});
	}
	return s;
}

void learner_set::begin_environment()
{
	for (auto& d : impl_->domains) {
		std::scoped_lock lock(d->mutex);
		d->assembler.forget();
	}
}

} // namespace tactus::learn
