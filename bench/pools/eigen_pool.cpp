// SPDX-License-Identifier: Apache-2.0
// Eigen's ThreadPool in the pool benchmark.
#include <unsupported/Eigen/CXX11/ThreadPool>

#include "posting_pool.h"

namespace tactus::bench {
namespace {

struct eigen_pool : Eigen::ThreadPool {
  explicit eigen_pool(unsigned workers) : Eigen::ThreadPool(static_cast<int>(workers)) {}
};

struct post_to {
  template <class F>
  void operator()(eigen_pool& pool, F&& fn) const {
    pool.Schedule(std::forward<F>(fn));
  }
};

}  // namespace

contestant_kind eigen_contestant() {
  return {"Eigen", [](unsigned workers) { return std::make_unique<posting_entry<eigen_pool, post_to>>(workers); }};
}

}  // namespace tactus::bench
