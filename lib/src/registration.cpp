// SPDX-License-Identifier: Apache-2.0
//
// The pool's side of registration; see registration.h.
#include "registration.h"

#include "pool_core.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <system_error>
#include <unistd.h>
#include <vector>

#ifndef F_SEAL_SHRINK
#define F_SEAL_SHRINK 0x0002
#define F_GET_SEALS 1034
#endif

namespace tactus::detail {
namespace {

constexpr int k_sched_ext = 7;  // SCHED_EXT

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

bool send_message(int socket, const void* data, std::size_t bytes, const std::vector<int>& fds = {}) {
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

}  // namespace

registration::~registration() {
  stop();
  if (wake_fd_ >= 0) close(wake_fd_);
}

void registration::start() {
  if (!core_.options.agent_socket.empty()) {
    path_ = core_.options.agent_socket;
  } else {
    const char* from_environment = std::getenv(TACTUS_SOCKET_ENV);
    path_ = from_environment ? from_environment : TACTUS_SOCKET;
  }
  if (!core_.options.register_with_agent || path_.empty()) {
    say("registration is switched off");
    return;
  }
  if (path_.size() >= sizeof(sockaddr_un{}.sun_path)) {
    say("socket path is too long: " + path_);
    return;
  }
  wake_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_fd_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
  // Signals are for the program's own threads.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int error = pthread_create(&thread_, nullptr, [](void* self) -> void* {
    pthread_setname_np(pthread_self(), "tactus-agent");
    static_cast<registration*>(self)->run();
    return nullptr;
  }, this);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error) throw std::system_error(error, std::generic_category(), "cannot start the registration thread");
  started_ = true;
}

void registration::stop() noexcept {
  if (!started_ || core_.state() == pool_core::state_kind::forked) return;
  started_ = false;
  stop_.store(true, std::memory_order_release);
  classes_changed();
  pthread_join(thread_, nullptr);
  registered_.store(false, std::memory_order_release);
}

void registration::classes_changed() noexcept {
  const std::uint64_t one = 1;
  if (wake_fd_ >= 0) (void)!write(wake_fd_, &one, sizeof one);
}

registration_status registration::status() const {
  std::lock_guard guard(lock_);
  registration_status out = status_;
  out.registered = registered();
  return out;
}

void registration::say(std::string text) {
  std::lock_guard guard(lock_);
  status_.text = std::move(text);
}

bool registration::pause_for(ms time) noexcept {
  const auto until = std::chrono::steady_clock::now() + time;
  for (;;) {
    if (stop_.load(std::memory_order_acquire)) return false;
    const auto left = std::chrono::ceil<ms>(until - std::chrono::steady_clock::now());
    if (time != k_never && left <= ms{0}) return true;
    pollfd wake{wake_fd_, POLLIN, 0};
    if (poll(&wake, 1, time == k_never ? -1 : static_cast<int>(left.count())) > 0) {
      std::uint64_t count;
      (void)!read(wake_fd_, &count, sizeof count);  // a new class: it is sent when connected
    }
  }
}

void registration::run() noexcept {
  ms retry = k_first_retry;
  while (!stop_.load(std::memory_order_acquire)) {
    ms wait{0};
    try {
      {
        std::lock_guard guard(lock_);
        ++status_.attempts;
      }
      file socket(connect_agent());
      if (socket.get() >= 0) wait = session(socket.get());
      if (registered_.exchange(false, std::memory_order_acq_rel)) {
        retry = k_first_retry;
        was_registered_ = true;
      }
      leave_pages();
    } catch (const std::exception& e) {  // out of memory: later
      registered_.store(false, std::memory_order_release);
    }
    if (!pause_for(wait == ms{0} ? retry : wait)) return;
    // An agent that was here comes back soon, and its rows should be in use
    // within a second.
    retry = std::min(retry * 2, was_registered_ ? k_last_retry_again : k_last_retry);
  }
}

int registration::connect_agent() {
  file socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
  if (socket.get() < 0 || connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    say(error_text("no agent at " + path_));
    return -1;
  }
  // A send that the agent does not take within 2 s fails; receiving is by poll.
  const timeval limit{2, 0};
  setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  fcntl(socket.get(), F_SETFL, 0);
  return socket.release();
}

