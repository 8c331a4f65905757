// SPDX-License-Identifier: Apache-2.0
// A plug-in: uses a pool, a loop and a timer, and leaves no thread behind.
#include <tactus/tactus.hpp>

extern "C" __attribute__((visibility("default"))) int plugin_run() {
  using namespace std::chrono_literals;
  tactus::pool pool(tactus::preset::testing);
  std::atomic<int> n{0};
  pool.parallel_for(0, 1000, [&](int) { ++n; });
  pool.after(1ms, [&] { ++n; }).then([&] { ++n; }).get();
  pool.submit_bulk(10, [&](std::size_t) { ++n; }).get();
  pool.wait();
  return n;
}
