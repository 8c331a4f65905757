// SPDX-License-Identifier: Apache-2.0
//
// peer.h's implementation. The constants are the kernel's ABI; system headers may be older.
#include "agent/serve/peer.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace tactus::agent {
namespace {

constexpr int k_so_peerpidfd = 77;
constexpr unsigned k_pidfd_thread = O_EXCL;
constexpr std::uint64_t k_info_pid = 1u << 0;
constexpr std::uint64_t k_info_creds = 1u << 1;

// struct pidfd_info, first published size (64 bytes).
struct pidfd_info_v0 {
  std::uint64_t mask;
  std::uint64_t cgroupid;
  std::uint32_t pid, tgid, ppid;
  std::uint32_t ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
  std::int32_t exit_code;
};
static_assert(sizeof(pidfd_info_v0) == 64, "PIDFD_INFO_SIZE_VER0");
constexpr unsigned long k_pidfd_get_info = _IOWR(0xFF, 11, pidfd_info_v0);

}  // namespace

bool is_pidfd(int fd) {
  // Signal 0 does nothing; the kernel looks at the kind of file first. An ioctl or fstat on a
  // stranger's file could be answered, or never answered, by a file system that he runs.
  return ::syscall(SYS_pidfd_send_signal, fd, 0, nullptr, 0u) == 0 || errno != EBADF;
}

std::optional<thread_identity> identify(int pidfd) {
  if (!is_pidfd(pidfd)) return std::nullopt;
  pidfd_info_v0 info{};
  info.mask = k_info_pid | k_info_creds;
  if (::ioctl(pidfd, k_pidfd_get_info, &info) != 0) return std::nullopt;
  if ((info.mask & k_info_pid) == 0 || (info.mask & k_info_creds) == 0) return std::nullopt;
  if (info.pid == 0 || info.tgid == 0) return std::nullopt;
  return thread_identity{static_cast<pid_t>(info.pid), static_cast<pid_t>(info.tgid), info.euid};
}

std::optional<uid_t> peer_uid(int socket) {
  ucred cred{};
  socklen_t len = sizeof(cred);
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0) return std::nullopt;
  return cred.uid;
}

std::optional<peer> peer_of(int socket) {
  const auto uid = peer_uid(socket);
  if (!uid) return std::nullopt;
  int fd = -1;
  socklen_t len = sizeof(fd);
  if (::getsockopt(socket, SOL_SOCKET, k_so_peerpidfd, &fd, &len) != 0) return std::nullopt;
  peer p;
  p.pidfd = unique_fd(fd);
  const auto who = identify(fd);
  if (!who) return std::nullopt;
  p.tgid = who->tgid;
  p.uid = *uid;
  return p;
}

unique_fd open_thread_pidfd(pid_t tid) {
  return unique_fd(static_cast<int>(::syscall(SYS_pidfd_open, tid, k_pidfd_thread)));
}

bool peer_checks_supported() {
  const auto self = open_thread_pidfd(static_cast<pid_t>(::syscall(SYS_gettid)));
  if (!self) return false;
  const auto who = identify(self.get());
  return who && who->tgid == ::getpid();
}

}  // namespace tactus::agent
