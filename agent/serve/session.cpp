// SPDX-License-Identifier: Apache-2.0
//
// session.h's implementation.
#include "agent/serve/session.h"

#include "agent/serve/clock.h"

#include <fmt/format.h>
#include <sched.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace tactus::agent {
namespace {

constexpr std::uint32_t k_retry_no_scheduler_ms = 500;
constexpr std::uint32_t k_retry_quota_ms = 5000;
constexpr std::size_t k_max_fds = 253;  // the kernel's own bound per message (SCM_MAX_FD)

// A CPU set as large as the ABI allows; smaller ones make sched_getaffinity fail on big machines.
using cpu_words = std::array<unsigned long, 8192 / (8 * sizeof(unsigned long))>;

}  // namespace

session::session(unique_fd socket, peer who, session_host& host)
    : socket_(std::move(socket)), peer_(std::move(who)), host_(host), opened_ns_(now_ns()) {}

session::~session() { end(); }

bool session::in_time(std::uint64_t now) const {
  return state_ == state::registered || now - opened_ns_ < host_.limits.handshake_ns;
}

bool session::receive() {
  if (state_ == state::over) return false;
  std::array<char, k_largest_message> data;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(k_max_fds * sizeof(int))> ancillary;
  iovec iov{data.data(), data.size()};
  msghdr header{};
  header.msg_iov = &iov;
  header.msg_iovlen = 1;
  header.msg_control = ancillary.data();
  header.msg_controllen = ancillary.size();
  const ssize_t n = ::recvmsg(socket_.get(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  std::vector<unique_fd> fds;
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; i++) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
      fds.emplace_back(fd);
    }
  }
  bool keep = false;
  if (n == 0 && fds.empty()) {
    return false;  // the other side has closed
  } else if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    fail(TACTUS_REFUSED_MALFORMED, "message or its files were too many");
  } else {
    // Files that are no pidfds are nobody's business here and may block on close.
    const bool foreign = std::any_of(fds.begin(), fds.end(), [](const unique_fd& f) { return !is_pidfd(f.get()); });
    const std::uint64_t second = now_ns() / 1'000'000'000;
    if (second != window_s_) {
      window_s_ = second;
      window_messages_ = 0;
    }
    if (foreign) {
      fail(TACTUS_REFUSED_MALFORMED, "a file came along that is no pidfd");
    } else if (++window_messages_ > host_.limits.messages_per_s) {
      fail(TACTUS_REFUSED_QUOTA, "too many messages per second", k_retry_quota_ms);
    } else {
      return handle(parse_message(data.data(), static_cast<std::size_t>(n)), std::move(fds));
    }
  }
  for (auto& fd : fds) host_.disposal.dispose(std::move(fd));
  return keep;
}

bool session::handle(message m, std::vector<unique_fd> fds) {
  if (const auto* e = std::get_if<message_error>(&m)) return fail(e->reason, e->text);
  if (const auto* w = std::get_if<message_workers>(&m)) return on_workers(*w, std::move(fds));
  if (!fds.empty()) return fail(TACTUS_REFUSED_MALFORMED, "files where none belong");
  if (const auto* c = std::get_if<message_classes>(&m)) return on_classes(*c);
  return on_mapped();
}

