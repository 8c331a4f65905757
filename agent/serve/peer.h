// SPDX-License-Identifier: Apache-2.0
//
// Who is at the other end of a socket, and whose threads its pidfds name. All ids are as this
// process sees them, so pools in containers (other pid namespaces) work.
// Relies on Linux 6.13 or newer (PIDFD_GET_INFO, SO_PEERPIDFD). Thread-safe: no state.
#pragma once

#include "agent/publish/unique_fd.h"

#include <sys/types.h>

#include <optional>

namespace tactus::agent {

struct thread_identity {
  pid_t tid = 0;
  pid_t tgid = 0;
  uid_t uid = 0;
};

// True for a pidfd (or a /proc/PID folder, on which identify fails). Never blocks, whatever it is.
bool is_pidfd(int fd);

// Of the thread or process that a pidfd names; empty when it is no pidfd, when the thread is gone
// or when it cannot be seen from here.
std::optional<thread_identity> identify(int pidfd);

// The process that connected the socket; empty when it is gone or the kernel cannot tell.
struct peer {
  unique_fd pidfd;  // keeps the identity from being reused
  pid_t tgid = 0;
  uid_t uid = 0;
};
std::optional<peer> peer_of(int socket);

// uid of the peer by SO_PEERCRED alone, for the control socket; empty on error.
std::optional<uid_t> peer_uid(int socket);

// True when this kernel has what peer_of and identify need.
bool peer_checks_supported();

// A pidfd of a thread (PIDFD_THREAD), for tests and tools; empty on error.
unique_fd open_thread_pidfd(pid_t tid);

}  // namespace tactus::agent
