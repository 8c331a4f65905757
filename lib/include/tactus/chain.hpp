// SPDX-License-Identifier: Apache-2.0
//
// Futures that chain: then (declared in future.hpp), when_all, when_any.
//
//     auto total = tactus::when_all(pool.submit(left), pool.submit(right))
//                      .then([](auto both) { return std::get<0>(both).get() + std::get<1>(both).get(); });
//
// Nothing waits in a thread meanwhile: a continuation is submitted by whoever
// ends its predecessor. when_all and when_any give back the futures themselves,
// ready ones, so that no result and no exception of any of them is lost.
#ifndef TACTUS_CHAIN_HPP
#define TACTUS_CHAIN_HPP

#include "pool.hpp"

#include <array>
#include <limits>
#include <stdexcept>
#include <tuple>
#include <vector>

namespace tactus {

template <class Futures>
struct when_any_result {
  std::size_t index;  // of the first that was ready
  Futures futures;    // all of them; the others may still be under way
};

namespace detail {

struct future_access {
  template <class T>
  static task* node(const future<T>& f) {
    if (!f.task_) throw_no_state();
    return f.task_;
  }
};

template <class T, class F>
auto chain(future<T> before, F&& fn, const class_entry* entry) {
  using R = then_result<F, T>;
  task& of = *future_access::node(before);
  task* next = make_promised_task(
      [before = std::move(before), fn = std::forward<F>(fn)]() mutable -> R { return continue_with(fn, before); });
  future<R> result(next);
  prepare_continuation(next, of.home, entry);
  when_ended(of, next);
  return result;
}

// The nodes of a tuple or a vector of futures, in order.
template <class... T>
std::array<task*, sizeof...(T)> nodes_of(const std::tuple<future<T>...>& futures) {
  return std::apply([](const auto&... f) { return std::array<task*, sizeof...(T)>{future_access::node(f)...}; }, futures);
}
template <class T>
std::vector<task*> nodes_of(const std::vector<future<T>>& futures) {
  std::vector<task*> out;
  out.reserve(futures.size());
  for (const auto& f : futures) out.push_back(future_access::node(f));
  return out;
}

// Ends a promise made by make_promise<R>() with a result, or with what storing it threw.
template <class R>
void fulfil(task* promise, R&& result) noexcept {
  std::exception_ptr error;
  try {
    store<std::decay_t<R>>(*promise, std::forward<R>(result));
  } catch (...) {
    error = std::current_exception();
  }
  complete(promise, std::move(error));
}

template <class Futures>
struct all_state {
  Futures futures;
  task* promise;
  std::atomic<std::size_t> left;

  void one_ended() noexcept {
    if (left.fetch_sub(1, std::memory_order_acq_rel) == 1) fulfil(promise, std::move(futures));
  }
};

template <class Futures>
future<Futures> all_of(Futures futures) {
  const auto nodes = nodes_of(futures);
  task* promise = make_promise<Futures>(nodes.empty() ? nullptr : nodes[0]->home);
  future<Futures> result(promise);
  std::vector<task*> calls;
  std::shared_ptr<all_state<Futures>> state;
  try {
    state = std::make_shared<all_state<Futures>>(std::move(futures), promise, nodes.size() + 1);
    calls.reserve(nodes.size());
    for (std::size_t i = 0; i < nodes.size(); ++i)
      calls.push_back(make_task([state] { state->one_ended(); }, task_kind::called));
  } catch (...) {
    for (task* c : calls) discard(c);
    complete(promise, std::current_exception());
    throw;
  }
  for (std::size_t i = 0; i < nodes.size(); ++i) when_ended(*nodes[i], calls[i]);
  state->one_ended();
  return result;
}

template <class Futures>
struct any_state {
  static constexpr std::size_t k_none = std::numeric_limits<std::size_t>::max();
  Futures futures;
  task* promise;
  std::vector<task*> nodes, calls;
  std::atomic<std::size_t> first{k_none};
  std::atomic<int> steps{0};  // of two: all calls are attached, one future has ended

  void ended(std::size_t index) noexcept {
    std::size_t none = k_none;
    if (first.compare_exchange_strong(none, index, std::memory_order_acq_rel)) step();
  }
  // The second of the two steps: takes the calls back from the futures that go on.
  void step() noexcept {
    if (steps.fetch_add(1, std::memory_order_acq_rel) != 1) return;
    const std::size_t winner = first.load(std::memory_order_acquire);
    for (std::size_t i = 0; i < nodes.size(); ++i)
      if (i != winner) static_cast<void>(take_back(*nodes[i], calls[i]));
    fulfil(promise, when_any_result<Futures>{winner, std::move(futures)});
  }
};

template <class Futures>
future<when_any_result<Futures>> any_of(Futures futures) {
  const auto nodes = nodes_of(futures);
  if (nodes.empty()) throw std::invalid_argument("when_any() of no futures would never be ready");
  task* promise = make_promise<when_any_result<Futures>>(nodes[0]->home);
  future<when_any_result<Futures>> result(promise);
  std::vector<task*> calls;
  std::shared_ptr<any_state<Futures>> state;
  try {
    state = std::make_shared<any_state<Futures>>();
    state->futures = std::move(futures);
    state->promise = promise;
    state->nodes.assign(nodes.begin(), nodes.end());
    calls.reserve(nodes.size());
    for (std::size_t i = 0; i < nodes.size(); ++i)
      calls.push_back(make_task([state, i] { state->ended(i); }, task_kind::called));
    state->calls = calls;
  } catch (...) {
    for (task* c : calls) discard(c);
    complete(promise, std::current_exception());
    throw;
  }
  for (std::size_t i = 0; i < nodes.size(); ++i) when_ended(*nodes[i], calls[i]);
  state->step();
  return result;
}

}  // namespace detail

template <class T>
template <detail::Continuation<T> F>
future<detail::then_result<F, T>> future<T>::then(const task_class& cls, F&& fn) && {
  detail::pool_core* home = detail::future_access::node(*this)->home;
  return detail::chain(std::move(*this), std::forward<F>(fn), home ? &detail::bind_class(*home, cls) : nullptr);
}
template <class T>
template <detail::Continuation<T> F>
future<detail::then_result<F, T>> future<T>::then(F&& fn, std::source_location where) && {
  detail::pool_core* home = detail::future_access::node(*this)->home;
  return detail::chain(std::move(*this), std::forward<F>(fn), home ? &detail::bind_site(*home, where, 0) : nullptr);
}

// Ready when all are; then() on it runs in the pool of the first. Of no futures
// at all it is ready at once, and then() on it runs in the caller.
template <class... T>
future<std::tuple<future<T>...>> when_all(future<T>... futures) {
  return detail::all_of(std::make_tuple(std::move(futures)...));
}
template <class T>
future<std::vector<future<T>>> when_all(std::vector<future<T>> futures) {
  return detail::all_of(std::move(futures));
}

// Ready when the first of them is. Throws std::invalid_argument for none.
template <class T, class... More>
future<when_any_result<std::tuple<future<T>, future<More>...>>> when_any(future<T> first, future<More>... more) {
  return detail::any_of(std::make_tuple(std::move(first), std::move(more)...));
}
template <class T>
future<when_any_result<std::vector<future<T>>>> when_any(std::vector<future<T>> futures) {
  return detail::any_of(std::move(futures));
}

}  // namespace tactus

#endif
