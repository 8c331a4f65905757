// SPDX-License-Identifier: Apache-2.0
// boost::asio::thread_pool in the pool benchmark.
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

#include "posting_pool.h"

namespace tactus::bench {
namespace {

struct post_to {
  template <class F>
  void operator()(boost::asio::thread_pool& pool, F&& fn) const {
    boost::asio::post(pool, std::forward<F>(fn));
  }
};

}  // namespace

contestant_kind boost_contestant() {
  return {"Boost", [](unsigned workers) {
            return std::make_unique<posting_entry<boost::asio::thread_pool, post_to>>(workers);
          }};
}

}  // namespace tactus::bench
