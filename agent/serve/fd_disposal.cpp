// SPDX-License-Identifier: Apache-2.0
//
// fd_disposal.h's implementation.
#include "agent/serve/fd_disposal.h"

#include <thread>

namespace tactus::agent {

struct fd_disposal::shared {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<unique_fd> queue;
  std::size_t closing = 0;
  bool ended = false;
};

fd_disposal::fd_disposal() : shared_(std::make_shared<shared>()) {
  // Detached, with its own share of the state: a close that never returns must not hold up exit.
  std::thread([state = shared_] {
    std::unique_lock lock(state->mutex);
    for (;;) {
      state->changed.wait(lock, [&] { return state->ended || !state->queue.empty(); });
      if (state->queue.empty()) return;
      unique_fd fd = std::move(state->queue.front());
      state->queue.pop_front();
      state->closing = 1;
      lock.unlock();
      fd.reset();
      lock.lock();
      state->closing = 0;
      state->changed.notify_all();
    }
  }).detach();
}

fd_disposal::~fd_disposal() {
  const std::lock_guard lock(shared_->mutex);
  shared_->ended = true;
  shared_->changed.notify_all();
}

void fd_disposal::dispose(unique_fd fd) {
  if (!fd) return;
  const std::lock_guard lock(shared_->mutex);
  shared_->queue.push_back(std::move(fd));
  shared_->changed.notify_all();
}

std::size_t fd_disposal::waiting() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->queue.size() + shared_->closing;
}

}  // namespace tactus::agent
