// SPDX-License-Identifier: Apache-2.0
//
// From single decisions to segments: puts neighbours in the order of their
// sequence numbers, keeps one stream per (domain, group), takes the cost between
// consecutive decisions of a stream, centres and scales it, and ends a segment
// where events were lost, where area or time jumped, or at its full length.
// Relies on step.h for the notation; starts no thread and knows no weights.
#pragma once

#include "step.h"

#include <functional>
#include <mutex>

namespace tactus::learn {

struct assembly_counts {
	std::uint64_t gaps = 0, bad_costs = 0, unknown_versions = 0, untrusted = 0;
};

// What the busiest stream knows, for figures.
struct stream_figures {
	std::uint64_t count = 0;
	double eta = 0, scale = 0, mean_gap_ns = 0;
};

// The inputs of the last versions. Thread-safe.
class version_history {
public:
	explicit version_history(int capacity) : entries_(std::size_t(capacity)) {}

	void add(std::shared_ptr<version_contexts const> v);
	// Of that version, or null when it is no longer (or was never) kept.
	std::shared_ptr<version_contexts const> find(std::uint32_t version) const;
	std::shared_ptr<version_contexts const> newest() const;

private:
	mutable std::mutex mutex_;
	std::vector<std::shared_ptr<version_contexts const>> entries_; // ring
	std::size_t next_ = 0;
};

// The decisions of one domain. REQUIRES: calls of one object one at a time.
class domain_assembler {
public:
	using segment_sink = std::function<void(segment&&)>;

	domain_assembler(learner_config const& config, version_history const& history) : config_(config), history_(history) {}

	// One event of the ring; d is null when it is no decision. Complete
	// segments go to the sink. service_time_ns: mean service time, 0 unknown.
	void event(std::uint64_t sequence, decision const* d, double service_time_ns, segment_sink const& sink);

	// Forgets half segments and what came before; means are kept.
	void reset();
	// Forgets the means too.
	void forget();

	assembly_counts const& counts() const { return counts_; }
	stream_figures figures() const;

private:
	struct stream {
		stream(std::uint16_t g, double step) : group(g), means(step) {}
		std::uint16_t group;
		centring means;
		std::uint64_t time_ns = 0, area = 0; // of the last decision
		double reward = 0;
		std::vector<step_k> steps;	     // the last one has no r, g yet
	};
	struct waiting_event {
		std::uint64_t sequence;
		bool is_decision;
		decision d;
	};

	void in_order(waiting_event const& e, double service_time_ns, segment_sink const& sink);
	void decided(decision const& d, double service_time_ns, segment_sink const& sink);
	void end_segments(segment_sink const& sink);
	void end_segment(stream& s, segment_sink const& sink);
	bool step_of(decision const& d, step_k& out);
	stream& stream_of(std::uint16_t group);

	learner_config const& config_;
	version_history const& history_;
	bool started_ = false;
	std::uint64_t expected_ = 0;
	std::vector<waiting_event> waiting_; // by sequence, all above expected_
	std::vector<std::unique_ptr<stream>> streams_;
	std::shared_ptr<version_contexts const> last_inputs_;
	assembly_counts counts_;
};

} // namespace tactus::learn
