// SPDX-License-Identifier: Apache-2.0
//
// Weights that a learner set keeps besides those it learns: checkpoints, the start of a course, and the
// champion with what held-out segments say of it.
#include "learner_set_impl.h"

#include <algorithm>
#include <cmath>

namespace tactus::learn {

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

} // namespace tactus::learn
