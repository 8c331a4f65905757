// SPDX-License-Identifier: Apache-2.0
//
// Timers: the queue and its thread, and the two kinds of things in it: a task
// that is submitted once, and a call that is submitted again and again.
#include "timer.h"

#include "pool_core.h"

#include <tactus/errors.hpp>

#include <algorithm>
#include <condition_variable>
#include <stdexcept>

namespace tactus::detail {

// --- the queue -------------------------------------------------------------

timer_queue::timer_queue(const std::string& thread_name) : thread_([this, thread_name] {
  pthread_setname_np(pthread_self(), thread_name.c_str());
  run();
}) {}

bool timer_queue::add(timer_clock::time_point due, const std::shared_ptr<timer_item>& item) {
  std::lock_guard guard(lock_);
  if (stopped_) return false;
  const position at = items_.emplace(due, item);
  if (at == items_.begin()) changed_.notify_one();
  return true;
}

bool timer_queue::remove(const timer_item* item) noexcept {
  if (made_.a_parent()) return false;
  std::shared_ptr<timer_item> found;
  {
    std::lock_guard guard(lock_);
    for (auto at = items_.begin(); at != items_.end(); ++at)
      if (at->second.get() == item) {
        found = std::move(at->second);
        items_.erase(at);
        break;
      }
  }
  if (found) found->dropped();
  return found != nullptr;
}

void timer_queue::stop() noexcept {
  {
    std::lock_guard guard(lock_);
    stopped_ = true;
    changed_.notify_one();
  }
  {
    std::lock_guard guard(join_lock_);
    if (thread_.joinable()) thread_.join();
  }
  for (;;) {
    std::shared_ptr<timer_item> item;
    {
      std::lock_guard guard(lock_);
      if (items_.empty()) return;
      item = std::move(items_.begin()->second);
      items_.erase(items_.begin());
    }
    item->dropped();
  }
}

void timer_queue::run() noexcept {
  std::unique_lock guard(lock_);
  while (!stopped_) {
    if (items_.empty()) {
      changed_.wait(guard);
      continue;
    }
    const auto due = items_.begin()->first;
    if (timer_clock::now() < due) {
      changed_.wait_until(guard, due);
      continue;
    }
    std::shared_ptr<timer_item> item = std::move(items_.begin()->second);
    items_.erase(items_.begin());
    guard.unlock();
    item->due();
    item.reset();
    guard.lock();
  }
}

// --- the pool's queue ------------------------------------------------------

std::shared_ptr<timer_queue> pool_core::timers() {
  if (state() == state_kind::forked) throw std::logic_error("a child of fork() has no timers");
  std::lock_guard guard(timers_lock_);
  if (timers_stopped_) throw pool_stopped();
  if (!timers_) timers_ = std::make_shared<timer_queue>(options.name.substr(0, 9) + "/timer");
  return timers_;
}

void pool_core::stop_timers() noexcept {
  std::shared_ptr<timer_queue> queue;
  {
    std::lock_guard guard(timers_lock_);
    timers_stopped_ = true;
    queue = timers_;
  }
  if (queue) queue->stop();
}

// --- once ------------------------------------------------------------------

namespace {

void drop_timed(task* t, std::exception_ptr why) noexcept {
  if (t->kind == task_kind::promised)
    complete_dropped(t, std::move(why));
  else
    discard(t);
}

// So that no sum of times overflows; a century.
constexpr std::chrono::nanoseconds k_longest = std::chrono::hours(24 * 365) * 100;

class timed_task final : public timer_item {
 public:
  timed_task(pool_core& core, task* t, const class_entry& e) : core_(core), task_(t), entry_(e) {}
  void due() noexcept override {
    try {
      enqueue(core_, task_, entry_);  // takes care of the task also where it throws
    } catch (const pool_stopped&) {
    }
  }
  void dropped() noexcept override {
    drop_timed(task_, std::make_exception_ptr(cancelled("it was not due yet")));
  }
  void cancel_by(const std::stop_token& token, std::weak_ptr<timer_queue> queue) {
    on_stop_.emplace(token, remover{this, std::move(queue)});
  }

