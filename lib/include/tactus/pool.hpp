// SPDX-License-Identifier: Apache-2.0
//
// The pool: workers that take tasks from each other, one per allowed CPU, plus
// parked spares for urgent classes.
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
#ifndef TACTUS_POOL_HPP
#define TACTUS_POOL_HPP

#include "future.hpp"
#include "task.hpp"
#include "task_class.hpp"

#include <chrono>
#include <concepts>
#include <source_location>
#include <string>
#include <vector>

namespace tactus {

namespace detail {
class pool_core;

// What a pool knows of one of its classes; its address lives as long as the pool.
struct class_entry {
  std::uint64_t tag = 0;          // class, priority, valid; no deadline
  std::uint64_t deadline_ns = 0;  // relative, 0 = none
  std::uint8_t local = 0;
  std::uint8_t priority = 1;
  std::uint8_t weight = 1;
  // Cost of one iteration of this class's loops, ticks / 16; 0 = not known yet.
  mutable std::atomic<std::uint32_t> loop_cost{0};
};

const class_entry& bind_class(pool_core& core, const task_class& cls);
const class_entry& bind_site(pool_core& core, const std::source_location& where, unsigned bucket);
void enqueue(pool_core& core, task* t, const class_entry& entry);

// A loop as the pool sees it: body(context, from, to) for parts of [0, count).
struct loop_body {
  void (*body)(void* context, std::size_t from, std::size_t to);
  void* context;
};
void run_loop(pool_core& core, const class_entry& entry, std::size_t count, const loop_body& body);
unsigned size_bucket(std::size_t count) noexcept;
}  // namespace detail

struct pool_options {
  std::string name = "tactus";  // also the threads' name; up to 31 bytes
  unsigned workers = 0;         // 0: one per CPU that the affinity mask allows
  int spares = -1;              // parked workers for urgent classes; -1: min(workers, 4)
  bool register_with_agent = true;
  std::string agent_socket{};    // empty: $TACTUS_SOCKET, else the default of abi/registration.h
  // May a thread that is no worker run tasks while it is in pool::wait() or
  // task_group::wait()? (In parallel_for it always works on its own loop.)
  bool outside_threads_help = true;
};

enum class stop_mode {
  drain,   // run what was submitted, then stop
  cancel,  // finish what runs, drop what waits (its futures throw `cancelled`)
};

// submit() after shutdown().
class pool_stopped : public std::logic_error {
 public:
  pool_stopped() : std::logic_error("the pool was shut down: no task can be submitted to it any more") {}
};

struct class_stats {
  std::string name;  // "unknown" for class 0
  tactus::fingerprint id;
  int priority = 1;
  int weight = 1;
  std::uint64_t submitted = 0;
  std::uint64_t finished = 0;  // cancelled ones too
  std::uint64_t missed = 0;    // ended after their deadline
  std::uint64_t failed = 0;    // ended by an exception
  std::chrono::nanoseconds run_time{0};  // 0 where pool_stats::clock is "none"
};

struct pool_stats {
  std::vector<class_stats> classes;  // index = pool-local class
  const char* clock = "none";        // "tsc", "ns" or "none": what run_time is taken with
  std::uint64_t parked = 0;          // times a worker went to sleep
  std::uint64_t stolen = 0;          // tasks taken from another worker's queue
  std::uint64_t spare_wakeups = 0;
};

// How the pool stands with the agent.
struct registration_status {
  bool registered = false;      // its pages are shared with the kernel scheduler now
  std::uint64_t generation = 0;
  std::uint64_t attempts = 0;   // connections tried
  std::string text;             // one line: "no agent at /run/tactus/agent.sock", ...
};

// Thread-safe, but for construction and destruction. In a child of fork() every
// task runs inside the call that submits it.
class pool {
 public:
  // Starts the threads; throws std::system_error when they cannot be made.
  explicit pool(const pool_options& options = {});
  ~pool();  // shutdown(drain)
  pool(const pool&) = delete;
  pool& operator=(const pool&) = delete;

