// SPDX-License-Identifier: Apache-2.0
// The compiler's OpenMP runtime (libgomp with GCC) in the pool benchmark.
#include <omp.h>

#include "contestant.h"

namespace tactus::bench {
namespace {

class openmp_entry : public contestant {
 public:
  explicit openmp_entry(unsigned workers) : threads_(static_cast<int>(workers)) {}
  void spawn(unsigned n) override {
#pragma omp parallel num_threads(threads_)
#pragma omp single
    for (unsigned i = 0; i < n; ++i) {
#pragma omp task
      {
        asm volatile("");  // a task that does nothing visible is left out by the compiler
      }
    }
  }
  long fib(int n) override {
    long result = 0;
#pragma omp parallel num_threads(threads_)
#pragma omp single
    result = fork(n);
    return result;
  }
  void loop(std::vector<int>& out) override {
    const long n = static_cast<long>(out.size());
    int* const data = out.data();
#pragma omp parallel for num_threads(threads_) schedule(static)
    for (long i = 0; i < n; ++i) data[i] = 2 * static_cast<int>(i);
  }
  bool can_post() const override { return false; }  // a parallel region ends only when its tasks have
  void post(void (*)(void*), void*) override {}

 private:
  static long fork(int n) {
    if (n < 2) return n;
    long left = 0, right = 0;
#pragma omp task shared(left)
    left = fork(n - 1);
    right = fork(n - 2);
#pragma omp taskwait
    return left + right;
  }
  int threads_;
};

}  // namespace

contestant_kind openmp_contestant() {
  return {"OpenMP", [](unsigned workers) { return std::make_unique<openmp_entry>(workers); }};
}

}  // namespace tactus::bench
