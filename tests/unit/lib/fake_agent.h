// SPDX-License-Identifier: Apache-2.0
//
// The agent's side of abi/registration.h, as far as a pool can see it: checks
// what a pool sends, makes pages, seals them, reads them. No kernel behind it.
// Used by one test thread; waits have limits, so that a mistake fails a test.
#ifndef TACTUS_TESTS_FAKE_AGENT_H
#define TACTUS_TESTS_FAKE_AGENT_H

#include <tactus/abi/registration.h>
#include <tactus/abi/tag_page.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <stdexcept>
#include <string>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>
#include <vector>

class fake_agent {
 public:
  fake_agent() : path_("/tmp/tactus-test-" + std::to_string(getpid()) + "-" + std::to_string(++made_) + ".sock") {}
  ~fake_agent() {
    hang_up();
    close_listener();
  }
  const std::string& path() const { return path_; }

  void listen() {
    listener_ = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, path_.c_str());
    unlink(path_.c_str());
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) || ::listen(listener_, 4)) fail("listen");
  }
  void close_listener() {
    if (listener_ >= 0) close(std::exchange(listener_, -1)), unlink(path_.c_str());
  }
  void accept() {
    wait_readable(listener_);
    peer_ = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (peer_ < 0) fail("accept");
  }
  void hang_up() {
    if (peer_ >= 0) close(std::exchange(peer_, -1));
    for (int fd : pidfds) close(fd);
    pidfds.clear();
    tids.clear();
    classes.clear();
    if (base_) munmap(base_, bytes_), base_ = nullptr;
    if (table_) munmap(table_, sizeof *table_), table_ = nullptr;
  }

  // HELLO, WORKERS and CLASSES until all threads are named.
  void take_hello() {
    do read_one();
    while (tids.size() < nr_workers);
  }
  void send_pages(std::uint64_t generation, bool sched_ext = false, bool sealed = true, long size = -1) {
    bytes_ = (1 + nr_workers) * TACTUS_PAGE_BYTES;
    const int pages = memfd_create("pages", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    const int rows = memfd_create("rows", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (ftruncate(pages, size < 0 ? static_cast<off_t>(bytes_) : size) || ftruncate(rows, sizeof(tactus_route_table)))
      fail("ftruncate");
    if (sealed) fcntl(pages, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
    if (size < 0) base_ = static_cast<char*>(mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, pages, 0));
    table_ = static_cast<tactus_route_table*>(
        mmap(nullptr, sizeof *table_, PROT_READ | PROT_WRITE, MAP_SHARED, rows, 0));
    tactus_msg_pages m{};
    fill(m, TACTUS_MSG_PAGES);
    m.page_bytes = bytes_;
    m.route_bytes = sizeof(tactus_route_table);
    m.generation = generation;
    m.set_sched_ext = sched_ext;
    // the pool gets a descriptor that cannot write
    const int rows_read_only = open(("/proc/self/fd/" + std::to_string(rows)).c_str(), O_RDONLY | O_CLOEXEC);
    send(&m, sizeof m, {pages, rows_read_only});
    close(rows_read_only);
    close(rows);
    pages_fd_ = pages;
  }
  // MAPPED; then the seals that the real agent adds.
  void take_mapped() {
    while (last_type != TACTUS_MSG_MAPPED) read_one();
    const int error = fcntl(pages_fd_, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL);
    close(pages_fd_);
    if (error) fail("final seals");
  }
  void send_registered(tactus_message_type type, std::uint64_t generation) {
    tactus_msg_registered m{};
    fill(m, type);
    m.generation = generation;
    send(&m, sizeof m);
  }
  void send_refused(std::uint32_t retry_ms, const char* text) {
    tactus_msg_refused m{};
    fill(m, TACTUS_MSG_REFUSED);
    m.reason = TACTUS_REFUSED_NO_SCHEDULER;
    m.retry_ms = retry_ms;
    std::strncpy(m.text, text, sizeof m.text - 1);
    send(&m, sizeof m);
  }
  void register_pool(std::uint64_t generation) {
    accept();
    take_hello();
    send_pages(generation);
    take_mapped();
    send_registered(TACTUS_MSG_REGISTERED, generation);
  }
  void send(const void* data, std::size_t bytes, const std::vector<int>& fds = {}) {
    iovec io{const_cast<void*>(data), bytes};
    msghdr h{};
    h.msg_iov = &io;
    h.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(8 * sizeof(int))] = {};
    if (!fds.empty()) {
      h.msg_control = control;
      h.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
      cmsghdr* c = CMSG_FIRSTHDR(&h);
      c->cmsg_level = SOL_SOCKET;
      c->cmsg_type = SCM_RIGHTS;
      c->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
      std::memcpy(CMSG_DATA(c), fds.data(), fds.size() * sizeof(int));
    }
    if (sendmsg(peer_, &h, MSG_NOSIGNAL) < 0) fail("send");
  }
  template <class M>
  static void fill(M& m, int type) {
    m.head.magic = TACTUS_MAGIC;
    m.head.type = static_cast<__u16>(type);
    m.head.abi_version = TACTUS_ABI_VERSION;
    m.head.bytes = sizeof m;
  }

  // Reads one message of the pool and files what it says.
  void read_one() {
    wait_readable(peer_);
    static char buffer[16384];
    static char control[CMSG_SPACE(256 * sizeof(int))];
    iovec io{buffer, sizeof buffer};
    msghdr h{};
    h.msg_iov = &io;
    h.msg_iovlen = 1;
    h.msg_control = control;
    h.msg_controllen = sizeof control;
    const ssize_t n = recvmsg(peer_, &h, MSG_CMSG_CLOEXEC);
    if (n < static_cast<ssize_t>(sizeof(tactus_msg_head))) throw std::runtime_error("the pool hung up");
    tactus_msg_head head;
    std::memcpy(&head, buffer, sizeof head);
    if (head.magic != TACTUS_MAGIC || head.abi_version != TACTUS_ABI_VERSION || head.bytes != n)
      throw std::runtime_error("malformed head");
    last_type = head.type;
    for (cmsghdr* c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c))
      for (std::size_t at = 0; at + sizeof(int) <= c->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
        int fd;
        std::memcpy(&fd, CMSG_DATA(c) + at, sizeof fd);
        pidfds.push_back(fd);
      }
    if (head.type == TACTUS_MSG_HELLO || head.type == TACTUS_MSG_WORKERS) {
      tactus_msg_workers m;
      std::memcpy(&m, buffer, sizeof m);
      if ((head.type == TACTUS_MSG_HELLO) != tids.empty() || m.first_worker != tids.size())
        throw std::runtime_error("workers out of order");
      nr_workers = m.nr_workers_total;
      pool_name = m.pool_name;
      tids.insert(tids.end(), m.tid, m.tid + m.nr_here);
      if (pidfds.size() != tids.size()) throw std::runtime_error("not one pidfd per worker");
    } else if (head.type == TACTUS_MSG_CLASSES) {
      tactus_msg_classes m;
      std::memcpy(&m, buffer, sizeof m);
      classes.insert(classes.end(), m.classes, m.classes + m.nr_classes);
    }
  }

  tactus_pool_page& pool_page() { return *reinterpret_cast<tactus_pool_page*>(base_); }
  tactus_tag_page& page(unsigned worker) { return *reinterpret_cast<tactus_tag_page*>(base_ + (1 + worker) * TACTUS_PAGE_BYTES); }
  tactus_route_table& table() { return *table_; }
  // Σ submitted, Σ finished of a class over all pages.
  std::pair<std::uint32_t, std::uint32_t> counts(unsigned local_class) {
    std::uint32_t submitted = __atomic_load_n(&pool_page().submitted[local_class], __ATOMIC_RELAXED);
    std::uint32_t finished = __atomic_load_n(&pool_page().finished[local_class], __ATOMIC_RELAXED);
    for (unsigned i = 0; i < nr_workers; ++i) {
      submitted += __atomic_load_n(&page(i).submitted[local_class], __ATOMIC_RELAXED);
      finished += __atomic_load_n(&page(i).finished[local_class], __ATOMIC_RELAXED);
    }
    return {submitted, finished};
  }
  // Takes all records of all workers, as the kernel would; tasks per class.
  void take_records(std::vector<std::uint64_t>& tasks) {
    tasks.resize(TACTUS_MAX_LOCAL_CLASSES);
    for (unsigned i = 0; i < nr_workers; ++i) {
      tactus_tag_page& p = page(i);
      const std::uint32_t head = __atomic_load_n(&p.head, __ATOMIC_ACQUIRE);
      std::uint32_t tail = __atomic_load_n(&p.tail, __ATOMIC_RELAXED);
      for (; tail != head; ++tail) {
        const tactus_record& r = p.ring[tail % TACTUS_RING_RECORDS];
        tasks[__atomic_load_n(&r.local_class, __ATOMIC_RELAXED) % 64] += __atomic_load_n(&r.count, __ATOMIC_RELAXED);
      }
      __atomic_store_n(&p.tail, tail, __ATOMIC_RELEASE);
    }
  }

  unsigned nr_workers = 1;
  int last_type = 0;
  std::string pool_name;
  std::vector<int> tids, pidfds;
  std::vector<tactus_class_desc> classes;

 private:
  [[noreturn]] static void fail(const std::string& what) { throw std::runtime_error(what + ": " + std::strerror(errno)); }
  static void wait_readable(int fd) {
    pollfd p{fd, POLLIN, 0};
    if (poll(&p, 1, 20'000) <= 0) throw std::runtime_error("nothing came from the pool in 20 s");
  }
  static inline int made_ = 0;
  std::string path_;
  int listener_ = -1, peer_ = -1, pages_fd_ = -1;
  char* base_ = nullptr;
  std::size_t bytes_ = 0;
  tactus_route_table* table_ = nullptr;
};

#endif
