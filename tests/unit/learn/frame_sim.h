// SPDX-License-Identifier: Apache-2.0
//
// A model of the demo's machine as an environment of the learner: single-CPU
// places of unequal speed, one pool with as many workers as CPUs and spares for
// urgent tasks, a game-like load (periodic urgent audio, physics in bursts,
// path-finding at random times, loading in a closed loop). Modelled of the
// kernel side: both decision moments through bpf/policy.h, queues per place,
// held workers and their bound, wake-up preemption by priority, slices, the
// fallback. Not modelled: migration and switching cost, unmanaged threads,
// virtual time (urgent first, then first in first out), lost events.
//
// It serves to choose hyper-parameters and to keep the learner's start honest;
// it says nothing about a real machine.
#pragma once

#include "queue_sim.h"

namespace tactus::learn::test {

struct frame_load {
	double audio_period_ns = 20e6, audio_work_ns = 1.5e6;
	int audio_tasks = 2;
	double frame_period_ns = 66e6, physics_work_ns = 2e6, path_work_ns = 3e6;
	int physics_tasks = 4, path_tasks = 2; // per frame
	int loading_tasks = 4;		       // outstanding at any time
	double loading_think_ns = 0;	       // from the end of one to the next
	double loading_work_ns = 3e6;
	// Nothing of the sampled tier is idle: queue at the sampled place (false), or
	// at the place of that tier that runs the least urgent task (true).
	bool least_urgent_of_tier = false;
};

class frame_sim {
public:
	enum slot { audio = 1, physics, path, loading, nr_slots };
	static constexpr std::array<int, nr_slots> k_weight{1, 4, 2, 1, 1};

	struct figures {
		double cost = 0; // time mean of weighted tasks present
		double audio_p50_ms = 0, audio_p99_ms = 0, audio_missed = 0;
		double loading_per_s = 0;
		std::uint64_t decisions = 0, completed = 0;
	};

	frame_sim(std::vector<double> speeds, frame_load load, std::uint64_t seed)
		: speeds_(std::move(speeds)), load_(load), random_(seed), cpus_(speeds_.size()), queues_(speeds_.size()),
		  busy_ns_(speeds_.size()), queue_ns_(speeds_.size())
	{
		double const fastest = *std::max_element(speeds_.begin(), speeds_.end());
		for (double s : speeds_)
			tier_.push_back(s < 0.8 * fastest);
		for (std::size_t i = 0; i < speeds_.size() + 2; ++i)
			workers_.push_back({.spare = i >= speeds_.size(), .prev = i < speeds_.size() ? int(i) : int(i % 2 ? 1 : speeds_.size() - 1)});
		next_audio_ = load_.audio_period_ns;
		next_frame_ = load_.frame_period_ns / 2;
	}

	void use(chooser how, row_bank const* rows, std::uint32_t version, learner_set* learner)
	{
		how_ = how, rows_ = rows, version_ = version, learner_ = learner;
	}

	// Runs until that much time has passed and tells what happened in it.
	figures run(double ns)
	{
		double const end = now_ + ns, weighted = weighted_ns_;
		auto const decisions = decisions_, completed = completed_, loaded = loaded_;
		latencies_.clear();
		double const start = now_;
		while (outstanding_loading_ < load_.loading_tasks) {
			++outstanding_loading_;
			submit(loading);
		}
		while (now_ < end)
			step();
		figures f;
		f.cost = (weighted_ns_ - weighted) / (now_ - start);
		f.decisions = decisions_ - decisions;
		f.completed = completed_ - completed;
		f.loading_per_s = double(loaded_ - loaded) / (now_ - start) * 1e9;
		std::sort(latencies_.begin(), latencies_.end());
		if (!latencies_.empty()) {
			f.audio_p50_ms = latencies_[latencies_.size() / 2] / 1e6;
			f.audio_p99_ms = latencies_[latencies_.size() * 99 / 100] / 1e6;
			f.audio_missed = double(latencies_.end() - std::upper_bound(latencies_.begin(), latencies_.end(),
										    load_.audio_period_ns)) /
					 double(latencies_.size());
		}
		return f;
	}

