// SPDX-License-Identifier: Apache-2.0
//
// The learner set of api.h: ties assembly (segments.h), the queue, the step
// (step.h) on the shared parameters, and the compilation of rows together.
//
// Locks, in the order in which they may be taken: a domain's mutex, then the
// queue's, then stats_mutex_. Learners hold none while they compute.
#include "api.h"

#include "checkpoint.h"
#include "clone.h"
#include "convergence.h"
#include "exploration.h"
#include "inference.h"
#include "rows.h"
#include "segment_queue.h"
#include "segments.h"
#include "shared_parameters.h"
#include "validation.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <thread>

namespace tactus::learn {
namespace {

// Sums of one learner's steps until it has `accumulate` of them.
struct learner_thread_state {
	learner_step<float> step;
	weights<float> theta = weights<float>::Zero();
	weights<float> gradient = weights<float>::Zero();
	step_report report;
	int segments = 0;
};

// The critic's own weights; of what is before, the actor has a part.
constexpr int k_first_critic_weight = k_blocks[b_value_h].offset;
static_assert(b_value_h + 2 == k_nr_blocks && b_value_z + 1 == k_nr_blocks, "the critic's blocks are the last");

// Exponential means for figures, over about 200 updates.
constexpr double k_figure_step = 0.005;

} // namespace

struct learner_set::impl {
	explicit impl(learner_config const& c)
		: config(c), explore(config), history(c.kept_versions), queue(c.queue_segments),
		  settling(c.converged_kl, c.converged_publishes)
	{
		weights<float> theta;
		initial_weights(config.seed, theta.data(), config.weight_init);
		clone_fallback(config, theta.data());
		shared.set(theta.data(), nullptr);
		prior = std::make_shared<weights<float> const>(theta);
		start_weights = champion = prior;
		for (int i = 0; i < TACTUS_MAX_DOMAINS; ++i)
			domains.push_back(std::make_unique<domain>(config, history));
	}

	struct domain {
		domain(learner_config const& c, version_history const& h) : assembler(c, h) {}
		std::mutex mutex;
		domain_assembler assembler;
		std::uint64_t segments = 0; // assembled so far
	};

	void take(std::uint8_t which, std::uint64_t sequence, decision const* d);
	void learn(learner_thread_state& state, segment const& s);
	void apply(learner_thread_state& state, schedule const& now);
	void run();
	void note(step_report const& r, double norm, bool applied);
	void rows_changed(double kl, double tasks_present);
	stream_figures busiest();
	checkpoint read(std::string const& path) const;
	std::uint64_t frozen_left() const // several learners may each take the last one
	{
		return std::uint64_t(std::max<std::int64_t>(0, frozen_updates.load(std::memory_order_relaxed)));
	}

	learner_config const config;
	learn::exploration const explore;
	shared_parameters shared;
	version_history history;
	segment_queue queue;
	held_out_segments held_out;
	std::vector<std::unique_ptr<domain>> domains;
	std::vector<std::jthread> threads;
	learner_thread_state inline_state; // of submit without threads
	std::mutex inline_mutex;
	std::deque<weights<float>> lag_snapshots;

	std::atomic<bool> learning{true};
	std::atomic<int> nr_threads{0};
	std::atomic<std::uint64_t> decisions_seen{0}, decisions_trained{0}, updates{0}, segments_dropped{0};
	std::atomic<double> service_time_ns{0};
	std::atomic<std::int64_t> frozen_updates{0}; // until the actor learns again
	std::atomic<double> rate_factor{1}; // of the learning rate, where it adapts to the rows' change
	// Mean square of A with its count, for the running RMS.
	std::atomic<double> mean_square_advantage{0};
	std::atomic<std::uint64_t> updates_of_advantage{0};

	mutable std::mutex stats_mutex; // the next, down to compile's
	std::shared_ptr<weights<float> const> prior, start_weights, champion;
	learner_stats figures;
	double mean_error = 0, mean_target = 0, mean_target_square = 0;
	std::uint64_t figure_count = 0;
	convergence settling;

