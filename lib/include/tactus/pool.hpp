// SPDX-License-Identifier: Apache-2.0
//
// The pool: workers that take tasks from each other, as many as this process may
// use CPUs, plus parked spares for urgent classes.
//
//     tactus::pool pool;
//     auto answer = pool.submit([] { return 6 * 7; });
//     pool.parallel_for(0, n, [&](int i) { out[i] = f(in[i]); });
//     std::cout << answer.get();
//     pool.wait();
//
// Runs the same with or without the scheduler and its agent: where an agent
// listens, a thread in the background registers the pool; nothing waits for it.
// Does not: pin threads, start threads before the first pool, or lose a task
// that was submitted.
//
// Everything that takes a callable takes a task_class before it; without one the
// call site is the class. A callable may be move-only; up to 64 bytes are kept
// without an allocation. One that takes a std::stop_token gets one (stoppable.hpp).
#ifndef TACTUS_POOL_HPP
#define TACTUS_POOL_HPP

#include "future.hpp"
#include "options.hpp"
#include "presets.hpp"
#include "stats.hpp"
#include "stoppable.hpp"
#include "submission.hpp"
#include "task.hpp"
#include "task_class.hpp"
#include "timer.hpp"

namespace tactus {

enum class stop_mode {
  drain,   // run what was submitted, then stop
  cancel,  // finish what runs, drop what waits (its futures throw `cancelled`), stop the pool's stop token
};

// Thread-safe, but for construction and destruction. In a child of fork() every
// task runs inside the call that submits it, and there are no timers.
class TACTUS_API pool {
  using site = std::source_location;
  template <class F>
  using result_of = std::invoke_result_t<
      std::decay_t<decltype(detail::with_token(std::declval<F>(), std::declval<std::stop_source&>()))>>;

 public:
  // Starts the threads; throws std::system_error when they cannot be made.
  explicit pool(const pool_options& options = {});
  explicit pool(preset which) : pool(options_for(which)) {}
  ~pool();  // shutdown(drain)
  pool(const pool&) = delete;
  pool& operator=(const pool&) = delete;

  // Runs fn() on a worker; the future carries its result or exception.
  // Throws pool_stopped, std::bad_alloc.
  template <detail::Task F>
  auto submit(const task_class& cls, F&& fn) {
    return submit_to(detail::bind_class(*core_, cls), std::forward<F>(fn));
  }
  template <detail::Task F>
  auto submit(F&& fn, site where = site::current()) {
    return submit_to(detail::bind_site(*core_, where, 0), std::forward<F>(fn));
  }

  // As submit, without a future: cheaper. The first exception that such a task
  // ends with is thrown by the next wait(), or printed by the destructor.
  template <detail::Task F>
  void detach(const task_class& cls, F&& fn) {
    detach_to(detail::bind_class(*core_, cls), std::forward<F>(fn));
  }
  template <detail::Task F>
  void detach(F&& fn, site where = site::current()) {
    detach_to(detail::bind_site(*core_, where, 0), std::forward<F>(fn));
  }

  // `count` tasks fn(i), i in [0, count), at the price of one look for sleeping
  // workers per some hundred. fn is kept once and called from several threads. The
  // future is ready when all have ended; it carries the first exception. Where the
  // call itself throws (pool_stopped, std::bad_alloc), the first of them may have run.
  template <class F>
  future<void> submit_bulk(const task_class& cls, std::size_t count, F&& fn);
  template <class F>
  future<void> submit_bulk(std::size_t count, F&& fn, site where = site::current());
  template <class F>
  void detach_bulk(const task_class& cls, std::size_t count, F&& fn);
  template <class F>
  void detach_bulk(std::size_t count, F&& fn, site where = site::current());

  // fn(i) for every i in [first, last), or fn(from, to) for parts of it where
  // fn takes two; in no order, in parallel, the caller takes part. Returns when
  // all is done; throws the first exception (iterations not begun are skipped).
  template <std::integral I, class F>
  void parallel_for(I first, std::type_identity_t<I> last, F&& fn, const task_class& cls) {
    loop(first, last, fn, detail::bind_class(*core_, cls));
  }
  template <std::integral I, class F>
  void parallel_for(I first, std::type_identity_t<I> last, F&& fn, site where = site::current()) {
    if (first < last)
      loop(first, last, fn, detail::bind_site(*core_, where, detail::size_bucket(distance(first, last))));
  }

  // Combines map(i) of every i in [first, last), in their order; `identity` for
  // an empty range. combine(T, T) must be associative. map may take
  // (from, to, T so_far) and return the new T, to go over a part at once.
  // The grouping depends on the range alone: the result is the same for any
  // number of workers, in floating point too.
  template <std::integral I, class T, class Map, class Combine>
  T parallel_reduce(I first, std::type_identity_t<I> last, T identity, Map&& map, Combine&& combine,
                    const task_class& cls);
  template <std::integral I, class T, class Map, class Combine>
  T parallel_reduce(I first, std::type_identity_t<I> last, T identity, Map&& map, Combine&& combine,
                    site where = site::current());