bool registration::send_workers(int socket) {
  const unsigned total = core_.nr_threads();
  for (unsigned first = 0; first < total;) {
    auto message = make_message<tactus_msg_workers>(first == 0 ? TACTUS_MSG_HELLO : TACTUS_MSG_WORKERS);
    message.nr_workers_total = total;
    message.first_worker = first;
    message.nr_here = std::min<unsigned>(total - first, TACTUS_FDS_PER_MESSAGE);
    std::memcpy(message.pool_name, core_.options.name.data(),
                std::min(core_.options.name.size(), sizeof(message.pool_name) - 1));
    std::vector<file> pidfds;
    std::vector<int> numbers;
    for (unsigned i = 0; i < message.nr_here; ++i) {
      const int tid = core_.workers[first + i].tid.load(std::memory_order_acquire);
      // O_EXCL is PIDFD_THREAD: of the thread itself, Linux 6.9 and later
      pidfds.emplace_back(static_cast<int>(syscall(SYS_pidfd_open, tid, O_EXCL)));
      if (pidfds.back().get() < 0) {
        say(error_text("pidfd_open of a thread (needs Linux 6.9)"));
        return false;
      }
      numbers.push_back(pidfds.back().get());
      message.tid[i] = tid;
    }
    if (!send_message(socket, &message, sizeof message, numbers)) {
      say(error_text("sending the workers to the agent"));
      return false;
    }
    first += message.nr_here;
  }
  return true;
}

bool registration::send_classes(int socket) {
  auto message = make_message<tactus_msg_classes>(TACTUS_MSG_CLASSES);
  for (unsigned c = 1, size = core_.classes.size(); c < size; ++c) {
    const class_record& now = core_.classes.entry(c);
    if (std::exchange(classes_sent_[c], &now) != &now) message.classes[message.nr_classes++] = core_.classes.describe(now);
  }
  if (message.nr_classes == 0) return true;
  if (!send_message(socket, &message, sizeof message)) {
    say(error_text("sending classes to the agent"));
    return false;
  }
  return true;
}