bool session::on_workers(const message_workers& m, std::vector<unique_fd> fds) {
  if (m.hello != (state_ == state::hello) || (!m.hello && state_ != state::naming)) {
    return fail(TACTUS_REFUSED_MALFORMED, "threads named out of turn");
  }
  if (fds.size() != m.nr_here || m.first_worker != workers_.size() ||
      (pool_ && m.nr_workers_total != pool_->nr_workers)) {
    return fail(TACTUS_REFUSED_MALFORMED,
                fmt::format("{} files for workers {}+{}, {} are named", fds.size(), m.first_worker, m.nr_here, workers_.size()));
  }
  if (m.hello) {
    if (!host_.maps) {
      return fail(TACTUS_REFUSED_NO_SCHEDULER, "the scheduler is not loaded (tactus load)", k_retry_no_scheduler_ms);
    }
    auto& used = host_.used[peer_.uid];
    if (used.pools + 1 > host_.limits.pools_per_uid || used.workers + m.nr_workers_total > host_.limits.workers_per_uid ||
        host_.workers_used + m.nr_workers_total > host_.limits.workers_total) {
      return fail(TACTUS_REFUSED_QUOTA,
                  fmt::format("uid {} has {} pools and {} workers; see [limits] of the agent's configuration", peer_.uid,
                              used.pools, used.workers),
                  k_retry_quota_ms);
    }
    used.pools++;
    used.workers += m.nr_workers_total;
    host_.workers_used += m.nr_workers_total;
    counted_ = true;
    maps_ = host_.maps;
    pool_ = std::make_shared<pool>();
    pool_->nr_workers = m.nr_workers_total;
    pool_->name = m.pool_name;
    pool_->uid = peer_.uid;
    pool_->pid = peer_.tgid;
    state_ = state::naming;
  }
  for (auto& fd : fds) {
    const auto who = identify(fd.get());
    if (!who) return fail(TACTUS_REFUSED_FOREIGN_THREAD, "a named thread is gone, or cannot be seen from here");
    if (who->tgid != peer_.tgid) {
      return fail(TACTUS_REFUSED_FOREIGN_THREAD,
                  fmt::format("thread {} belongs to process {}, not to the peer {}", who->tid, who->tgid, peer_.tgid));
    }
    workers_.push_back(std::move(fd));
  }
  return workers_.size() < pool_->nr_workers || send_pages();
}

bool session::send_pages() {
  const int index = host_.pools.reserve();
  if (index < 0) return fail(TACTUS_REFUSED_QUOTA, "all pool numbers are taken", k_retry_quota_ms);
  pool_->index = static_cast<std::uint32_t>(index);
  index_reserved_ = true;
  try {
    pool_->pages = pool_pages(pool_->nr_workers);
    pool_->route = route_memory::make();
  } catch (const std::exception& e) {
    return fail(TACTUS_REFUSED_INTERNAL, e.what(), k_retry_quota_ms);
  }
  pool_->registered_ns = now_ns();
  tactus_route_table* route = pool_->route.table();
  route->nr_places = static_cast<__u32>(maps_->places().size());
  std::fill(std::begin(route->place_of_cpu), std::end(route->place_of_cpu), static_cast<__u8>(TACTUS_NO_PLACE));
  for (std::size_t cpu = 0; cpu < maps_->cpus().size(); cpu++) {
    const tactus_cpu& c = maps_->cpus()[cpu];
    if (c.present != 0 && c.place < TACTUS_MAX_PLACES) route->place_of_cpu[cpu] = static_cast<__u8>(c.place);
  }
  tactus_pool_page* page = pool_->pages.pool_page();
  page->magic = TACTUS_MAGIC;
  page->abi_version = TACTUS_ABI_VERSION;
  page->generation = pool_->registered_ns;
  page->nr_workers = pool_->nr_workers;

  tactus_msg_pages m{};
  fill_head(m.head, TACTUS_MSG_PAGES, sizeof(m));
  m.page_bytes = pool_->pages.bytes();
  m.route_bytes = pool_->route.bytes();
  m.generation = pool_->registered_ns;
  m.set_sched_ext = host_.partial && host_.partial() ? 1 : 0;
  const std::array<int, 2> fds{pool_->pages.memory().fd(), pool_->route.fd()};
  state_ = state::mapping;
  return send(&m, sizeof(m), fds.data(), fds.size());
}

