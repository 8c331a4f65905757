// SPDX-License-Identifier: Apache-2.0
//
// The bounded queue between the ring's reader and the learners. One FIFO per
// group, served in turn, so that a group that decides a lot fills its own queue
// and not the learners' time of the others. Full: the new segment is dropped
// and counted; the reader never blocks.
#pragma once

#include "step.h"

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>

namespace tactus::learn {

// Thread-safety: all by any thread.
class segment_queue {
public:
	explicit segment_queue(int bound_per_group) : bound_(std::size_t(bound_per_group)) {}

	// False: dropped, the group's queue is full or the queue is closed.
	bool push(segment&& s)
	{
		{
			std::scoped_lock lock(mutex_);
			auto& q = groups_[s.group];
			if (closed_ || q.size() >= bound_)
				return false;
			q.push_back(std::move(s));
		}
		ready_.notify_one();
		return true;
	}

	// Waits for a segment; nothing when closed. The taker counts as busy until
	// it calls done.
	std::optional<segment> take()
	{
		std::unique_lock lock(mutex_);
		for (;;) {
			if (closed_)
				return std::nullopt;
			if (auto s = next()) {
				++busy_;
				return s;
			}
			ready_.wait(lock);
		}
	}

	void done()
	{
		std::scoped_lock lock(mutex_);
		--busy_;
		idle_.notify_all();
	}

	// Drops what waits and returns when no taker is busy.
	void drain()
	{
		std::unique_lock lock(mutex_);
		groups_.clear();
		idle_.wait(lock, [&] { return busy_ == 0; });
	}

	void open()
	{
		std::scoped_lock lock(mutex_);
		closed_ = false;
	}

	void close()
	{
		{
			std::scoped_lock lock(mutex_);
			closed_ = true;
			groups_.clear();
		}
		ready_.notify_all();
	}

private:
	// The group after the one served last that has something.
	std::optional<segment> next()
	{
		auto it = groups_.upper_bound(last_);
		for (std::size_t i = 0; i < groups_.size(); ++i, ++it) {
			if (it == groups_.end())
				it = groups_.begin();
			if (it->second.empty())
				continue;
			segment s = std::move(it->second.front());
			it->second.pop_front();
			last_ = it->first;
			return s;
		}
		return std::nullopt;
	}

	std::size_t const bound_;
	std::mutex mutex_;
	std::condition_variable ready_, idle_;
	std::map<std::uint16_t, std::deque<segment>> groups_;
	std::uint16_t last_ = 0;
	int busy_ = 0;
	bool closed_ = false;
};

} // namespace tactus::learn
