// SPDX-License-Identifier: Apache-2.0
// The compiler's OpenMP runtime (libgomp with GCC) in the pool benchmark.
#include <omp.h>

#include "contestant.h"
#include "jobs.h"

namespace tactus::bench {
namespace {

struct omp_group {
  template <class F>
  void run(F fn) {
#pragma omp task firstprivate(fn)
    fn();
  }
  void wait() {
#pragma omp taskwait
  }
};

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
  bool can_spawn_from_many() const override { return false; }  // each thread would have a team of its own
  long fork_join(fork_job job, int n) override {
    long result = 0;
#pragma omp parallel num_threads(threads_)
#pragma omp single
    result = run_fork_job(job, n, [] { return omp_group{}; });
    return result;
  }
  void loop(std::vector<int>& out) override {
    const long n = static_cast<long>(out.size());
    int* const data = out.data();
#pragma omp parallel for num_threads(threads_) schedule(static)
    for (long i = 0; i < n; ++i) data[i] = 2 * static_cast<int>(i);
  }
  double reduce(const std::vector<double>& values) override {
    const long n = static_cast<long>(values.size());
    const double* const data = values.data();
    double sum = 0;
#pragma omp parallel for num_threads(threads_) schedule(static) reduction(+ : sum)
    for (long i = 0; i < n; ++i) sum += data[i];
    return sum;
  }
  void each(std::size_t n, const indexed_body& body) override {
#pragma omp parallel for num_threads(threads_) schedule(dynamic)
    for (std::size_t i = 0; i < n; ++i) body.call(body.context, i);
  }
  bool can_post() const override { return false; }  // a parallel region ends only when its tasks have
  void post(void (*)(void*), void*, bool) override {}

 private:
  int threads_;
};

}  // namespace

contestant_kind openmp_contestant() {
  return {"OpenMP", [](unsigned workers) { return std::make_unique<openmp_entry>(workers); }};
}

}  // namespace tactus::bench