	// Inputs as the agent would measure them; resets the measuring window.
	std::shared_ptr<policy_inputs> inputs(std::uint32_t version)
	{
		auto in = std::make_shared<policy_inputs>();
		in->version = version;
		in->nr_places = nr_places();
		double const window = std::max(1.0, now_ - window_start_);
		double const fastest = *std::max_element(speeds_.begin(), speeds_.end());
		double mean_load = 0;
		for (int p = 0; p < nr_places(); ++p) {
			load_mean_.resize(speeds_.size());
			queue_mean_.resize(speeds_.size());
			load_mean_[p] += 0.2 * (busy_ns_[p] / window - load_mean_[p]);
			queue_mean_[p] += 0.2 * (queue_ns_[p] / window - queue_mean_[p]);
			mean_load += load_mean_[p] / nr_places();
			busy_ns_[p] = queue_ns_[p] = 0;
		}
		window_start_ = now_;
		in->state.present = 1;
		in->state.value[0] = float(mean_load);
		for (int c = audio; c < nr_slots; ++c) {
			class_inputs& k = in->classes[c];
			k.in_use = true;
			k.deadline = c == audio;
			k.weight = float(k_weight[c]);
			k.task.present = 7;
			k.task.value[0] = c == audio ? 1 : 0;
			k.task.value[1] = float(priority(c)) / 3;
			k.task.value[2] = float(std::log2(1 + work_of(c) / 1e3) / 24);
			for (int p = 0; p < nr_places(); ++p) {
				auto& f = k.place[p];
				f[k_place_speed] = float(speeds_[p] / fastest);
				f[k_place_speed_known] = 1;
				f[k_place_capacity] = 1;
				f[k_place_load] = float(load_mean_[p]);
				f[k_place_queue] = float(queue_mean_[p] / (1 + queue_mean_[p]));
				f[k_place_idle] = float(1 - load_mean_[p]);
				f[k_place_home_domain] = 1;
				f[k_place_tier] = float(tier_[p]) / 3;
				f[k_place_tier_best] = tier_[p] == 0;
				k.tier[p] = tier_[p];
			}
		}
		return in;
	}

	int nr_places() const { return int(speeds_.size()); }
	std::uint64_t decisions() const { return decisions_; }
	std::uint64_t completed() const { return completed_; }
	double now_ns() const { return now_; }
	// Decisions of moment (a) of a class by place, hold last.
	std::array<std::uint64_t, TACTUS_NR_ACTIONS> const& chosen(int c) const { return chosen_[c]; }

private:
	static constexpr double k_slice_ns = double(TACTUS_SLICE_DEFAULT_NS);
	static constexpr double k_bound_ns = double(TACTUS_HOLD_LIMIT_NS);
	struct task {
		int slot = 0;
		double submitted = 0, left_ns = 0;
	};
	struct worker {
		bool spare = false;
		bool awake = false;
		int prev = 0; // place where it ran last
		double waiting_since = 0;
		task t{};
	};
	struct cpu {
		int worker = -1;
		double slice_ends = 0;
	};

	double exponential(double mean) { return std::exponential_distribution<double>(1 / mean)(random_); }
	double work_of(int c) const
	{
		return c == audio     ? load_.audio_work_ns
		       : c == physics ? load_.physics_work_ns
		       : c == path    ? load_.path_work_ns
				      : load_.loading_work_ns;
	}
	static int priority(int slot) { return nr_slots - 1 - slot; }

	void advance(double t)
	{
		double const dt = t - now_;
		weighted_ns_ += present_ * dt;
		for (int p = 0; p < nr_places(); ++p) {
			if (cpus_[p].worker >= 0) {
				workers_[cpus_[p].worker].t.left_ns -= dt * speeds_[p];
				busy_ns_[p] += dt;
			}
			queue_ns_[p] += dt * double(queues_[p].size());
		}
		now_ = t;
	}

