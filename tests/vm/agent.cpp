// SPDX-License-Identifier: Apache-2.0
//
// The real agent beside a real pool of another user: its rights, the threads it refuses, SIGSTOP and
// kill -9 with the time to fallback and back (rule 3), and its budget (rule 7).
//
// Relies on: tactusd and tactus-vm-pool on PATH, users tactus and tester (uid 1000), a loaded scheduler.
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <utility>

#include <tactus/abi/registration.h>

#include "kernel_tests.h"
#include "support.h"

namespace tactus::vmtest {
namespace {

constexpr unsigned k_agent_uid = 990, k_user_uid = 1000;
// tactusd's defaults (agent/config/config.h).
constexpr double k_cpu_share = 0.20;
constexpr unsigned k_memory_mib = 256;

double ms(std::uint64_t ns) { return static_cast<double>(ns) / 1e6; }

// A child process with its output in a file.
class child {
 public:
  child(std::vector<std::string> words, unsigned uid, const char* log) {
    pid_ = fork();
    if (pid_ == 0) {
      const int fd = open(log, O_CREAT | O_WRONLY | O_APPEND, 0644);
      dup2(fd, 1);
      dup2(fd, 2);
      if (uid && (setgid(uid) || setuid(uid))) _exit(126);
      std::vector<char*> argv;
      for (std::string& w : words) argv.push_back(w.data());
      argv.push_back(nullptr);
      execvp(argv[0], argv.data());
      _exit(127);
    }
  }
  child(child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  child& operator=(child&& other) noexcept {
    std::swap(pid_, other.pid_);
    return *this;
  }
  ~child() { end(SIGKILL); }
  int pid() const { return pid_; }
  void signal(int number) const { kill(pid_, number); }
  // Its exit code, 128 + signal; -1: it was ended already.
  int end(int number) {
    if (pid_ <= 0) return -1;
    int status = 0;
    if (number) kill(pid_, number);
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  pid_t pid_;
};

std::string status_field(int pid, const std::string& name) {
  const std::string text = read_file("/proc/" + std::to_string(pid) + "/status");
  const auto at = text.find("\n" + name + ":");
  if (at == std::string::npos) return "";
  const auto begin = text.find_first_not_of(" \t", at + name.size() + 2);
  return text.substr(begin, text.find('\n', begin) - begin);
}

// CPU time of a whole process in seconds, from its CPU clock.
double cpu_seconds(int pid) {
  clockid_t clock;
  timespec t{};
  if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &t)) return 0;
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

std::uint64_t learned(const maps& m) {
  const tactus_stats s = m.stats();
  return s.decisions[TACTUS_SOURCE_ROW] + s.decisions[TACTUS_SOURCE_MIXED];
}
std::uint64_t silent(const maps& m) { return m.stats().decisions[TACTUS_SOURCE_FALLBACK_HEARTBEAT]; }

// Waits until `value` has grown; returns how long that took, 0: not within the limit.
template <typename Value>
std::uint64_t until_more(Value value, std::uint64_t limit_ns) {
  const std::uint64_t before = value(), begin = now_ns();
  while (now_ns() - begin < limit_ns) {
    sleep_ns(2'000'000);
    if (value() > before) return now_ns() - begin;
  }
  return 0;
}

// Names a thread of another process in a HELLO; returns the refusal's reason, 0: it was not refused.
unsigned register_foreign(int tid, std::string& text) {
  const int s = socket(AF_UNIX, SOCK_SEQPACKET, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof(address.sun_path), "%s", TACTUS_SOCKET);
  if (connect(s, reinterpret_cast<sockaddr*>(&address), sizeof(address))) give_up("connect to %s: %s", TACTUS_SOCKET, std::strerror(errno));
  tactus_msg_workers hello{};
  hello.head.magic = TACTUS_MAGIC;
  hello.head.type = TACTUS_MSG_HELLO;
  hello.head.abi_version = TACTUS_ABI_VERSION;
  hello.head.bytes = sizeof(hello);
  hello.nr_workers_total = hello.nr_here = 1;
  std::snprintf(hello.pool_name, sizeof(hello.pool_name), "thief");
  hello.tid[0] = tid;
  int fd = static_cast<int>(syscall(SYS_pidfd_open, tid, O_EXCL));
  if (fd < 0) give_up("pidfd of %d: %s", tid, std::strerror(errno));
  char ancillary[CMSG_SPACE(sizeof(int))] = {};
  iovec iov{&hello, sizeof(hello)};
  msghdr header{};
  header.msg_iov = &iov;
  header.msg_iovlen = 1;
  header.msg_control = ancillary;
  header.msg_controllen = sizeof(ancillary);
  cmsghdr* c = CMSG_FIRSTHDR(&header);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(c), &fd, sizeof(fd));
  if (sendmsg(s, &header, 0) < 0) give_up("sending HELLO: %s", std::strerror(errno));
  tactus_msg_refused answer{};
  const timeval patience{10, 0};
  setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  const ssize_t n = recv(s, &answer, sizeof(answer), 0);
  close(s);
  close(fd);
  if (n < static_cast<ssize_t>(sizeof(answer.head)) || answer.head.type != TACTUS_MSG_REFUSED) return 0;
  answer.text[sizeof(answer.text) - 1] = 0;
  text = answer.text;
  return answer.reason;
}

child start_agent() { return child({"tactusd", "--run-as", "tactus"}, 0, "/tmp/tactusd.log"); }

void wait_for_rows(const maps& m, const char* what) {
  const std::uint64_t took = until_more([&] { return learned(m); }, 40'000'000'000);
  if (!expect(took > 0, "%s: decisions follow published rows, %.1f s after the start", what, ms(took) / 1000)) {
    run("tail -n 20 /tmp/tactusd.log; tactus status");
    give_up("without rows the rest means nothing");
  }
}

void rights(const child& agent) {
  const std::string uid = status_field(agent.pid(), "Uid");
  expect(uid.rfind(std::to_string(k_agent_uid), 0) == 0 && uid.find("\t0") == std::string::npos, "the agent runs as user tactus: Uid %s", uid.c_str());
  for (const char* set : {"CapEff", "CapPrm", "CapInh", "CapAmb"})
    expect(status_field(agent.pid(), set) == "0000000000000000", "the agent has no capability: %s %s", set, status_field(agent.pid(), set).c_str());
  expect(status_field(agent.pid(), "NoNewPrivs") == "1", "and can gain none: NoNewPrivs %s", status_field(agent.pid(), "NoNewPrivs").c_str());
}

// As user tester in a process of its own: a thread of another user's process, and one of its own user's.
void foreign_threads(const child& pool) {
  for (const int victim : {1, pool.pid()}) {
    std::string text;
    const pid_t thief = fork();
    if (thief == 0) {
      if (setgid(k_user_uid) || setuid(k_user_uid)) _exit(99);
      _exit(static_cast<int>(register_foreign(victim, text)));
    }
    int status = 0;
    waitpid(thief, &status, 0);
    expect(WIFEXITED(status) && WEXITSTATUS(status) == TACTUS_REFUSED_FOREIGN_THREAD,
           "a process that names a thread of process %d is refused with reason %d (foreign thread)", victim, WEXITSTATUS(status));
  }
}

void stopped_and_continued(const maps& m, const child& agent) {
  // Beats come every 50 ms; the limit is 500 ms; the rest is the emulator's.
  constexpr std::uint64_t k_early_ns = 400'000'000, k_late_ns = 700'000'000;
  for (int round = 0; round < 2; ++round) {
    agent.signal(SIGSTOP);
    const std::uint64_t fell = until_more([&] { return silent(m); }, 5'000'000'000);
    expect(fell >= k_early_ns && fell <= k_late_ns, "agent stopped: fallback after %.0f ms (500 ms less a beat .. + 200 ms for the emulator)", ms(fell));
    sleep_ns(300'000'000);
    agent.signal(SIGCONT);
    const std::uint64_t back = until_more([&] { return learned(m); }, 5'000'000'000);
    expect(back > 0 && back <= 1'000'000'000, "agent continued: learned rows after %.0f ms (limit 1 s)", ms(back));
    sleep_ns(500'000'000);
  }
}

void killed_and_restarted(const maps& m, child& agent) {
  const std::uint64_t begin = now_ns();
  agent.end(SIGKILL);
  const std::uint64_t fell = until_more([&] { return silent(m); }, 5'000'000'000);
  expect(fell > 0 && now_ns() - begin <= 700'000'000, "agent killed: fallback after %.0f ms", ms(now_ns() - begin));
  const std::uint64_t last_beat = m.control->heartbeat_ns;
  agent = start_agent();
  const std::uint64_t started = now_ns();
  while (m.control->heartbeat_ns == last_beat && now_ns() - started < 20'000'000'000) sleep_ns(2'000'000);
  const std::uint64_t beat = now_ns();
  const std::uint64_t back = until_more([&] { return learned(m); }, 10'000'000'000);
  note("agent started again: first beat after %.0f ms", ms(beat - started));
  expect(back > 0 && back <= 1'000'000'000, "agent back: learned rows %.0f ms after its first beat (limit 1 s)", ms(back));
}

void budget(const maps& m, const child& agent) {
  // Its own window is 1 s and it looks ten times a second, so one second may be a tenth over; the
  // mean may not.
  constexpr unsigned k_seconds = 10;
  constexpr double k_second_over = 1.5, k_mean_over = 1.1;
  const tactus_stats before = m.stats();
  double worst = 0;
  const double begin = cpu_seconds(agent.pid());
  const std::uint64_t begin_ns = now_ns();
  for (unsigned s = 0; s < k_seconds; ++s) {
    const double cpu = cpu_seconds(agent.pid());
    const std::uint64_t wall = now_ns();
    sleep_ns(1'000'000'000);
    worst = std::max(worst, (cpu_seconds(agent.pid()) - cpu) / (static_cast<double>(now_ns() - wall) / 1e9));
  }
  const double mean = (cpu_seconds(agent.pid()) - begin) / (static_cast<double>(now_ns() - begin_ns) / 1e9);
  const tactus_stats after = m.stats();
  note("agent: %.3f of a CPU on average, %.3f in the worst second, while %llu completions and %llu decisions were reported", mean, worst,
       after.completions - before.completions, after.running - before.running);
  expect(mean <= k_cpu_share * k_mean_over, "CPU time of the agent: mean %.3f of a CPU, budget %.2f + 10 %%", mean, k_cpu_share);
  expect(worst <= k_cpu_share * k_second_over, "CPU time of the agent: worst second %.3f, budget %.2f + 50 %%", worst, k_cpu_share);
  const double anonymous = std::atof(status_field(agent.pid(), "RssAnon").c_str()) / 1024;
  expect(anonymous > 0 && anonymous <= k_memory_mib, "memory of the agent: %.0f MiB, budget %u MiB", anonymous, k_memory_mib);
  expect(after.completions > before.completions, "it was fed meanwhile");
}

}  // namespace

int test_agent(const arguments&) {
  maps m;
  become_realtime();
  unlink("/tmp/tactusd.log");
  child agent = start_agent();
  const std::uint64_t begin = now_ns();
  struct stat info;
  while (stat(TACTUS_SOCKET, &info) && now_ns() - begin < 60'000'000'000) sleep_ns(20'000'000);
  if (!expect(stat(TACTUS_SOCKET, &info) == 0, "the agent listens after %.0f ms", ms(now_ns() - begin))) {
    run("tail -n 20 /tmp/tactusd.log");
    return finish();
  }
  rights(agent);
  child pool({"tactus-vm-pool", "/tmp/vm-pool.txt"}, k_user_uid, "/tmp/vm-pool.log");
  wait_for_rows(m, "a pool of another user");
  foreign_threads(pool);
  stopped_and_continued(m, agent);
  budget(m, agent);
  killed_and_restarted(m, agent);
  expect(run("tactus status") == 0, "tactus status answers");

  const int pool_code = pool.end(SIGTERM);
  unsigned long submitted = 0, finished = 0;
  int registered = 0;
  std::sscanf(read_file("/tmp/vm-pool.txt").c_str(), "%lu %lu %d", &submitted, &finished, &registered);
  expect(pool_code == 0 && submitted == finished && submitted > 1000, "the pool lost nothing through all that: %lu submitted, %lu finished",
         submitted, finished);
  expect(registered == 1, "the pool was registered");
  expect(agent.end(SIGTERM) == 0, "the agent ends with 0 on SIGTERM");
  expect(run("ls -l /var/lib/tactus | sed 's/^/      /'; test -n \"$(ls /var/lib/tactus)\"") == 0, "it left a checkpoint");
  return finish();
}

}  // namespace tactus::vmtest