 private:
  struct remover {
    const timed_task* item;
    std::weak_ptr<timer_queue> queue;
    void operator()() const noexcept {
      if (const auto q = queue.lock()) q->remove(item);
    }
  };
  pool_core& core_;
  task* task_;
  const class_entry& entry_;
  std::optional<std::stop_callback<remover>> on_stop_;
};

}  // namespace

void enqueue_at(pool_core& core, task* t, const class_entry& entry, std::chrono::nanoseconds delay,
                const std::stop_token& token) {
  try {
    const auto queue = core.timers();
    t->flags = k_depends;
    const auto item = std::make_shared<timed_task>(core, t, entry);
    if (!queue->add(timer_clock::now() + std::min(delay, k_longest), item)) throw pool_stopped();
    if (token.stop_possible()) item->cancel_by(token, queue);
  } catch (...) {
    drop_timed(t, std::current_exception());
    throw;
  }
}

// --- again and again -------------------------------------------------------

// States: waits (in the queue) -> submitted -> runs -> waits ...; over at any time.
struct periodic : timer_item, std::enable_shared_from_this<periodic> {
  periodic(pool_core& pool, const class_entry& e, std::chrono::nanoseconds p, bool (*fn)(void*),
           std::shared_ptr<void> c, std::weak_ptr<timer_queue> q)
      : core(pool), entry(e), period(p), call(fn), context(std::move(c)), queue(std::move(q)),
        next(timer_clock::now() + p) {}

  void due() noexcept override {
    try {
      enqueue(core, make_task([self = shared_from_this()] { self->run(); }, task_kind::detached), entry);
    } catch (...) {  // no memory, or the pool stops
      end();
    }
  }
  void dropped() noexcept override { end(); }

  void run() {
    {
      std::lock_guard guard(lock);
      if (over) return;
      runner = std::this_thread::get_id();
    }
    struct ended {
      periodic* self;
      bool again = false;
      ~ended() {
        std::lock_guard guard(self->lock);
        self->runner = {};
        if (!again) self->over = true;
        self->changed.notify_all();
      }
    };
    {
      ended mark{this};
      mark.again = call(context.get());
    }
    const auto now = timer_clock::now();
    next += period;
    if (next <= now) next += period * ((now - next) / period + 1);  // those that came due meanwhile
    const auto q = queue.lock();
    bool goes_on;
    {
      std::lock_guard guard(lock);
      goes_on = !over;
    }
    if (goes_on && !(q && q->add(next, shared_from_this()))) end();
  }
  void end() noexcept {
    std::lock_guard guard(lock);
    over = true;
  }

  pool_core& core;
  const class_entry& entry;
  const std::chrono::nanoseconds period;
  bool (*const call)(void*);
  const std::shared_ptr<void> context;
  const std::weak_ptr<timer_queue> queue;
  const made_by made;
  timer_clock::time_point next;
  mutable std::mutex lock;
  std::condition_variable changed;
  bool over = false;           // under lock
  std::thread::id runner{};    // under lock: who is in call()
};

std::shared_ptr<periodic> start_periodic(pool_core& core, const class_entry& entry, std::chrono::nanoseconds period,
                                         bool (*call)(void*), std::shared_ptr<void> context) {
  const auto queue = core.timers();
  auto p = std::make_shared<periodic>(core, entry, std::min(period, k_longest), call, std::move(context), queue);
  if (!queue->add(p->next, p)) throw pool_stopped();
  return p;
}

void cancel_periodic(periodic& p, bool wait_for_call) noexcept {
  if (p.made.a_parent()) return;  // which goes on calling it
  std::unique_lock guard(p.lock);
  p.over = true;
  if (wait_for_call && p.runner != std::this_thread::get_id())
    p.changed.wait(guard, [&] { return p.runner == std::thread::id{}; });
  guard.unlock();
  if (const auto q = p.queue.lock()) q->remove(&p);
}

bool periodic_active(const periodic& p) noexcept {
  if (p.made.a_parent()) return false;
  std::lock_guard guard(p.lock);
  return !p.over;
}

}  // namespace tactus::detail