	void step()
	{
		enum { e_audio, e_frame, e_loading, e_done, e_slice, e_bound } what = e_audio;
		double t = next_audio_;
		int at = -1;
		auto consider = [&](double when, auto kind, int p) {
			if (when < t)
				t = std::max(when, now_), what = kind, at = p;
		};
		consider(next_frame_, e_frame, -1);
		if (!thinking_.empty())
			consider(thinking_.front(), e_loading, -1);
		for (int p = 0; p < nr_places(); ++p) {
			if (cpus_[p].worker < 0)
				continue;
			consider(now_ + std::max(0.0, workers_[cpus_[p].worker].t.left_ns) / speeds_[p], e_done, p);
			consider(cpus_[p].slice_ends, e_slice, p);
		}
		if (!held_.empty())
			consider(std::max(workers_[held_.front()].waiting_since + k_bound_ns, next_bound_), e_bound, -1);
		advance(t);
		switch (what) {
		case e_audio:
			next_audio_ += load_.audio_period_ns;
			for (int i = 0; i < load_.audio_tasks; ++i)
				submit(audio);
			break;
		case e_frame:
			next_frame_ += load_.frame_period_ns;
			for (int i = 0; i < load_.physics_tasks; ++i)
				submit(physics);
			for (int i = 0; i < load_.path_tasks; ++i)
				submit(path);
			break;
		case e_loading:
			thinking_.pop_front();
			submit(loading);
			break;
		case e_done:
			done(at);
			break;
		case e_slice: {
			int const w = cpus_[at].worker;
			cpus_[at].slice_ends = now_ + k_slice_ns;
			if (!queues_[at].empty() || late()) {
				cpus_[at].worker = -1;
				queue(at, w);
				report(w, 0, 1ull << at, false, {unsigned(at), 1, 1}, TACTUS_SOURCE_FORCED_SLICE, TACTUS_MOMENT_SLICE);
				dispatch(at);
			}
			break;
		}
		case e_bound: // the timer kicks an idle CPU
			next_bound_ = now_ + 2e6;
			for (int p = 0; p < nr_places(); ++p)
				if (cpus_[p].worker < 0) {
					dispatch(p);
					break;
				}
			break;
		}
	}

	// A sleeping worker gets it; a spare one when the task is more urgent than
	// one that runs; else it waits in the pool.
	void submit(int slot)
	{
		double const mean = work_of(slot);
		task const t{slot, now_, slot == path ? exponential(mean) : mean * (0.9 + 0.2 * double(random_() % 1000) / 1000)};
		present_ += k_weight[slot];
		int least = nr_slots;
		for (auto const& w : workers_)
			if (w.awake)
				least = std::min(least, priority(w.t.slot));
		for (std::size_t i = 0; i < workers_.size(); ++i)
			if (!workers_[i].awake && (!workers_[i].spare || priority(slot) > least)) {
				workers_[i].t = t;
				workers_[i].awake = true;
				wake(int(i));
				return;
			}
		auto at = std::find_if(pool_.begin(), pool_.end(), [&](task const& x) { return priority(x.slot) < priority(slot); });
		pool_.insert(at, t);
	}

	void done(int p)
	{
		int const i = cpus_[p].worker;
		worker& w = workers_[i];
		task const t = w.t;
		present_ -= k_weight[t.slot];
		++completed_;
		if (t.slot == audio)
			latencies_.push_back(now_ - t.submitted);
		loaded_ += t.slot == loading;
		// A spare goes on only with what would have woken it.
		if (!pool_.empty() && (!w.spare || priority(pool_.front().slot) >= priority(physics))) {
			w.t = pool_.front();
			pool_.pop_front();
		} else {
			w.awake = false;
			w.prev = p;
			cpus_[p].worker = -1;
		}
		if (t.slot == loading) {
			if (load_.loading_think_ns > 0)
				thinking_.push_back(now_ + load_.loading_think_ns);
			else
				submit(loading);
		}
		if (cpus_[p].worker < 0)
			dispatch(p);
	}

