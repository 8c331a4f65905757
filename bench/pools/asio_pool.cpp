// SPDX-License-Identifier: Apache-2.0
// asio::thread_pool in the pool benchmark.
#include <asio/post.hpp>
#include <asio/thread_pool.hpp>

#include "posting_pool.h"

namespace tactus::bench {
namespace {

struct post_to {
  template <class F>
  void operator()(asio::thread_pool& pool, F&& fn) const {
    asio::post(pool, std::forward<F>(fn));
  }
};

}  // namespace

contestant_kind asio_contestant() {
  return {"asio", [](unsigned workers) { return std::make_unique<posting_entry<asio::thread_pool, post_to>>(workers); }};
}

}  // namespace tactus::bench
