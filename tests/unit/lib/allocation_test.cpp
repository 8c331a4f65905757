// SPDX-License-Identifier: Apache-2.0
// In steady state the hot path allocates nothing: operator new is counted while tasks are submitted,
// forked, looped over and waited for.
#include <tactus/tactus.hpp>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <doctest/doctest.h>
#include <new>

using namespace tactus;

namespace {
std::atomic<unsigned long> allocations{0};
void* counted(std::size_t bytes, std::size_t align) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  void* p = align ? std::aligned_alloc(align, (bytes + align - 1) / align * align) : std::malloc(bytes);
  if (!p) throw std::bad_alloc();
  return p;
}
}  // namespace

void* operator new(std::size_t n) { return counted(n, 0); }
void* operator new[](std::size_t n) { return counted(n, 0); }
void* operator new(std::size_t n, std::align_val_t a) { return counted(n, static_cast<std::size_t>(a)); }
void* operator new[](std::size_t n, std::align_val_t a) { return counted(n, static_cast<std::size_t>(a)); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }

namespace {

pool_options quiet_pool() {
  pool_options o;
  o.workers = 2;
  o.register_with_agent = false;
  return o;
}

long fib(pool& p, const task_class& c, int n) {
  if (n < 2) return n;
  long left = 0;
  task_group group(p, c);
  group.run([&] { left = fib(p, c, n - 1); });
  const long right = fib(p, c, n - 2);
  group.wait();
  return left + right;
}

// Allocations of one round, after as many as it takes until a round has none; the number of nodes in use
// at once depends on how the threads meet, so a round may still need more than all before it.
template <class Round>
unsigned long fewest(Round&& round) {
  unsigned long least = ~0ul;
  for (int i = 0; i < 60 && least != 0; ++i) {
    const unsigned long before = allocations.load();
    round();
    least = std::min(least, allocations.load() - before);
  }
  return least;
}

}  // namespace

TEST_CASE("submitting, forking and looping allocate nothing in steady state") {
  pool p(quiet_pool());
  task_class c("c");
  std::vector<int> out(10'000);
  CHECK(fewest([&] {
          for (int i = 0; i < 2000; ++i) p.detach(c, [] {});
          p.wait();
        }) == 0);
  CHECK(fewest([&] {
          for (int i = 0; i < 200; ++i) CHECK(p.submit(c, [i] { return i; }).get() == i);
        }) == 0);
  CHECK(fewest([&] { p.submit(c, [&] { return fib(p, c, 15); }).get(); }) == 0);
  CHECK(fewest([&] {
          for (int i = 0; i < 20; ++i) p.parallel_for(0, 10'000, [&](int k) { out[static_cast<unsigned>(k)] = k; });
        }) == 0);
  CHECK(fewest([&] {
          for (int i = 0; i < 2000; ++i) p.detach([] {});  // class of the call site
          p.wait();
        }) == 0);
}
