// SPDX-License-Identifier: Apache-2.0
//
// A small queueing system with the kernel's semantics, as an environment of the
// learner in unit tests: exponential servers (one CPU, one place each) and
// classes of jobs, Poisson arrivals. Decisions are drawn from rows by
// bpf/policy.h: moment (a) when a job arrives, moment (b) when a server falls
// idle and asks the heads of the held queue and of other places' queues.
// What it leaves out: preemption, slices, affinity, virtual time (queues are
// first in, first out). The simulator of the project is sim/; this one stays
// small enough to check by eye against closed forms.
#pragma once

#include "agent/learn/api.h"
#include "bpf/policy.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <random>

namespace tactus::learn::test {

// Receives rows of one machine, as the publisher's bank would.
class row_bank : public row_sink {
public:
	row_bank() : rows_(k_max_slots * TACTUS_NR_SITUATIONS) {}
	void put(unsigned slot, unsigned situation, tactus_row const& row) override
	{
		rows_[slot * TACTUS_NR_SITUATIONS + situation] = row;
	}
	tactus_row const& row(unsigned slot, unsigned situation) const
	{
		return rows_[slot * TACTUS_NR_SITUATIONS + situation];
	}

private:
	std::vector<tactus_row> rows_;
};

struct job_class {
	double arrivals_per_ns;
	double mean_work_ns; // on a server of speed 1
	int weight = 1;
};

// How actions are chosen.
enum class chooser {
	rows,	       // sampled from the rows
	rows_argmax,   // the row's most probable legal action
	fastest_first, // greedy: fastest idle server, else wait; never hold
	fast_only,     // never anything but the fastest tier
	random_place,  // uniform over legal places, no hold
	fallback,      // an idle place at random, else the shallowest queue
};

class queue_sim {
public:
	queue_sim(std::vector<double> speeds, std::vector<job_class> classes, std::uint64_t seed)
		: speeds_(std::move(speeds)), classes_(std::move(classes)), random_(seed), servers_(speeds_.size()),
		  queues_(speeds_.size())
	{
		std::vector<double> distinct = speeds_;
		std::sort(distinct.rbegin(), distinct.rend());
		distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
		for (std::size_t p = 0; p < speeds_.size(); ++p)
			tier_.push_back(std::uint8_t(std::find(distinct.begin(), distinct.end(), speeds_[p]) - distinct.begin()));
		next_arrival_.resize(classes_.size());
		for (std::size_t c = 0; c < classes_.size(); ++c)
			next_arrival_[c] = exponential(1 / classes_[c].arrivals_per_ns);
	}

	// The inputs a version of the rows is computed from. Slot c + 1 is class c.
	std::shared_ptr<policy_inputs> inputs(std::uint32_t version) const
	{
		auto in = std::make_shared<policy_inputs>();
		in->version = version;
		in->nr_places = nr_places();
		double const fastest = *std::max_element(speeds_.begin(), speeds_.end());
		for (std::size_t c = 0; c < classes_.size(); ++c) {
			class_inputs& k = in->classes[c + 1];
			k.in_use = true;
			k.weight = float(classes_[c].weight);
			k.task.present = 1;
			k.task.value[0] = float(c) / 8;
			for (int p = 0; p < nr_places(); ++p) {
				auto& f = k.place[p];
				f[k_place_speed] = float(speeds_[p] / fastest);
				f[k_place_speed_known] = 1;
				f[k_place_capacity] = 1;
				f[k_place_home_domain] = 1;
				f[k_place_tier] = float(tier_[p]) / 3;
				f[k_place_tier_best] = tier_[p] == 0;
				k.tier[p] = tier_[p];
			}
		}
		return in;
	}

	// One event; decisions of moment (a) and (b) go to learner (may be null).
	void step(chooser how, row_bank const* rows, std::uint32_t version, learner_set* learner)
	{
		int arriving = -1, finishing = -1;
		double t = 1e300;
		for (std::size_t c = 0; c < next_arrival_.size(); ++c)
			if (next_arrival_[c] < t)
				t = next_arrival_[c], arriving = int(c);
		for (int p = 0; p < nr_places(); ++p)
			if (servers_[p].busy && servers_[p].ends < t)
				t = servers_[p].ends, finishing = p, arriving = -1;
		weighted_ns_ += present_ * (t - now_);
		now_ = t;
		how_ = how;
		rows_ = rows;
		version_ = version;
		learner_ = learner;
		if (finishing >= 0) {
			servers_[finishing].busy = false;
			present_ -= classes_[servers_[finishing].job].weight;
			++completed_;
			idle(finishing);
		} else {
			next_arrival_[arriving] = now_ + exponential(1 / classes_[arriving].arrivals_per_ns);
			present_ += classes_[arriving].weight;
			wake(arriving);
		}
	}

