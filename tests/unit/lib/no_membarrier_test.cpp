// SPDX-License-Identifier: Apache-2.0
// Where the kernel (or a container's filter) has no membarrier, wake-ups are not
// lost either. The call is forbidden for this whole program.
#include <tactus/tactus.hpp>

#include <cerrno>
#include <cstddef>
#include <doctest/doctest.h>
#include <linux/filter.h>
#include <linux/membarrier.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

using namespace tactus;

namespace {

bool forbid_membarrier() {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog program{sizeof filter / sizeof filter[0], filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

}  // namespace

TEST_CASE("a pool without membarrier sleeps and wakes, from outside and inside") {
  if (!forbid_membarrier()) {
    MESSAGE("seccomp is not allowed here");
    return;
  }
  REQUIRE(syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0) == -1);
  pool_options o;
  o.workers = 3;
  o.register_with_agent = false;
  o.outside_threads_help = false;
  pool p(o);
  task_class c("c");
  for (int i = 0; i < 500; ++i) {
    // the second task must run beside the first, on a worker that was asleep
    std::atomic<bool> second{false};
    auto first = p.submit(c, [&] {
      p.detach(c, [&] {
        second = true;
        second.notify_all();
      });
      second.wait(false);
    });
    REQUIRE(first.wait_for(std::chrono::seconds(60)));
    if (i % 10 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  p.wait();
  CHECK(p.stats().parked > 0);
}
