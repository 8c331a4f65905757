// SPDX-License-Identifier: Apache-2.0
#include "agent_messages.h"

#include <cerrno>
#include <cstring>
#include <sys/socket.h>

namespace tactus::detail {

bool send_message(int socket, const void* data, std::size_t bytes, const std::vector<int>& fds) {
  iovec io{const_cast<void*>(data), bytes};
  msghdr header{};
  header.msg_iov = &io;
  header.msg_iovlen = 1;
  std::vector<char> control(fds.empty() ? 0 : CMSG_SPACE(fds.size() * sizeof(int)));
  if (!fds.empty()) {
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(c), fds.data(), fds.size() * sizeof(int));
  }
  return sendmsg(socket, &header, MSG_NOSIGNAL) == static_cast<ssize_t>(bytes);
}

std::string error_text(const std::string& what) { return what + ": " + std::strerror(errno); }

}  // namespace tactus::detail
