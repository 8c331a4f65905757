// SPDX-License-Identifier: Apache-2.0
//
// The exceptions that the pool itself throws. What a task throws reaches whoever
// waits for it, unchanged.
#ifndef TACTUS_ERRORS_HPP
#define TACTUS_ERRORS_HPP

#include "export.h"

#include <stdexcept>
#include <string>

namespace tactus {

// What get() throws for a task that was not run: removed from the queue by
// shutdown(cancel), or stopped by its std::stop_token before it started. A task
// may throw it itself when it gives up half-way.
class TACTUS_API cancelled : public std::runtime_error {
 public:
  cancelled() : std::runtime_error("task cancelled: the pool was shut down before it started") {}
  explicit cancelled(const std::string& why) : std::runtime_error("task cancelled: " + why) {}
};

// What get() and task_group::wait() throw for a task of a class with
// missed_policy::drop whose deadline was over before it could start.
class TACTUS_API deadline_missed : public std::runtime_error {
 public:
  explicit deadline_missed(const std::string& class_name)
      : std::runtime_error("task of class \"" + class_name + "\" dropped: its deadline was over before it started") {}
};

// submit() after shutdown().
class TACTUS_API pool_stopped : public std::logic_error {
 public:
  pool_stopped() : std::logic_error("the pool was shut down: no task can be submitted to it any more") {}
};

}  // namespace tactus

#endif
