// SPDX-License-Identifier: Apache-2.0
//
// Messages from the pool to its agent (tactus/abi/registration.h): how one is made and sent.
#ifndef TACTUS_SRC_AGENT_MESSAGES_H
#define TACTUS_SRC_AGENT_MESSAGES_H

#include <cstddef>
#include <string>
#include <tactus/abi/registration.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace tactus::detail {

// Owns a file descriptor. Not thread-safe.
class file {
 public:
  explicit file(int fd = -1) noexcept : fd_(fd) {}
  file(file&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  file& operator=(file&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~file() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const noexcept { return fd_; }
  int release() noexcept { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

struct bare_message {  // MAPPED
  tactus_msg_head head;
};

template <class Message>
Message make_message(tactus_message_type type) {
  Message m{};
  m.head.magic = TACTUS_MAGIC;
  m.head.type = static_cast<__u16>(type);
  m.head.abi_version = TACTUS_ABI_VERSION;
  m.head.bytes = sizeof(Message);
  return m;
}

// With the descriptors as SCM_RIGHTS; false: errno says why. Any thread.
bool send_message(int socket, const void* data, std::size_t bytes, const std::vector<int>& fds = {});
// "WHAT: the text of errno".
std::string error_text(const std::string& what);

}  // namespace tactus::detail

#endif
