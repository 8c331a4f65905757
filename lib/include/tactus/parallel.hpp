// SPDX-License-Identifier: Apache-2.0
//
// The templates behind pool's loops, reductions, parallel_invoke and timers; what
// they do is said in pool.hpp, which includes this.
#ifndef TACTUS_PARALLEL_HPP
#define TACTUS_PARALLEL_HPP

#include "join_counter.hpp"
#include "pool.hpp"

#include <algorithm>
#include <stdexcept>
#include <tuple>
#include <vector>

namespace tactus {
namespace detail {

// Blocks of a reduction: enough for any number of workers to share, few enough
// that the last pass over them costs nothing.
inline constexpr std::size_t k_reduce_blocks = 128;

// Up to k_reduce_blocks copies of one value; on the stack where they are small.
template <class T, bool Small = sizeof(T) <= 64>
class block_results {
 public:
  block_results(std::size_t n, const T& value) : n_(n) { std::uninitialized_fill_n(begin(), n, value); }
  block_results(const block_results&) = delete;
  block_results& operator=(const block_results&) = delete;
  ~block_results() { std::destroy_n(begin(), n_); }
  T& operator[](std::size_t i) noexcept { return begin()[i]; }

 private:
  T* begin() noexcept { return std::launder(reinterpret_cast<T*>(bytes_)); }
  std::size_t n_;
  alignas(T) std::byte bytes_[k_reduce_blocks * sizeof(T)];
};
template <class T>
class block_results<T, false> {
 public:
  block_results(std::size_t n, const T& value) : cells_(n, value) {}
  T& operator[](std::size_t i) noexcept { return cells_[i]; }

 private:
  std::vector<T> cells_;  // T is larger than 64 bytes, so it is no bool
};

}  // namespace detail

template <class I, class F>
void pool::loop(I first, I last, F& fn, const detail::class_entry& entry) {
  if (!(first < last)) return;
  if constexpr (detail::is_stoppable<std::remove_cv_t<F>>) {
    auto checked = [&](I from, I to) {
      if constexpr (std::invocable<decltype((fn.fn)), I, I>) {
        fn.check();
        fn.fn(from, to);
      } else {
        for (I i = from; i != to; ++i) {
          fn.check();
          fn.fn(i);
        }
      }
    };
    loop(first, last, checked, entry);
  } else {
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
}

template <class I, class T, class Map, class Combine>
T pool::reduce(I first, I last, T identity, Map& map, Combine& combine, const detail::class_entry& entry) {
  using U = std::make_unsigned_t<I>;
  const std::size_t n = distance(first, last), blocks = std::min(n, detail::k_reduce_blocks);
  const std::size_t each = n / blocks, longer = n % blocks;  // the first `longer` blocks have one more
  detail::block_results<T> results(blocks, identity);
  const auto at = [&](std::size_t block) {
    return static_cast<I>(static_cast<U>(first) + static_cast<U>(block * each + std::min(block, longer)));
  };
  auto body = [&](std::size_t from, std::size_t to) {
    for (std::size_t b = from; b != to; ++b) {
      T sum = std::move(results[b]);
      const I begin = at(b), end = at(b + 1);
      if constexpr (std::invocable<Map&, I, I, T>)
        sum = map(begin, end, std::move(sum));
      else
        for (I i = begin; i != end; ++i) sum = combine(std::move(sum), map(i));
      results[b] = std::move(sum);
    }
  };
  loop(std::size_t{0}, blocks, body, entry);
  T out = std::move(identity);
  for (std::size_t b = 0; b != blocks; ++b) out = combine(std::move(out), std::move(results[b]));
  return out;
}

template <std::integral I, class T, class Map, class Combine>
T pool::parallel_reduce(I first, std::type_identity_t<I> last, T identity, Map&& map, Combine&& combine,
                        const task_class& cls) {
  if (!(first < last)) return identity;
  return reduce(first, last, std::move(identity), map, combine, detail::bind_class(*core_, cls));
}
template <std::integral I, class T, class Map, class Combine>
T pool::parallel_reduce(I first, std::type_identity_t<I> last, T identity, Map&& map, Combine&& combine, site where) {
  if (!(first < last)) return identity;
  return reduce(first, last, std::move(identity), map, combine,
                detail::bind_site(*core_, where, detail::size_bucket(distance(first, last))));
}

template <class... F>
void pool::invoke_all(const detail::class_entry& entry, F&&... fns) {
  constexpr std::size_t count = sizeof...(F);
  static_assert(count > 0);
  auto all = std::forward_as_tuple(std::forward<F>(fns)...);
  detail::join_counter join;
  try {
    [&]<std::size_t... K>(std::index_sequence<K...>) {
      (
          [&] {
            auto* fn = std::addressof(std::get<K>(all));
            detail::task* t = detail::make_task([fn] { static_cast<void>(std::invoke(*fn)); }, detail::task_kind::grouped);
            t->join = &join;
            detail::fork(*core_, t, entry);
          }(),
          ...);
    }(std::make_index_sequence<count - 1>{});
    static_cast<void>(std::invoke(std::get<count - 1>(all)));
  } catch (...) {
    join.keep(std::current_exception());
  }
  join.wait(*core_);
  join.rethrow();
}

template <std::invocable A, std::invocable B>
void pool::parallel_invoke(A&& a, B&& b, site where) {
  invoke_all(detail::bind_site(*core_, where, 0), a, b);
}
template <std::invocable A, std::invocable B, std::invocable C>
void pool::parallel_invoke(A&& a, B&& b, C&& c, site where) {
  invoke_all(detail::bind_site(*core_, where, 0), a, b, c);
}
template <std::invocable A, std::invocable B, std::invocable C, std::invocable D>
void pool::parallel_invoke(A&& a, B&& b, C&& c, D&& d, site where) {
  invoke_all(detail::bind_site(*core_, where, 0), a, b, c, d);
}
template <std::invocable... F>
void pool::parallel_invoke(const task_class& cls, F&&... fns) {
  invoke_all(detail::bind_class(*core_, cls), fns...);
}

template <class F>
timer pool::every_to(const detail::class_entry& entry, std::chrono::nanoseconds period, F&& fn) {
  using T = std::decay_t<F>;
  if (period < std::chrono::microseconds(1)) throw std::invalid_argument("pool::every(): the period is below 1 us");
  struct call {
    T fn;
    std::stop_token pool_token;
    bool operator()() {
      if constexpr (detail::is_stoppable<T>) {
        if (fn.token.stop_requested()) return false;
        static_cast<void>(fn.call());
      } else if constexpr (std::invocable<T&>) {
        static_cast<void>(std::invoke(fn));
      } else {
        static_cast<void>(std::invoke(fn, pool_token));
      }
      return true;
    }
  };
  return timer(detail::start_periodic(*core_, entry, period, [](void* c) { return (*static_cast<call*>(c))(); },
                                      std::make_shared<call>(std::forward<F>(fn), stop_.get_token())));
}

}  // namespace tactus

#endif
