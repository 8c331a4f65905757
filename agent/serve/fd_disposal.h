// SPDX-License-Identifier: Apache-2.0
//
// Closes files that strangers sent, in a thread of its own: close(2) on a file of a user-space
// file system waits for that file system, which the sender may run, so the registry must not do it.
// Thread-safe.
#pragma once

#include "agent/publish/unique_fd.h"

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>

namespace tactus::agent {

class fd_disposal {
 public:
  fd_disposal();
  // Does not wait for a close that hangs: the thread is left behind with what it holds.
  ~fd_disposal();
  fd_disposal(const fd_disposal&) = delete;
  fd_disposal& operator=(const fd_disposal&) = delete;

  void dispose(unique_fd fd);
  // Files not closed yet; a registry that sees many takes no more strangers.
  std::size_t waiting() const;

 private:
  struct shared;
  std::shared_ptr<shared> shared_;
};

}  // namespace tactus::agent