bool session::on_classes(const message_classes& m) {
  if (!pool_) return fail(TACTUS_REFUSED_MALFORMED, "classes before HELLO");
  for (const auto& c : m.classes) {
    auto& slot = pool_->slot_of[c.local_class];
    const unsigned before = slot.load(std::memory_order_relaxed);
    const unsigned now = host_.slots.acquire(peer_.uid, c);
    // Acquired first: a class that is only described anew keeps its slot.
    if (before != 0) host_.slots.release(before);
    slot.store(static_cast<std::uint8_t>(now), std::memory_order_relaxed);
  }
  if (state_ != state::registered) return true;
  tactus_pool_conf conf{};
  set_conf(conf);
  if (const int rc = maps_->set_pool(pool_->index, conf); rc != 0) {
    return fail(TACTUS_REFUSED_INTERNAL, fmt::format("tactus_pools: {}", std::strerror(-rc)), k_retry_no_scheduler_ms);
  }
  host_.pools.refresh(*pool_);
  return send_class_map(TACTUS_MSG_CLASS_MAP);
}

bool session::on_mapped() {
  if (state_ != state::mapping) return fail(TACTUS_REFUSED_MALFORMED, "MAPPED out of turn");
  if (const std::string why = pool_->pages.memory().seal(); !why.empty()) return fail(TACTUS_REFUSED_SEALS, why);
  if (host_.maps != maps_) {
    return fail(TACTUS_REFUSED_NO_SCHEDULER, "the scheduler was loaded anew meanwhile", k_retry_no_scheduler_ms);
  }
  pool_->home_domain = choose_home_domain();
  pool_->group = host_.pools.group_of(peer_.uid);
  pool_->trusted = !host_.trusted || host_.trusted(peer_.uid);
  tactus_pool_conf before{};
  maps_->get_pool(pool_->index, before);
  pool_->serial = before.serial + 1;
  tactus_pool_conf conf{};
  set_conf(conf);
  if (const int rc = maps_->set_pool(pool_->index, conf); rc != 0) {
    return fail(TACTUS_REFUSED_INTERNAL, fmt::format("tactus_pools: {}", std::strerror(-rc)), k_retry_no_scheduler_ms);
  }
  host_.pools.add(pool_);
  std::string why;
  if (!store_workers(why)) return fail(TACTUS_REFUSED_INTERNAL, why, k_retry_no_scheduler_ms);
  state_ = state::registered;
  host_.registered++;
  return send_class_map(TACTUS_MSG_REGISTERED);
}

bool session::store_workers(std::string& why) {
  for (std::uint32_t i = 0; i < pool_->nr_workers; i++) {
    const worker_entry entry{pool_->pages.worker_page(i), pool_->pages.pool_page(), pool_->index, i};
    if (const int rc = maps_->set_worker(workers_[i].get(), entry); rc != 0) {
      why = rc == -ESRCH ? fmt::format("worker {} is gone", i)
                         : fmt::format("task storage of worker {}: {}", i, std::strerror(-rc));
      return false;
    }
    stored_ = i + 1;
  }
  return true;
}

void session::set_conf(tactus_pool_conf& conf) const {
  conf.in_use = 1;
  conf.uid = pool_->uid;
  conf.nr_workers = pool_->nr_workers;
  conf.home_domain = pool_->home_domain;
  conf.serial = pool_->serial;
  for (std::size_t c = 0; c < pool_->slot_of.size(); c++) conf.slot_of[c] = pool_->slot_of[c].load(std::memory_order_relaxed);
  std::memcpy(conf.name, pool_->name.data(), std::min(pool_->name.size(), sizeof(conf.name) - 1));
}

// The domain with most of the CPUs that the first worker may use; among equals the one with the
// fewest pools, so that pools spread.
std::uint32_t session::choose_home_domain() const {
  std::array<unsigned, TACTUS_MAX_DOMAINS> cpus{}, pools{};
  cpu_words allowed{};
  const auto who = identify(workers_.front().get());
  const bool known = who && ::sched_getaffinity(who->tid, sizeof(allowed), reinterpret_cast<cpu_set_t*>(allowed.data())) == 0;
  constexpr std::size_t k_bits = 8 * sizeof(unsigned long);
  for (std::size_t i = 0; i < maps_->cpus().size(); i++) {
    const tactus_cpu& c = maps_->cpus()[i];
    const bool may = !known || (allowed[i / k_bits] >> (i % k_bits) & 1) != 0;
    if (c.present != 0 && may && c.domain < cpus.size()) cpus[c.domain]++;
  }
  for (const auto& p : host_.pools.all()) pools[p->home_domain & (TACTUS_MAX_DOMAINS - 1)]++;
  std::uint32_t best = 0;
  for (std::uint32_t d = 1; d < cpus.size(); d++) {
    if (cpus[d] > cpus[best] || (cpus[d] == cpus[best] && cpus[d] > 0 && pools[d] < pools[best])) best = d;
  }
  return best;
}

