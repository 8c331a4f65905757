// SPDX-License-Identifier: Apache-2.0
// Task nodes: what is stored inside, what is not, that all is destroyed once,
// and that submitting allocates nothing in steady state.
#include <tactus/tactus.hpp>

#include <array>
#include <atomic>
#include <cstdlib>
#include <doctest/doctest.h>
#include <memory>
#include <new>
#include <string>

namespace {
std::atomic<long> allocations{0};
}
// Counts; sanitizers keep their own checks, since malloc is theirs.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* p = std::malloc(bytes)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }

using namespace tactus;

namespace {

tactus::pool_options quiet(unsigned workers = 2) {
  pool_options o;
  o.workers = workers;
  o.register_with_agent = false;
  return o;
}

struct counted {
  static inline std::atomic<int> alive{0};
  counted() { ++alive; }
  counted(counted&&) noexcept { ++alive; }
  counted(const counted&) = delete;
  ~counted() { --alive; }
};

template <std::size_t N>
struct sized {
  std::array<char, N> bytes{};
  int operator()() const { return static_cast<int>(N); }
};

}  // namespace

TEST_CASE("64 bytes are stored inside, more is not") {
  CHECK(detail::fits_inline<sized<64>>);
  CHECK_FALSE(detail::fits_inline<sized<65>>);
  struct alignas(128) wide {
    char c;
  };
  CHECK_FALSE(detail::fits_inline<wide>);
  pool p(quiet());
  CHECK(p.submit(sized<64>{}).get() == 64);
  CHECK(p.submit(sized<65>{}).get() == 65);
  CHECK(p.submit(sized<4000>{}).get() == 4000);
}

TEST_CASE("move-only callables and results pass through") {
  pool p(quiet());
  auto answer = p.submit([x = std::make_unique<int>(41)] { return std::make_unique<int>(*x + 1); });
  CHECK(*answer.get() == 42);
  std::atomic<int> seen{0};
  p.detach([x = std::make_unique<int>(7), &seen] { seen = *x; });
  p.wait();
  CHECK(seen == 7);
}

TEST_CASE("references and large results are returned") {
  pool p(quiet());
  int x = 5;
  int& back = p.submit([&]() -> int& { return x; }).get();
  CHECK(&back == &x);
  CHECK(p.submit([] { return std::array<int, 100>{1, 2, 3}; }).get()[2] == 3);
  CHECK(p.submit([] { return std::string(1000, 'a'); }).get().size() == 1000);
}

TEST_CASE("callables and results are destroyed exactly once") {
  {
    pool p(quiet());
    for (int i = 0; i < 100; ++i) {
      auto f = p.submit([c = counted()] { return counted(); });
      if (i % 2) f.get();  // else: dropped, before or after it ended
      p.detach([c = counted(), big = std::array<char, 200>()] { (void)big; });
      auto g = p.submit([c = counted()] { throw 1; });
      if (i % 2) CHECK_THROWS_AS(g.get(), int);
    }
    p.wait();
  }
  CHECK(counted::alive == 0);
}

TEST_CASE("a future is valid until get") {
  pool p(quiet());
  future<int> none;
  CHECK_FALSE(none.valid());
  CHECK_THROWS_AS(none.get(), std::logic_error);
  auto f = p.submit([] { return 1; });
  CHECK(f.valid());
  CHECK(f.wait_for(std::chrono::seconds(10)));
  CHECK(f.ready());
  CHECK(f.get() == 1);
  CHECK_FALSE(f.valid());
  std::atomic<bool> go{false};
  auto slow = p.submit([&] { go.wait(false); });
  CHECK_FALSE(slow.wait_for(std::chrono::milliseconds(20)));
  go = true;
  go.notify_all();
  slow.get();
}

TEST_CASE("nothing is allocated per task in steady state") {
  pool p(quiet());
  task_class c("steady");
  std::atomic<int> ran{0};
  const auto round = [&] {
    for (int i = 0; i < 2000; ++i) p.detach(c, [&ran, pad = std::array<char, 56>()] { (void)pad, ++ran; });
    p.wait();
    for (int i = 0; i < 100; ++i) p.submit(c, [i] { return i; }).get();
    p.submit(c, [&] {
       task_group g(p, c);
       for (int i = 0; i < 100; ++i) g.run([&] { ++ran; });
       g.wait();
     }).get();
    p.parallel_for(0, 10'000, [&](int) { ran.fetch_add(1, std::memory_order_relaxed); }, c);
  };
  // The number of nodes grows to the number of tasks that ever waited at once:
  // let more wait than a round can have, whatever the workers' speed.
  std::atomic<bool> go{false};
  for (unsigned i = 0; i < p.workers(); ++i) p.detach(c, [&] { go.wait(false); });
  for (int i = 0; i < 8000; ++i) p.detach(c, [] {});
  go = true;
  go.notify_all();
  p.wait();
  for (int i = 0; i < 20; ++i) round();
  const long before = allocations.load();
  for (int i = 0; i < 20; ++i) round();
  CHECK(allocations.load() - before <= 4);  // of 44,000 tasks; a ring may still grow
}
