// SPDX-License-Identifier: Apache-2.0
//
// observer: told of every task of a pool, when it is enqueued, when it starts and
// when it has ended; for tracing and metrics.
//
//     struct slow_tasks : tactus::observer {
//       void finished(const tactus::task_event& e, std::chrono::nanoseconds wait,
//                     std::chrono::nanoseconds run, tactus::task_outcome) noexcept override;
//     };
//     tactus::pool pool({.observer = std::make_shared<slow_tasks>()});
//
// A pool without one pays nothing: the calls are put between pool and task when
// the task is enqueued, by a branch that exists anyway. With one, a task costs an
// allocation and three clock reads more. What parallel_for runs in its caller is
// no task and is not seen.
#ifndef TACTUS_OBSERVER_HPP
#define TACTUS_OBSERVER_HPP

#include "export.h"
#include "task_class.hpp"

#include <chrono>
#include <string_view>

namespace tactus {

enum class task_outcome {
  done,
  failed,     // ended by an exception
  cancelled,  // never started: the pool was shut down
  missed,     // never started: dropped by missed_policy::drop
};

struct task_event {
  const void* task;             // the same in all events of one task; reused afterwards
  std::string_view class_name;  // valid as long as the pool
  fingerprint class_id;
  int priority;
  int worker;                   // number of the worker that calls; -1: a thread that is none
};

// Thread-safety: called from many threads at once, also from within submit().
// Must not submit tasks to the pool that it observes.
class TACTUS_API observer {
 public:
  observer() = default;
  observer(const observer&) = delete;
  observer& operator=(const observer&) = delete;
  virtual ~observer();

  virtual void enqueued(const task_event&) noexcept {}
  // wait: from enqueued to here.
  virtual void started(const task_event&, std::chrono::nanoseconds /*wait*/) noexcept {}
  // run: 0 for a task that never started. Called before whoever waits is woken.
  virtual void finished(const task_event&, std::chrono::nanoseconds /*wait*/, std::chrono::nanoseconds /*run*/,
                        task_outcome) noexcept {}
};

}  // namespace tactus

#endif
