// SPDX-License-Identifier: Apache-2.0
//
// The group's own queue. For every task in it the pool gets a runner, a task that
// takes one from the queue; runners that come too late find it empty and end.
// They hold the queue, so it may outlive the group.
#include <tactus/isolated_group.hpp>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>

namespace tactus::detail {

class isolated_state {
 public:
  void put(task* t) {
    std::lock_guard guard(lock_);
    waiting_.push_back(t);
    ++unfinished_;
    changed_.notify_one();
  }
  // Takes t back; false when somebody has it already.
  bool remove(task* t) noexcept {
    std::lock_guard guard(lock_);
    const auto at = std::find(waiting_.begin(), waiting_.end(), t);
    if (at == waiting_.end()) return false;
    waiting_.erase(at);
    --unfinished_;
    return true;
  }
  void run_oldest() noexcept { run(take(false)); }
  void wait() noexcept {
    for (;;) {
      while (task* t = take(true)) run(t);
      std::unique_lock guard(lock_);
      // A task that runs elsewhere may add more.
      changed_.wait(guard, [&] { return unfinished_ == 0 || !waiting_.empty(); });
      if (unfinished_ == 0) return;
    }
  }
  void rethrow() {
    std::exception_ptr e;
    {
      std::lock_guard guard(lock_);
      e = std::exchange(error_, nullptr);
    }
    if (e) std::rethrow_exception(std::move(e));
  }

 private:
  task* take(bool newest) noexcept {
    std::lock_guard guard(lock_);
    if (waiting_.empty()) return nullptr;
    task* t = newest ? waiting_.back() : waiting_.front();
    if (newest)
      waiting_.pop_back();
    else
      waiting_.pop_front();
    return t;
  }
  void run(task* t) noexcept {
    if (!t) return;
    std::exception_ptr error;
    try {
      t->invoke(*t, task_op::run);
    } catch (...) {
      error = std::current_exception();
    }
    release_task(t);
    std::lock_guard guard(lock_);
    if (error && !error_) error_ = std::move(error);
    --unfinished_;
    if (unfinished_ == 0) changed_.notify_one();
  }

  std::mutex lock_;
  std::condition_variable changed_;
  std::deque<task*> waiting_;
  std::size_t unfinished_ = 0;  // waiting or running
  std::exception_ptr error_;
};

std::shared_ptr<isolated_state> make_isolated_state() { return std::make_shared<isolated_state>(); }

void isolated_run(const std::shared_ptr<isolated_state>& state, pool_core& core, const class_entry& entry, task* t) {
  try {
    state->put(t);
  } catch (...) {
    discard(t);
    throw;
  }
  try {
    enqueue(core, make_task([state] { state->run_oldest(); }, task_kind::detached), entry);
  } catch (...) {
    if (!state->remove(t)) return;  // it runs all the same
    discard(t);
    throw;
  }
}

void isolated_wait(isolated_state& state) noexcept { state.wait(); }
void isolated_rethrow(isolated_state& state) { state.rethrow(); }

}  // namespace tactus::detail
