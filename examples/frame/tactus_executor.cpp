// SPDX-License-Identifier: Apache-2.0
// The frame example's tasks on libtactus: one named task class per kind, submitted with detach().
#include <chrono>
#include <tactus/tactus.hpp>

#include "executor.h"

namespace tactus::frame {
namespace {

class tactus_executor : public executor {
 public:
  tactus_executor(unsigned workers, const std::array<class_attributes, k_task_kinds>& attributes)
      : classes_{make(attributes, task_kind::audio), make(attributes, task_kind::physics),
                 make(attributes, task_kind::path), make(attributes, task_kind::loading)},
        pool_(options(workers)) {}

  void submit(const task& t) override {
    pool_.detach(classes_[index_of(t.kind)], [t] { t.run(); });
  }
  unsigned workers() const override { return pool_.workers(); }
  const char* name() const override { return "tactus"; }

 private:
  static pool_options options(unsigned workers) {
    pool_options out;
    out.name = "frame";
    out.workers = workers;
    return out;
  }
  static task_class make(const std::array<class_attributes, k_task_kinds>& attributes, task_kind kind) {
    const class_attributes& a = attributes[index_of(kind)];
    class_options out;
    out.priority = a.priority;
    out.weight = static_cast<int>(a.weight);
    out.deadline = std::chrono::nanoseconds(a.deadline_ns);
    return task_class(k_task_names[index_of(kind)], out);
  }

  std::array<task_class, k_task_kinds> classes_;
  pool pool_;
};

}  // namespace

std::unique_ptr<executor> make_tactus_executor(unsigned workers,
                                               const std::array<class_attributes, k_task_kinds>& classes) {
  return std::make_unique<tactus_executor>(workers, classes);
}

}  // namespace tactus::frame