registration::ms registration::session(int socket) {
  for (unsigned i = 0; i < core_.nr_threads(); ++i)
    while (core_.workers[i].tid.load(std::memory_order_acquire) == 0)
      if (!pause_for(ms{1})) return ms{0};
  classes_sent_ = {};
  if (!send_workers(socket) || !send_classes(socket)) return ms{0};
  say("waiting for the agent at " + path_);
  auto answer_until = std::chrono::steady_clock::now() + k_answer_limit;
  auto next_tick = std::chrono::steady_clock::now() + k_tick;
  for (;;) {
    pollfd both[2] = {{socket, POLLIN, 0}, {wake_fd_, POLLIN, 0}};
    const auto until = registered() ? next_tick : answer_until;
    const auto left = std::chrono::ceil<ms>(until - std::chrono::steady_clock::now()).count();
    // With nothing to settle there is nothing to wake up for.
    poll(both, 2, registered() && seen_difference_ == 0 ? -1 : static_cast<int>(std::max<long>(left, 0)));
    if (stop_.load(std::memory_order_acquire)) return ms{0};
    if (both[1].revents) {
      std::uint64_t count;
      (void)!read(wake_fd_, &count, sizeof count);
      if (!send_classes(socket)) return ms{0};
    }
    if (registered() && std::chrono::steady_clock::now() >= next_tick) {
      next_tick = std::chrono::steady_clock::now() + k_tick;
      settle_pool_page();
    }
    if (!both[0].revents) {
      if (!registered() && std::chrono::steady_clock::now() >= answer_until) {
        say("the agent at " + path_ + " does not answer");
        return ms{0};
      }
      continue;
    }
    alignas(8) std::array<char, 4096> buffer;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(4 * sizeof(int))> control;
    iovec io{buffer.data(), buffer.size()};
    msghdr header{};
    header.msg_iov = &io;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    const ssize_t bytes = recvmsg(socket, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    std::vector<file> fds;
    for (cmsghdr* c = bytes > 0 ? CMSG_FIRSTHDR(&header) : nullptr; c; c = CMSG_NXTHDR(&header, c)) {
      if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
      for (std::size_t at = 0; at + sizeof(int) <= c->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
        int fd;
        std::memcpy(&fd, CMSG_DATA(c) + at, sizeof fd);
        fds.emplace_back(fd);
      }
    }
    if (bytes <= 0) {
      say("the agent at " + path_ + " closed the connection");
      return ms{0};
    }
    tactus_msg_head head{};
    std::memcpy(&head, buffer.data(), std::min<std::size_t>(sizeof head, static_cast<std::size_t>(bytes)));
    if (static_cast<std::size_t>(bytes) < sizeof head || head.magic != TACTUS_MAGIC ||
        head.abi_version != TACTUS_ABI_VERSION || head.bytes != static_cast<__u32>(bytes)) {
      say("the agent at " + path_ + " speaks another ABI version; update it or the library");
      return k_last_retry;
    }
    const auto as = [&]<class Message>(Message& out) {
      if (static_cast<std::size_t>(bytes) < sizeof out) return false;
      std::memcpy(&out, buffer.data(), sizeof out);
      return true;
    };
    tactus_msg_pages pages;
    tactus_msg_registered done;
    tactus_msg_refused refused;
    if (head.type == TACTUS_MSG_PAGES && !pages_mapped_ && as(pages) && !fds.empty()) {
      if (!take_pages(socket, pages, fds[0].get(), fds.size() > 1 ? fds[1].get() : -1)) return ms{0};
      answer_until = std::chrono::steady_clock::now() + k_answer_limit;
    } else if (head.type == TACTUS_MSG_REGISTERED && pages_mapped_ && as(done)) {
      core_.routes.store(core_.pages.route_table(), std::memory_order_release);
      {
        std::lock_guard guard(lock_);
        status_.generation = done.generation;
        status_.text = "registered with the agent at " + path_;
      }
      registered_.store(true, std::memory_order_release);
      seen_difference_ = 1;  // look at the pool page once more in a second
      next_tick = std::chrono::steady_clock::now() + k_tick;
    } else if (head.type == TACTUS_MSG_CLASS_MAP && registered()) {
      // the kernel has the map; nothing to do here
    } else if (head.type == TACTUS_MSG_REFUSED && as(refused)) {
      refused.text[sizeof refused.text - 1] = 0;
      say(std::string("the agent refused the pool: ") + refused.text);
      return refused.retry_ms ? ms{std::min<__u32>(refused.retry_ms, 3'600'000)} : k_never;
    } else {
      say("the agent at " + path_ + " sent something unexpected");
      return k_last_retry;
    }
  }
}

bool registration::take_pages(int socket, const tactus_msg_pages& message, int pages_fd, int routes_fd) {
  // A file that cannot shrink cannot make our workers fault.
  struct stat pages_stat {}, routes_stat {};
  const int seals = fcntl(pages_fd, F_GET_SEALS);
  if (fstat(pages_fd, &pages_stat) != 0 || static_cast<std::size_t>(pages_stat.st_size) < core_.pages.bytes() ||
      seals < 0 || !(seals & F_SEAL_SHRINK)) {
    say("the agent's pages are too small or not sealed");
    return false;
  }
  if (routes_fd >= 0 && (fstat(routes_fd, &routes_stat) != 0 ||
                         static_cast<std::size_t>(routes_stat.st_size) < sizeof(tactus_route_table)))
    routes_fd = -1;  // no routing then
  if (!core_.pages.map_shared(pages_fd, routes_fd)) {
    say(error_text("mapping the agent's pages"));
    return false;
  }
  pages_mapped_ = true;

  // The pages start from the present counts; nobody reads them yet, and the
  // workers write them only after offer().
  tactus_pool_page* pool_page = core_.pages.shared_pool_page();
  pool_page->magic = TACTUS_MAGIC;
  pool_page->abi_version = TACTUS_ABI_VERSION;
  pool_page->nr_workers = core_.nr_threads();
  pool_page->generation = message.generation;
  for (unsigned i = 0; i < core_.nr_threads(); ++i) {
    tag_writer& tags = core_.workers[i].tags;
    tactus_tag_page* page = core_.pages.shared_page(i);
    tags.copy_counters(page);
    for (unsigned c = 0; c < core_.classes.size(); ++c) {
      page->weight_submitted += std::uint64_t{page->submitted[c]} * core_.classes.entry(c).weight;
      page->weight_finished += std::uint64_t{page->finished[c]} * core_.classes.entry(c).weight;
    }
    page->clock = core_.clock.kind;
    page->tag = __atomic_load_n(&core_.pages.private_page(i)->tag, __ATOMIC_RELAXED);
    tags.offer(page);
  }
  settle_pool_page();
  core_.shared_pool_page.store(pool_page, std::memory_order_seq_cst);
  if (message.set_sched_ext) make_sched_ext();
  const auto mapped = make_message<bare_message>(TACTUS_MSG_MAPPED);
  if (!send_message(socket, &mapped, sizeof mapped)) {
    say(error_text("acknowledging the agent's pages"));
    return false;
  }
  return true;
}

// In --partial mode only SCHED_EXT threads are managed.
void registration::make_sched_ext() {
  const sched_param none{};
  for (unsigned i = 0; i < core_.nr_threads(); ++i)
    if (sched_setscheduler(core_.workers[i].tid.load(std::memory_order_acquire), k_sched_ext, &none) != 0) {
      say(error_text("making a worker SCHED_EXT"));
      return;
    }
}

// A submitter may count itself into the shards and miss the moment when the page
// became shared, or the other way round. The shards are exact: where the page
// differs by the same amount twice, a second apart, it is set right.
void registration::settle_pool_page() {
  tactus_pool_page* page = core_.pages.shared_pool_page();
  const bool first = core_.shared_pool_page.load(std::memory_order_relaxed) == nullptr;
  std::uint64_t difference = 0;
  std::array<__u32, TACTUS_MAX_LOCAL_CLASSES> submitted{}, finished{};
  for (unsigned c = 0; c < core_.classes.size(); ++c) {
    for (const guest& shard : core_.guests) {
      submitted[c] += static_cast<__u32>(shard.submitted[c].load(std::memory_order_relaxed));
      finished[c] += static_cast<__u32>(shard.finished[c].load(std::memory_order_relaxed));
    }
    submitted[c] -= __atomic_load_n(&page->submitted[c], __ATOMIC_RELAXED);
    finished[c] -= __atomic_load_n(&page->finished[c], __ATOMIC_RELAXED);
    difference = difference * 1099511628211u + submitted[c] + (std::uint64_t{finished[c]} << 32);
  }
  if (first || (difference != 0 && difference == seen_difference_)) {
    for (unsigned c = 0; c < core_.classes.size(); ++c) {
      const auto weight = static_cast<std::int64_t>(core_.classes.entry(c).weight);
      __atomic_fetch_add(&page->submitted[c], submitted[c], __ATOMIC_RELAXED);
      __atomic_fetch_add(&page->finished[c], finished[c], __ATOMIC_RELAXED);
      __atomic_fetch_add(&page->weight_submitted,
                         static_cast<__u64>(weight * static_cast<std::int32_t>(submitted[c])), __ATOMIC_RELAXED);
      __atomic_fetch_add(&page->weight_finished,
                         static_cast<__u64>(weight * static_cast<std::int32_t>(finished[c])), __ATOMIC_RELAXED);
    }
    difference = 0;
  }
  seen_difference_ = difference;
}

void registration::leave_pages() {
  if (!pages_mapped_) return;
  core_.routes.store(nullptr, std::memory_order_seq_cst);
  core_.shared_pool_page.store(nullptr, std::memory_order_seq_cst);
  for (unsigned i = 0; i < core_.nr_threads(); ++i) core_.workers[i].tags.offer(core_.pages.private_page(i));
  // A worker leaves at its next task boundary; one that sleeps is woken for it.
  for (unsigned i = 0; i < core_.nr_threads(); ++i) {
    worker& w = core_.workers[i];
    while (w.tags.active() != core_.pages.private_page(i)) {
      if (core_.unset_idle(w)) core_.hand_over(w, nullptr, 0);
      if (!pause_for(ms{5})) return;  // the pool stops: everything goes with it
    }
  }
  core_.pages.unmap_shared();
  pages_mapped_ = false;
}

}  // namespace tactus::detail