	void set_speed(int place, double speed) { speeds_[place] = speed; }

	int nr_places() const { return int(speeds_.size()); }
	double now_ns() const { return now_; }
	double weighted_ns() const { return weighted_ns_; } // integral of weighted jobs present
	std::uint64_t completed() const { return completed_; }
	std::uint64_t decisions() const { return decisions_; }
	std::uint64_t chosen(int place) const { return chosen_[place]; }
	std::uint64_t forced() const { return forced_; }

private:
	struct server {
		bool busy = false;
		int job = 0;
		double ends = 0;
	};
	struct waiting_job {
		int job;
		double since;
	};

	double exponential(double mean) { return std::exponential_distribution<double>(1 / mean)(random_); }

	void start(int place, int job)
	{
		servers_[place] = {true, job, now_ + exponential(classes_[job].mean_work_ns / speeds_[place])};
	}

	int nr_waiting() const
	{
		std::size_t n = held_.size();
		for (auto const& q : queues_)
			n += q.size();
		return int(n);
	}

	std::uint64_t idle_places() const
	{
		std::uint64_t idle = 0;
		for (int p = 0; p < nr_places(); ++p)
			idle |= std::uint64_t(!servers_[p].busy) << p;
		return idle;
	}

	void report(int job, unsigned situation, std::uint64_t legal, bool hold_legal, tactus_choice const& c, tactus_moment moment)
	{
		++decisions_;
		if (c.action < TACTUS_MAX_PLACES)
			++chosen_[c.action];
		if (!learner_)
			return;
		decision d;
		d.sequence = ++sequence_;
		d.time_ns = std::uint64_t(now_);
		d.area = std::uint64_t(weighted_ns_);
		d.legal = legal;
		d.version = version_;
		d.prob_num = c.num;
		d.prob_den = c.den;
		d.slot = std::uint8_t(job + 1);
		d.situation = std::uint8_t(situation);
		d.chosen = std::uint8_t(c.action);
		d.source = how_ == chooser::rows ? TACTUS_SOURCE_ROW : TACTUS_SOURCE_FALLBACK_MODE;
		d.moment = std::uint8_t(moment);
		d.hold_legal = hold_legal;
		learner_->submit(d);
	}

	// An idle place of the wanted kind, or -1.
	int pick_idle(std::uint64_t idle, bool fastest)
	{
		int best = -1, seen = 0;
		for (int p = 0; p < nr_places(); ++p) {
			if (!(idle >> p & 1))
				continue;
			if (fastest ? best < 0 || speeds_[p] > speeds_[best] : random_() % unsigned(++seen) == 0)
				best = p;
		}
		return best;
	}

	void wake(int job)
	{
		std::uint64_t const idle = idle_places();
		std::uint64_t const all = (1ull << nr_places()) - 1;
		int const waiting = nr_waiting();
		bool const hold_legal = tactus_hold_legal(waiting, nr_places());
		unsigned const situation = tactus_situation(tactus_idle_tiers(tier_.data(), idle, nr_places()), waiting);
		tactus_choice c{TACTUS_HOLD, 1, 1};
		switch (how_) {
		case chooser::rows:
			tactus_sample(rows_->row(job + 1, situation).cdf, nr_places(), all, hold_legal,
				      std::uint32_t(random_()), &c);
			break;
		case chooser::rows_argmax:
			c.action = argmax(rows_->row(job + 1, situation).cdf, all, hold_legal);
			break;
		case chooser::fastest_first:
			if (int const p = pick_idle(idle, true); p >= 0)
				c.action = unsigned(p);
			break;
		case chooser::fast_only:
			c.action = unsigned(std::max_element(speeds_.begin(), speeds_.end()) - speeds_.begin());
			break;
		case chooser::random_place:
			c.action = unsigned(random_() % unsigned(nr_places()));
			break;
		case chooser::fallback:
			if (int const p = pick_idle(idle, false); p >= 0)
				c.action = unsigned(p);
			else
				c.action = unsigned(std::min_element(queues_.begin(), queues_.end(),
								     [](auto& a, auto& b) { return a.size() < b.size(); }) -
						    queues_.begin());
			break;
		}
		report(job, situation, all, hold_legal, c, TACTUS_MOMENT_WAKE);
		if (c.action == TACTUS_HOLD) {
			held_.push_back({job, now_});
			return;
		}
		int used = int(c.action);
		if (servers_[used].busy) // an idle one of the same tier, else queue there
			for (int p = 0; p < nr_places(); ++p)
				if (!servers_[p].busy && tier_[p] == tier_[c.action])
					used = p;
		if (!servers_[used].busy)
			start(used, job);
		else
			queues_[used].push_back({job, now_});
	}