	std::uint64_t idle_places() const
	{
		std::uint64_t idle = 0;
		for (int p = 0; p < nr_places(); ++p)
			idle |= std::uint64_t(cpus_[p].worker < 0) << p;
		return idle;
	}
	int nr_waiting() const
	{
		std::size_t n = held_.size();
		for (auto const& q : queues_)
			n += q.size();
		return int(n);
	}
	bool late() const { return !held_.empty() && now_ - workers_[held_.front()].waiting_since >= k_bound_ns; }

	void queue(int p, int w)
	{
		workers_[w].waiting_since = now_;
		auto& q = queues_[p];
		auto at = q.end();
		at = std::find_if(q.begin(), q.end(),
				  [&](int x) { return priority(workers_[x].t.slot) < priority(workers_[w].t.slot); });
		q.insert(at, w);
	}

	void start(int p, int w)
	{
		cpus_[p] = {w, now_ + k_slice_ns};
		workers_[w].prev = p;
	}

	void report(int w, unsigned situation, std::uint64_t legal, bool hold_legal, tactus_choice c, tactus_source source,
		    tactus_moment moment)
	{
		++decisions_;
		int const slot = workers_[w].t.slot;
		if (moment == TACTUS_MOMENT_WAKE)
			++chosen_[slot][c.action];
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
		d.slot = std::uint8_t(slot);
		d.situation = std::uint8_t(situation);
		d.chosen = std::uint8_t(c.action);
		d.source = std::uint8_t(how_ == chooser::rows || source != TACTUS_SOURCE_ROW ? source : TACTUS_SOURCE_FALLBACK_MODE);
		d.moment = std::uint8_t(moment);
		d.hold_legal = hold_legal;
		learner_->submit(d);
	}

	void wake(int i)
	{
		worker& w = workers_[i];
		std::uint64_t const idle = idle_places();
		std::uint64_t legal = (1ull << nr_places()) - 1, kept = 0;
		int const waiting = nr_waiting();
		for (int p = 0; p < nr_places(); ++p)
			if ((idle >> p & 1) || queues_[p].size() <= tactus_queue_limit(waiting, nr_places()))
				kept |= 1ull << p;
		legal = kept ? kept : legal;
		bool const hold_legal = tactus_hold_legal(waiting, nr_places());
		unsigned const situation = tactus_situation(tactus_idle_tiers(tier_.data(), idle, nr_places()), waiting);
		tactus_choice c{TACTUS_HOLD, 1, 1};
		if (how_ == chooser::rows) {
			tactus_sample(rows_->row(w.t.slot, situation).cdf, nr_places(), legal, hold_legal,
				      std::uint32_t(random_()), &c);
		} else if (how_ == chooser::random_place) {
			do
				c.action = unsigned(random_() % unsigned(nr_places()));
			while (!(legal >> c.action & 1));
		} else {
			tactus_view v{};
			v.legal = legal;
			v.idle = v.idle_core = idle;
			v.prev = unsigned(w.prev);
			v.prev_idle = idle >> w.prev & 1;
			__u64 const near[4] = {legal, legal, legal, legal};
			std::int32_t depth[TACTUS_MAX_PLACES] = {};
			for (int p = 0; p < nr_places(); ++p)
				depth[p] = int(queues_[p].size());
			c.action = tactus_fallback_idle(&v, near);
			if (c.action == TACTUS_NO_PLACE)
				c.action = tactus_fallback_queue(&v, near, depth, unsigned(nr_places()));
		}
		report(i, situation, legal, hold_legal, c, TACTUS_SOURCE_ROW, TACTUS_MOMENT_WAKE);
		if (c.action == TACTUS_HOLD) {
			w.waiting_since = now_;
			held_.push_back(i);
			return;
		}
		int used = int(c.action);
		if (!(idle >> used & 1))
			for (int p = 0; p < nr_places(); ++p)
				if ((idle & legal) >> p & 1 && tier_[p] == tier_[c.action])
					used = p;
		if (idle >> used & 1) {
			start(used, i);
			return;
		}
		if (load_.least_urgent_of_tier) {
			auto badness = [&](int p) {
				return 100 * priority(workers_[cpus_[p].worker].t.slot) + 10 * int(queues_[p].size()) -
				       (p == int(c.action));
			};
			for (int p = 0; p < nr_places(); ++p)
				if ((legal >> p & 1) && tier_[p] == tier_[c.action] && badness(p) < badness(used))
					used = p;
		}
		queue(used, i);
		int const running = cpus_[used].worker;
		if (priority(w.t.slot) > priority(workers_[running].t.slot)) {
			cpus_[used].worker = -1;
			queue(used, running);
			report(running, 0, 1ull << used, false, {unsigned(used), 1, 1}, TACTUS_SOURCE_FORCED_SLICE,
			       TACTUS_MOMENT_SLICE);
			dispatch(used);
		}
	}