  // Runs the callables, the last one in the caller, and returns when all have
  // ended; throws the first exception. With a class: any number of them.
  template <std::invocable A, std::invocable B>
  void parallel_invoke(A&& a, B&& b, site where = site::current());
  template <std::invocable A, std::invocable B, std::invocable C>
  void parallel_invoke(A&& a, B&& b, C&& c, site where = site::current());
  template <std::invocable A, std::invocable B, std::invocable C, std::invocable D>
  void parallel_invoke(A&& a, B&& b, C&& c, D&& d, site where = site::current());
  template <std::invocable... F>
  void parallel_invoke(const task_class& cls, F&&... fns);

  // As submit, once `delay` is over. A timer that is not due when the pool shuts
  // down is cancelled: its future throws `cancelled`; wait() does not wait for it.
  template <detail::Task F>
  auto after(std::chrono::nanoseconds delay, const task_class& cls, F&& fn) {
    return after_to(detail::bind_class(*core_, cls), delay, std::forward<F>(fn));
  }
  template <detail::Task F>
  auto after(std::chrono::nanoseconds delay, F&& fn, site where = site::current()) {
    return after_to(detail::bind_site(*core_, where, 0), delay, std::forward<F>(fn));
  }
  // A task fn() every `period` (at least 1 us), the first after one period.
  // Calls never overlap: those that come due while one runs are left out, the
  // phase is kept. A call that throws ends the timer, and the exception goes the
  // way of detach(). Throws std::invalid_argument for a period that is too short.
  template <detail::Task F>
  timer every(std::chrono::nanoseconds period, const task_class& cls, F&& fn) {
    return every_to(detail::bind_class(*core_, cls), period, std::forward<F>(fn));
  }
  template <detail::Task F>
  timer every(std::chrono::nanoseconds period, F&& fn, site where = site::current()) {
    return every_to(detail::bind_site(*core_, where, 0), period, std::forward<F>(fn));
  }

  // Returns at a moment when every task submitted so far has finished; runs
  // tasks meanwhile. Throws what a detached task ended with.
  // REQUIRES: not called from a task of this pool (throws std::logic_error).
  void wait();

  // Stops the pool and joins its threads; once is enough, more do nothing.
  // REQUIRES: not called from a task of this pool (throws std::logic_error).
  void shutdown(stop_mode mode = stop_mode::drain);

  // Sets the number of workers that take tasks, at most max_workers(); 0: what
  // the affinity mask, the cpuset and the quota say now. Returns the number. A
  // worker that is too many finishes the task it is in. Does not wait for that.
  unsigned resize(unsigned workers = 0);

  unsigned workers() const noexcept;      // that take tasks; without spares
  unsigned max_workers() const noexcept;  // there are threads for
  unsigned spares() const noexcept;
  const std::string& name() const noexcept;
  pool_stats stats() const;           // consistent per counter, not across counters
  bool registered() const noexcept;
  registration_status registration() const;
  // Stopped by shutdown(stop_mode::cancel).
  std::stop_token stop_token() const noexcept { return stop_.get_token(); }

  detail::pool_core& core() noexcept { return *core_; }
  const std::stop_source& stop_source() const noexcept { return stop_; }  // detail

 private:
  template <class F>
  detail::task* promise(F&& fn) {
    detail::task* t = detail::make_promised_task(detail::with_token(std::forward<F>(fn), stop_));
    t->home = core_;
    return t;
  }
  template <class F>
  auto submit_to(const detail::class_entry& entry, F&& fn) {
    detail::task* t = promise(std::forward<F>(fn));
    future<result_of<F>> result(t);
    detail::enqueue(*core_, t, entry);
    return result;
  }
  template <class F>
  void detach_to(const detail::class_entry& entry, F&& fn) {
    detail::enqueue(*core_, detail::make_task(detail::with_token_quietly(std::forward<F>(fn), stop_),
                                              detail::task_kind::detached), entry);
  }
  template <class F>
  auto after_to(const detail::class_entry& entry, std::chrono::nanoseconds delay, F&& fn) {
    std::stop_token token;
    if constexpr (detail::is_stoppable<std::decay_t<F>>) token = fn.token;
    detail::task* t = promise(std::forward<F>(fn));
    future<result_of<F>> result(t);
    detail::enqueue_at(*core_, t, entry, delay, token);
    return result;
  }
  template <class F>
  timer every_to(const detail::class_entry& entry, std::chrono::nanoseconds period, F&& fn);
  template <class F>
  future<void> bulk_to(const detail::class_entry& entry, std::size_t count, F&& fn, bool promised);
  template <class I, class T, class Map, class Combine>
  T reduce(I first, I last, T identity, Map& map, Combine& combine, const detail::class_entry& entry);
  template <class... F>
  void invoke_all(const detail::class_entry& entry, F&&... fns);
  template <class I, class F>
  void loop(I first, I last, F& fn, const detail::class_entry& entry);

  // Exact also where last - first does not fit I.
  template <class I>
  static std::size_t distance(I first, I last) noexcept {
    using U = std::make_unsigned_t<I>;
    return static_cast<U>(static_cast<U>(last) - static_cast<U>(first));
  }

  detail::pool_core* core_;
  std::stop_source stop_;
};

}  // namespace tactus

#include "bulk.hpp"
#include "chain.hpp"
#include "parallel.hpp"

#endif