	// Of compile, by its one thread.
	weights<float> compile_theta;
	inference compile_pi;
	std::vector<std::uint16_t> last_rows; // slots x situations x cdf, once a slot was compiled
	std::array<int, k_max_slots> last_places{};
};

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

void learner_set::impl::learn(learner_thread_state& state, segment const& s)
{
	schedule const now = schedule_at(config, double(decisions_trained.load(std::memory_order_relaxed)));
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
	int const nr_places = inputs->nr_places;
	auto contexts = std::make_shared<version_contexts>();
	contexts->version = inputs->version;
	std::uint64_t const updates = p.updates.load(std::memory_order_relaxed);
	for (unsigned slot = 0; slot < unsigned(k_max_slots); ++slot)
		if (inputs->classes[slot].in_use)
			contexts->slot[slot] = encode(*inputs, slot, p.config, updates);
	{
		policy_inputs nobody;
		nobody.nr_places = nr_places;
		nobody.state = inputs->state;
		contexts->slot[k_max_slots] = encode(nobody, 0, p.config, updates);
	}
	p.shared.snapshot(p.compile_theta.data());
	p.compile_pi.set_weights(p.compile_theta.data(), p.config.layer_norm);
	bool const exploring = p.learning.load(std::memory_order_relaxed);

	constexpr std::size_t row_size = TACTUS_MAX_PLACES;
	constexpr std::size_t slot_size = TACTUS_NR_SITUATIONS * row_size;
	if (p.last_rows.empty())
		p.last_rows.resize(k_max_slots * slot_size);
	double sum_kl = 0;
	int rows_compared = 0;
	std::vector<std::uint8_t> situations; // evaluated of a class
	std::vector<float> logits, z(std::size_t(nr_places) + 1);
	std::vector<double> probability(z.size());
	std::vector<std::uint8_t> near;
	std::array<tactus_row, TACTUS_NR_SITUATIONS> rows;
	for (unsigned slot = 0; slot < unsigned(k_max_slots); ++slot) {
		class_inputs const& c = inputs->classes[slot];
		if (!c.in_use) {
			p.last_places[slot] = 0;
			continue;
		}
		context const& x = contexts->slot[slot];
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
		p.compile_pi.set_context(x);
		p.compile_pi.logits(situations, logits);
		for (std::size_t i = 0; i < situations.size(); ++i) {
			std::copy_n(logits.data() + i * z.size(), z.size(), z.data());
			near_actions(x, situations[i], near);
			p.explore.distribution(z, near, double(x.floor), exploring, probability);
			tactus_row& row = rows[i];
			row = {};
			float const confidence = std::isfinite(c.confidence) ? std::clamp(c.confidence, 0.0f, 1.0f) : 0;
			row.confidence = std::uint16_t(std::lround(confidence * 65535));
			row.slice_10us = c.slice_10us;
			quantise(probability, row.cdf);
			std::uint16_t* last = p.last_rows.data() + slot * slot_size + situations[i] * row_size;
			if (p.last_places[slot] == nr_places) {
				sum_kl += row_kl(last, row.cdf, nr_places);
				++rows_compared;
			}
			std::copy_n(row.cdf, row_size, last);
		}
		p.last_places[slot] = nr_places;
		for (unsigned s = 0; s < TACTUS_NR_SITUATIONS; ++s)
			sink.put(slot, s, rows[std::size_t(column[s])]);
	}
	p.history.add(std::move(contexts));
	double const tasks_present = p.busiest().eta;
	std::scoped_lock lock(p.stats_mutex);
	++p.figures.compiles;
	if (rows_compared)
		p.rows_changed(sum_kl / rows_compared, tasks_present);
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
	s.prior_weight = now.kappa;
	for (block const& b : k_blocks) {
		auto const w = theta.segment(b.offset, b.size());
		s.layers.push_back({b.name, double(w.norm()), double((w - start->segment(b.offset, b.size())).norm())});
	}
	return s;
}

void learner_set::begin_course()
{
	impl& p = *impl_;
	std::vector<float> theta(k_nr_weights);
	p.shared.snapshot(theta.data());
	p.decisions_trained = 0;
	std::scoped_lock lock(p.stats_mutex);
	p.prior = std::make_shared<weights<float> const>(Eigen::Map<weights<float> const>(theta.data()));
	p.start_weights = p.prior;
}

held_out_report learner_set::validate(std::uint64_t after) const
{
	impl const& p = *impl_;
	held_out_report out;
	auto const segments = p.held_out.newer_than(after, out.last);
	out.segments = int(segments.size());
	weights<float> theta;
	p.shared.snapshot(theta.data());
	out.finite = theta.allFinite();
	if (segments.empty())
		return out;
	std::shared_ptr<weights<float> const> champion;
	{
		std::scoped_lock lock(p.stats_mutex);
		champion = p.champion;
	}
	validator v(p.config.layer_norm);
	std::vector<segment_value> current, before;
	for (auto const& s : segments) {
		current.push_back(v.evaluate(theta.data(), theta.data(), *s));
		before.push_back(v.evaluate(champion->data(), theta.data(), *s));
		out.logged -= current.back().sampled / double(segments.size());
	}
	out.current = estimate(current);
	out.champion = estimate(before);
	difference_estimate const d = difference(current, before);
	out.difference = d.mean;
	out.difference_error = d.error;
	return out;
}

void learner_set::set_champion()
{
	impl& p = *impl_;
	std::vector<float> theta(k_nr_weights);
	p.shared.snapshot(theta.data());
	std::scoped_lock lock(p.stats_mutex);
	p.champion = std::make_shared<weights<float> const>(Eigen::Map<weights<float> const>(theta.data()));
}

void learner_set::load_champion(std::string const& path)
{
	checkpoint const c = impl_->read(path);
	std::scoped_lock lock(impl_->stats_mutex);
	impl_->champion = std::make_shared<weights<float> const>(Eigen::Map<weights<float> const>(c.theta.data()));
}

void learner_set::restore_champion()
{
	impl& p = *impl_;
	{
		std::scoped_lock lock(p.stats_mutex);
		p.shared.set(p.champion->data(), nullptr);
	}
	p.held_out.clear();
}

// A checkpoint of this network. Throws checkpoint_error: also for weights learned with the other layer_norm.
checkpoint learner_set::impl::read(std::string const& path) const
{
	checkpoint c = read_checkpoint(path);
	if (c.layer_norm != bool(config.layer_norm))
		throw checkpoint_error(checkpoint_fault::schema,
				       "checkpoint " + path + ": was learned with layer_norm = " + std::to_string(c.layer_norm) +
					       " and this learner has " + std::to_string(config.layer_norm) +
					       "; set layer_norm = " + std::to_string(c.layer_norm) + ", or start without this file");
	return c;
}

void learner_set::begin_environment()
{
	for (auto& d : impl_->domains) {
		std::scoped_lock lock(d->mutex);
		d->assembler.forget();
	}
}

void learner_set::save(std::string const& path) const
{
	impl const& p = *impl_;
	checkpoint c;
	c.theta.resize(k_nr_weights);
	c.squares.resize(k_nr_weights);
	p.shared.snapshot(c.theta.data());
	p.shared.snapshot_squares(c.squares.data());
	{
		std::scoped_lock lock(p.stats_mutex);
		c.prior.assign(p.prior->data(), p.prior->data() + k_nr_weights);
	}
	c.decisions_trained = p.decisions_trained.load(std::memory_order_relaxed);
	c.updates = p.updates.load(std::memory_order_relaxed);
	c.mean_square_advantage = p.mean_square_advantage.load(std::memory_order_relaxed);
	c.updates_of_advantage = p.updates_of_advantage.load(std::memory_order_relaxed);
	c.layer_norm = p.config.layer_norm;
	c.machine = p.config.machine;
	c.frozen_updates = p.frozen_left();
	write_checkpoint(path, c);
}

void learner_set::load(std::string const& path)
{
	impl& p = *impl_;
	checkpoint c = p.read(path);
	if (c.machine && p.config.machine && c.machine != p.config.machine) {
		c.prior = c.theta;
		c.decisions_trained = 0;
		c.updates_of_advantage = 0;
		c.mean_square_advantage = 0;
		c.frozen_updates = std::uint64_t(p.config.transfer_updates);
	}
	p.frozen_updates = std::int64_t(std::min<std::uint64_t>(c.frozen_updates, 1'000'000'000));
	p.shared.set(c.theta.data(), c.squares.data(), c.updates);
	p.decisions_trained = c.decisions_trained;
	p.updates = c.updates;
	p.mean_square_advantage = c.mean_square_advantage;
	p.updates_of_advantage = c.updates_of_advantage;
	std::scoped_lock lock(p.stats_mutex);
	p.prior = std::make_shared<weights<float> const>(Eigen::Map<weights<float> const>(c.prior.data()));
	p.start_weights = std::make_shared<weights<float> const>(Eigen::Map<weights<float> const>(c.theta.data()));
	p.champion = p.start_weights;
}

} // namespace tactus::learn