	bool take(int p, int w)
	{
		if (how_ != chooser::rows)
			return true;
		unsigned const situation = tactus_situation(1u << tier_[p], nr_waiting() - 1);
		tactus_choice c{};
		tactus_sample(rows_->row(workers_[w].t.slot, situation).cdf, TACTUS_MAX_PLACES, 1ull << p, true, std::uint32_t(random_()), &c);
		if (!c.den)
			return false;
		report(w, situation, 1ull << p, true, c, TACTUS_SOURCE_ROW, TACTUS_MOMENT_IDLE);
		return c.action == unsigned(p);
	}

	void dispatch(int p)
	{
		auto run = [&](auto& q) {
			int const w = q.front();
			q.pop_front();
			start(p, w);
		};
		if (late()) {
			report(held_.front(), 0, 1ull << p, false, {unsigned(p), 1, 1}, TACTUS_SOURCE_FORCED_BOUND, TACTUS_MOMENT_IDLE);
			return run(held_);
		}
		// Urgent ones first, then whoever waits longest, of own queue and held.
		auto& own = queues_[p];
		auto before = [&](int a, int b) {
			int const pa = priority(workers_[a].t.slot), pb = priority(workers_[b].t.slot);
			return pa != pb ? pa > pb : workers_[a].waiting_since < workers_[b].waiting_since;
		};
		if (!held_.empty() && (own.empty() || before(held_.front(), own.front())) && take(p, held_.front()))
			return run(held_);
		if (!own.empty())
			return run(own);
		for (int k = 1; k < nr_places(); ++k) {
			auto& q = queues_[(p + k) % nr_places()];
			if (!q.empty() && take(p, q.front()))
				return run(q);
		}
	}

	std::vector<double> speeds_;
	frame_load load_;
	std::mt19937_64 random_;
	std::vector<cpu> cpus_;
	std::vector<worker> workers_;
	std::vector<std::deque<int>> queues_;
	std::deque<int> held_;
	std::deque<task> pool_; // most urgent first
	std::deque<double> thinking_; // when the next loading tasks come
	std::vector<std::uint8_t> tier_;
	std::vector<double> busy_ns_, queue_ns_, load_mean_, queue_mean_, latencies_;
	double now_ = 0, weighted_ns_ = 0, window_start_ = 0, next_bound_ = 0;
	double next_audio_, next_frame_;
	int present_ = 0, outstanding_loading_ = 0;
	std::uint64_t decisions_ = 0, completed_ = 0, loaded_ = 0, sequence_ = 0;
	std::array<std::array<std::uint64_t, TACTUS_NR_ACTIONS>, nr_slots> chosen_{};
	chooser how_ = chooser::fallback;
	row_bank const* rows_ = nullptr;
	std::uint32_t version_ = 0;
	learner_set* learner_ = nullptr;
};

} // namespace tactus::learn::test