  // Runs fn() on a worker; the future carries its result or exception. Without
  // a class the call site is the class. Throws pool_stopped, std::bad_alloc.
  template <detail::Task F>
  auto submit(const task_class& cls, F&& fn) {
    return submit_to(detail::bind_class(*core_, cls), std::forward<F>(fn));
  }
  template <detail::Task F>
  auto submit(F&& fn, std::source_location where = std::source_location::current()) {
    return submit_to(detail::bind_site(*core_, where, 0), std::forward<F>(fn));
  }

  // As submit, without a future: cheaper. The first exception that such a task
  // ends with is thrown by the next wait(), or printed by the destructor.
  template <detail::Task F>
  void detach(const task_class& cls, F&& fn) {
    detach_to(detail::bind_class(*core_, cls), std::forward<F>(fn));
  }
  template <detail::Task F>
  void detach(F&& fn, std::source_location where = std::source_location::current()) {
    detach_to(detail::bind_site(*core_, where, 0), std::forward<F>(fn));
  }

  // fn(i) for every i in [first, last), or fn(from, to) for parts of it where
  // fn takes two; in no order, in parallel, the caller takes part. Returns when
  // all is done; throws the first exception (iterations not begun are skipped).
  template <std::integral I, class F>
  void parallel_for(I first, std::type_identity_t<I> last, F&& fn, const task_class& cls) {
    loop(first, last, fn, detail::bind_class(*core_, cls));
  }
  template <std::integral I, class F>
  void parallel_for(I first, std::type_identity_t<I> last, F&& fn,
                    std::source_location where = std::source_location::current()) {
    if (first < last)
      loop(first, last, fn, detail::bind_site(*core_, where, detail::size_bucket(distance(first, last))));
  }

  // Returns at a moment when every task submitted so far has finished; runs
  // tasks meanwhile. Throws what a detached task ended with.
  // REQUIRES: not called from a task of this pool (throws std::logic_error).
  void wait();

  // Stops the pool and joins its threads; once is enough, more do nothing.
  // REQUIRES: not called from a task of this pool (throws std::logic_error).
  void shutdown(stop_mode mode = stop_mode::drain);

  unsigned workers() const noexcept;  // without spares
  unsigned spares() const noexcept;
  const std::string& name() const noexcept;
  pool_stats stats() const;           // consistent per counter, not across counters
  bool registered() const noexcept;
  registration_status registration() const;

  detail::pool_core& core() noexcept { return *core_; }

 private:
  template <class F>
  auto submit_to(const detail::class_entry& entry, F&& fn) {
    using R = std::invoke_result_t<std::decay_t<F>>;
    detail::task* t = detail::make_promised_task(std::forward<F>(fn));
    future<R> result(t);
    detail::enqueue(*core_, t, entry);
    return result;
  }
  template <class F>
  void detach_to(const detail::class_entry& entry, F&& fn) {
    detail::enqueue(*core_, detail::make_task(std::forward<F>(fn), detail::task_kind::detached), entry);
  }
  // Exact also where last - first does not fit I.
  template <class I>
  static std::size_t distance(I first, I last) noexcept {
    using U = std::make_unsigned_t<I>;
    return static_cast<U>(static_cast<U>(last) - static_cast<U>(first));
  }
  template <class I, class F>
  void loop(I first, I last, F& fn, const detail::class_entry& entry) {
    if (!(first < last)) return;
    struct context {
      I first;
      F* fn;
    } ctx{first, &fn};
    detail::loop_body body{[](void* p, std::size_t from, std::size_t to) {
      auto& c = *static_cast<context*>(p);
      using U = std::make_unsigned_t<I>;  // no overflow where the range spans the type
      const I begin = static_cast<I>(static_cast<U>(c.first) + static_cast<U>(from));
      const I end = static_cast<I>(static_cast<U>(c.first) + static_cast<U>(to));
      if constexpr (std::invocable<F&, I, I>)
        (*c.fn)(begin, end);
      else
        for (I i = begin; i != end; ++i) (*c.fn)(i);
    }, &ctx};
    detail::run_loop(*core_, entry, distance(first, last), body);
  }

  detail::pool_core* core_;
};

}  // namespace tactus

#endif
