// SPDX-License-Identifier: Apache-2.0
// What a consumer does with the library: everything that crosses its border, an
// exception too.
#include <tactus/tactus.hpp>

#include <cstdio>

int main() {
  using namespace std::chrono_literals;
  tactus::pool_options options = tactus::options_for(tactus::preset::testing);
  tactus::pool pool(options);
  tactus::task_class cls{"consumer", {.priority = 2}};
  long sum = pool.parallel_reduce(0, 1000, 0l, [](int i) { return long{i}; }, std::plus<>{});
  sum += pool.submit(cls, [] { return 500; }).then([](int x) { return x * 1l; }).get();
  pool.after(1ms, [] {}).get();
  int left = 0, right = 0;
  tactus::fork_join(pool, [&] { left = 1; }, [&] { right = 2; });
  if (left + right != 3) return 1;
  pool.shutdown();
  try {
    pool.detach([] {});
    return 1;
  } catch (const tactus::pool_stopped&) {
  }
  std::printf("%ld\n", sum);
  return sum == 500'000 ? 0 : 1;
}