	unsigned argmax(std::uint16_t const* cdf, std::uint64_t legal, bool hold_legal) const
	{
		unsigned best = TACTUS_HOLD;
		unsigned mass = hold_legal ? tactus_row_mass(cdf, TACTUS_HOLD) : 0;
		for (int p = 0; p < nr_places(); ++p)
			if ((legal >> p & 1) && tactus_row_mass(cdf, unsigned(p)) > mass)
				best = unsigned(p), mass = tactus_row_mass(cdf, unsigned(p));
		return best;
	}

	// May place p take that job? Asked of its row, as in moment (b).
	bool take(int p, int job)
	{
		switch (how_) {
		case chooser::fast_only:
			return tier_[p] == 0;
		case chooser::rows:
		case chooser::rows_argmax:
			break;
		default:
			return true;
		}
		unsigned const situation = tactus_situation(1u << tier_[p], nr_waiting() - 1);
		std::uint16_t const* cdf = rows_->row(job + 1, situation).cdf;
		tactus_choice c{};
		if (how_ == chooser::rows_argmax)
			return argmax(cdf, 1ull << p, true) == unsigned(p);
		tactus_sample(cdf, TACTUS_MAX_PLACES, 1ull << p, true, std::uint32_t(random_()), &c);
		if (!c.den)
			return false;
		report(job, situation, 1ull << p, true, c, TACTUS_MOMENT_IDLE);
		return c.action == unsigned(p);
	}

	void idle(int p)
	{
		constexpr double bound_ns = 10e6;
		auto late = [&](std::deque<waiting_job> const& q) { return !q.empty() && now_ - q.front().since > bound_ns; };
		auto run = [&](std::deque<waiting_job>& q) {
			start(p, q.front().job);
			q.pop_front();
		};
		if (late(held_)) {
			++forced_;
			return run(held_);
		}
		if (!queues_[p].empty())
			return run(queues_[p]);
		if (!held_.empty() && take(p, held_.front().job))
			return run(held_);
		for (auto& q : queues_)
			if (!q.empty() && take(p, q.front().job))
				return run(q);
	}

	std::vector<double> speeds_;
	std::vector<job_class> classes_;
	std::mt19937_64 random_;
	std::vector<server> servers_;
	std::vector<std::deque<waiting_job>> queues_;
	std::deque<waiting_job> held_;
	std::vector<std::uint8_t> tier_;
	std::vector<double> next_arrival_;
	double now_ = 0, weighted_ns_ = 0;
	int present_ = 0;
	std::uint64_t completed_ = 0, decisions_ = 0, sequence_ = 0, forced_ = 0;
	std::array<std::uint64_t, TACTUS_MAX_PLACES> chosen_{};
	chooser how_ = chooser::rows;
	row_bank const* rows_ = nullptr;
	std::uint32_t version_ = 0;
	learner_set* learner_ = nullptr;
};

// Time mean of weighted jobs present under one way of choosing.
inline double mean_cost(queue_sim sim, chooser how, row_bank const* rows, int events)
{
	for (int i = 0; i < events / 20; ++i)
		sim.step(how, rows, 0, nullptr);
	double const t = sim.now_ns(), w = sim.weighted_ns();
	for (int i = 0; i < events; ++i)
		sim.step(how, rows, 0, nullptr);
	return (sim.weighted_ns() - w) / (sim.now_ns() - t);
}

} // namespace tactus::learn::test