bool session::send_class_map(tactus_message_type type) {
  tactus_msg_registered m{};
  fill_head(m.head, type, sizeof(m));
  m.generation = pool_->registered_ns;
  m.pool = pool_->index;
  for (std::size_t c = 0; c < pool_->slot_of.size(); c++) m.slot_of[c] = pool_->slot_of[c].load(std::memory_order_relaxed);
  return send(&m, sizeof(m), nullptr, 0);
}

bool session::send(const void* data, std::size_t bytes, const int* fds, std::size_t nr_fds) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(4 * sizeof(int))> ancillary{};
  iovec iov{const_cast<void*>(data), bytes};
  msghdr header{};
  header.msg_iov = &iov;
  header.msg_iovlen = 1;
  if (nr_fds != 0) {
    header.msg_control = ancillary.data();
    header.msg_controllen = CMSG_SPACE(nr_fds * sizeof(int));
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(nr_fds * sizeof(int));
    std::memcpy(CMSG_DATA(c), fds, nr_fds * sizeof(int));
  }
  // A client that does not read its few answers gets no more of them.
  return ::sendmsg(socket_.get(), &header, MSG_DONTWAIT | MSG_NOSIGNAL) == static_cast<ssize_t>(bytes);
}

bool session::fail(tactus_refusal reason, const std::string& text, std::uint32_t retry_ms) {
  refuse(reason, text, retry_ms);
  return false;
}

void session::refuse(tactus_refusal reason, const std::string& text, std::uint32_t retry_ms) {
  if (state_ == state::over) return;
  host_.refused++;
  if (reason != TACTUS_REFUSED_NO_SCHEDULER) {
    host_.log.warning(fmt::format("pool of process {} (uid {}) refused: {}", peer_.tgid, peer_.uid, text));
  }
  tactus_msg_refused m{};
  fill_head(m.head, TACTUS_MSG_REFUSED, sizeof(m));
  m.reason = reason;
  m.retry_ms = retry_ms;
  std::memcpy(m.text, text.data(), std::min(text.size(), sizeof(m.text) - 1));
  send(&m, sizeof(m), nullptr, 0);
  end();
}

void session::end() {
  if (state_ == state::over) return;
  state_ = state::over;
  // First the threads, then the number: a thread must never point to another pool's entry.
  for (std::uint32_t i = 0; i < stored_; i++) maps_->clear_worker(workers_[i].get());
  stored_ = 0;
  if (index_reserved_) {
    if (host_.pools.find(pool_->index) == pool_) {
      tactus_pool_conf conf{};
      conf.serial = pool_->serial;
      maps_->set_pool(pool_->index, conf);
      host_.pools.remove(pool_->index);
    } else {
      host_.pools.unreserve(pool_->index);
    }
  }
  if (pool_) {
    for (auto& slot : pool_->slot_of) {
      if (const unsigned s = slot.exchange(0); s != 0) host_.slots.release(s);
    }
  }
  // The pool sees the end; what was sent before it can still be read.
  ::shutdown(socket_.get(), SHUT_RDWR);
  if (counted_) {
    auto& used = host_.used[peer_.uid];
    used.pools--;
    used.workers -= pool_->nr_workers;
    host_.workers_used -= pool_->nr_workers;
    if (used.pools == 0) host_.used.erase(peer_.uid);
  }
}

}  // namespace tactus::agent
