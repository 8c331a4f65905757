// SPDX-License-Identifier: Apache-2.0
//
// memory_maps.h's implementation.
#include "agent/publish/memory_maps.h"

#include "agent/publish/unique_fd.h"
#include "agent/serve/peer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

namespace tactus::agent {

memory_maps::memory_maps(const machine& m) { fill(m); }

memory_maps::memory_maps(const machine& m, const std::string& folder) : folder_(folder) { fill(m); }

memory_maps::~memory_maps() {
  for (const auto& [address, bytes] : regions_) ::munmap(address, bytes);
}

void* memory_maps::region(const char* name, std::size_t bytes) {
  unique_fd fd;
  if (!folder_.empty()) {
    const std::string path = folder_ + "/" + name;
    fd = unique_fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0660));
    if (!fd || ::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) {
      throw maps_error(maps_error::kind::rights, fmt::format("cannot make {}: {}", path, std::strerror(errno)));
    }
  }
  void* p = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, fd ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, fd.get(), 0);
  if (p == MAP_FAILED) throw maps_error(maps_error::kind::rights, fmt::format("mmap of {}: {}", name, std::strerror(errno)));
  regions_.emplace_back(p, bytes);
  return p;
}

void memory_maps::fill(const machine& m) {
  control_ = static_cast<tactus_control*>(region("tactus_control", sizeof(tactus_control)));
  rows_ = static_cast<tactus_row*>(region("tactus_rows", sizeof(tactus_row) * TACTUS_NR_ROWS));
  classes_ = static_cast<tactus_class_conf*>(region("tactus_classes", sizeof(tactus_class_conf) * 2 * TACTUS_MAX_SLOTS));
  pools_ = static_cast<tactus_pool_conf*>(region("tactus_pools", sizeof(tactus_pool_conf) * TACTUS_MAX_POOLS));
  pool_states_ = static_cast<tactus_pool_state*>(region("tactus_pool_state", sizeof(tactus_pool_state) * TACTUS_MAX_POOLS));
  domains_ = static_cast<tactus_domain*>(region("tactus_domains", sizeof(tactus_domain) * TACTUS_MAX_DOMAINS));
  if (control_->abi_version == 0) control_->abi_version = TACTUS_ABI_VERSION;
  if (control_->abi_version != TACTUS_ABI_VERSION) {
    throw maps_error(maps_error::kind::abi, fmt::format("maps have ABI version {}, this agent has {}; load the scheduler "
                                                        "of the same release (`tactus unload`, `tactus load`)",
                                                        control_->abi_version, TACTUS_ABI_VERSION));
  }
  if (control_->generation == 0) control_->generation = 1;
  nr_domains_ = m.domains;
  for (unsigned i = 0; i < m.cpus; i++) {
    tactus_cpu c{};
    c.place = static_cast<__u16>(i);
    c.domain = static_cast<__u16>(i * m.domains / m.cpus);
    c.node = static_cast<__u16>(i * m.nodes / m.cpus);
    c.core = static_cast<__u16>(i);
    c.capacity = 1024;
    c.present = 1;
    cpus_.push_back(c);
  }
  for (unsigned i = 0; i < m.cpus; i++) {
    tactus_place p{};
    p.nr_cpus = 1;
    p.domain = cpus_[i].domain;
    p.node = cpus_[i].node;
    p.first_cpu = static_cast<__u16>(i);
    p.cpus[i / 64] |= 1ull << (i % 64);
    for (unsigned j = 0; j < m.cpus; j++) {
      if (cpus_[j].domain == p.domain) p.near[0] |= 1ull << j;
      if (cpus_[j].node == p.node) p.near[1] |= 1ull << j;
      p.near[2] |= 1ull << j;
      p.near[3] |= 1ull << j;
    }
    places_.push_back(p);
  }
}

int memory_maps::set_pool(std::uint32_t index, const tactus_pool_conf& conf) {
  const std::lock_guard lock(mutex_);
  if (index >= TACTUS_MAX_POOLS) return -E2BIG;
  pools_[index] = conf;
  return 0;
}

int memory_maps::get_pool(std::uint32_t index, tactus_pool_conf& conf) {
  const std::lock_guard lock(mutex_);
  if (index >= TACTUS_MAX_POOLS) return -ENOENT;
  conf = pools_[index];
  return 0;
}

int memory_maps::set_worker(int pidfd, const worker_entry& entry) {
  const auto who = identify(pidfd);
  const std::lock_guard lock(mutex_);
  if (!who) return -ESRCH;
  if (fail_rc_ != 0 && entry.worker >= fail_from_) return fail_rc_;
  std::erase_if(workers_, [&](const stored_worker& w) { return w.tid == who->tid; });
  workers_.push_back({entry, who->tid});
  return 0;
}

int memory_maps::clear_worker(int pidfd) {
  const auto who = identify(pidfd);
  const std::lock_guard lock(mutex_);
  // A thread that is gone took its storage with it, as in the kernel.
  std::erase_if(workers_, [&](const stored_worker& w) {
    return (who && w.tid == who->tid) || ::access(fmt::format("/proc/self/task/{}", w.tid).c_str(), F_OK) != 0;
  });
  return who ? 0 : -ESRCH;
}

std::size_t memory_maps::consume_events(const event_sink& sink, int wait_ms, std::size_t most) {
  std::deque<std::vector<char>> taken;
  {
    const std::lock_guard lock(mutex_);
    while (!events_.empty() && taken.size() < most) {
      taken.push_back(std::move(events_.front()));
      events_.pop_front();
    }
  }
  if (taken.empty() && wait_ms > 0) std::this_thread::sleep_for(std::chrono::milliseconds(wait_ms));
  for (const auto& e : taken) sink(e.data(), e.size());
  return taken.size();
}

bool memory_maps::read_stats(tactus_stats& out) {
  out = {};
  return true;
}

void memory_maps::push_event(const void* event, std::size_t bytes) {
  const auto* p = static_cast<const char*>(event);
  const std::lock_guard lock(mutex_);
  events_.emplace_back(p, p + bytes);
}

std::vector<memory_maps::stored_worker> memory_maps::workers() const {
  const std::lock_guard lock(mutex_);
  return workers_;
}

void memory_maps::fail_workers(int rc, unsigned from_worker) {
  const std::lock_guard lock(mutex_);
  fail_rc_ = rc;
  fail_from_ = from_worker;
}

}  // namespace tactus::agent
