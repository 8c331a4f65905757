// SPDX-License-Identifier: Apache-2.0
//
// Observers and missed deadlines; see watch.h.
#include "watch.h"

#include "pool_core.h"
#include "thread_state.h"

#include <tactus/observer.hpp>

#include <memory>
#include <new>

namespace tactus {

observer::~observer() = default;

namespace detail {
namespace {

using std::chrono::nanoseconds;

task_event event_of(const watch& w, const task& t) noexcept {
  const class_record& cls = record_of(*w.entry);
  const worker* self = t_state.self;
  return {&t, cls.name, cls.id, cls.priority,
          self && self->core == w.core ? static_cast<int>(self->index) : -1};
}

nanoseconds since(std::uint64_t earlier_ns, std::uint64_t now_ns) noexcept {
  return nanoseconds(static_cast<std::int64_t>(now_ns - earlier_ns));
}

void invoke_watched(task& t, task_op op) {
  const std::unique_ptr<watch> w(t.watched);
  t.invoke = w->invoke;  // what comes later (the result nobody fetched) is the task's own
  observer* const eyes = w->core->options.observer.get();
  const std::uint64_t start_ns = tick_clock::now_ns();
  const nanoseconds wait = since(w->enqueued_ns, start_ns);
  if (op != task_op::run) {
    t.invoke(t, op);
    if (eyes) eyes->finished(event_of(*w, t), wait, nanoseconds{0}, task_outcome::cancelled);
    return;
  }
  const std::uint64_t deadline_ns = w->entry->deadline_ns ? w->enqueued_ns + w->entry->deadline_ns : 0;
  if (deadline_ns && start_ns > deadline_ns) {
    const class_options& options = record_of(*w->entry).options;
    if (options.on_missed) options.on_missed(since(deadline_ns, start_ns));
    if (options.missed == missed_policy::drop) {
      t.invoke(t, task_op::drop);
      if (eyes) eyes->finished(event_of(*w, t), wait, nanoseconds{0}, task_outcome::missed);
      if (t.kind != task_kind::detached) throw deadline_missed(record_of(*w->entry).name);
      return;
    }
  }
  if (!eyes) {
    t.invoke(t, op);
    return;
  }
  eyes->started(event_of(*w, t), wait);
  const auto finished = [&](task_outcome outcome) {
    eyes->finished(event_of(*w, t), wait, since(start_ns, tick_clock::now_ns()), outcome);
  };
  try {
    t.invoke(t, op);
  } catch (...) {
    finished(task_outcome::failed);
    throw;
  }
  finished(task_outcome::done);
}

}  // namespace

void watch_task(pool_core& core, task& t, const class_entry& e) noexcept {
  auto* w = new (std::nothrow) watch{t.invoke, &core, &e, tick_clock::now_ns()};
  if (!w) return;
  t.watched = w;
  t.invoke = &invoke_watched;
  if (observer* eyes = core.options.observer.get()) eyes->enqueued(event_of(*w, t));
}

}  // namespace detail
}  // namespace tactus
