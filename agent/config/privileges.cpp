// SPDX-License-Identifier: Apache-2.0
//
// privileges.h's implementation. capset is called directly: one call does not need a library.
#include "agent/config/privileges.h"

#include <fmt/format.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TACTUS_SANITIZED 1
#else
#define TACTUS_SANITIZED 0
#endif

namespace tactus::agent {
namespace {

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(fmt::format("{}: {}", what, std::strerror(errno)));
}

// Works with CAP_SETPCAP only, so before root is given up; without it no_new_privs closes that way.
void empty_bounding_set() {
  for (int cap = 0; cap < 64; cap++) {
    if (::prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0) break;
  }
}

}  // namespace

void drop_capabilities() {
  empty_bounding_set();
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header{};
  header.version = _LINUX_CAPABILITY_VERSION_3;
  __user_cap_data_struct none[2]{};
  if (::syscall(SYS_capset, &header, none) != 0) fail("cannot drop capabilities");
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail("cannot set no_new_privs");
}

void run_as(const std::string& user) {
  const passwd* entry = ::getpwnam(user.c_str());
  if (entry == nullptr) {
    throw std::runtime_error(fmt::format("there is no user {}; make it: useradd --system --user-group {}", user, user));
  }
  if (::geteuid() == 0) {
    empty_bounding_set();
    if (::initgroups(user.c_str(), entry->pw_gid) != 0) fail("cannot set the groups of " + user);
    if (::setresgid(entry->pw_gid, entry->pw_gid, entry->pw_gid) != 0) fail("cannot become group of " + user);
    // Capabilities outlive the uid only where asked for; they are dropped right after anyway.
    if (::setresuid(entry->pw_uid, entry->pw_uid, entry->pw_uid) != 0) fail("cannot become " + user);
  } else if (::geteuid() != entry->pw_uid) {
    throw std::runtime_error(fmt::format("only root can become {}; start it as root or as {}", user, user));
  }
  drop_capabilities();
}

void raise_memlock_limit() {
  const rlimit all{RLIM_INFINITY, RLIM_INFINITY};
  ::setrlimit(RLIMIT_MEMLOCK, &all);
}

std::string lock_memory() {
  rlimit limit{};
  ::getrlimit(RLIMIT_MEMLOCK, &limit);
  // With a finite limit a later mmap of a pool's pages would fail for a lock that only helps
  // latency, so it is all or nothing.
  if (limit.rlim_cur != RLIM_INFINITY) {
    return "memory is not locked: the limit is finite; set LimitMEMLOCK=infinity in the unit";
  }
  // ONFAULT: thread stacks and arenas are large mappings of which little is ever touched.
  if (::mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0) {
    return fmt::format("memory is not locked: {}", std::strerror(errno));
  }
  return {};
}

std::string raise_file_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return fmt::format("file limit stays low: {}", std::strerror(errno));
  return {};
}

std::string limit_memory(std::size_t mebibytes) {
  if (TACTUS_SANITIZED) return {};  // their shadow memory counts too
  const rlim_t bytes = static_cast<rlim_t>(mebibytes) << 20;
  const rlimit limit{bytes, bytes};
  if (::setrlimit(RLIMIT_DATA, &limit) != 0) return fmt::format("memory is not bounded: {}", std::strerror(errno));
  return {};
}

void nice_this_thread(int value) {
  // On Linux this is per thread; lowering one's own priority needs no right.
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), value);
}

}  // namespace tactus::agent
