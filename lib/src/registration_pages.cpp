// SPDX-License-Identifier: Apache-2.0
//
// The pages that pool, agent and kernel share: from the private ones to them and back.
#include "agent_messages.h"
#include "pool_core.h"
#include "registration.h"

#include <array>
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>

#ifndef F_SEAL_SHRINK
#define F_SEAL_SHRINK 0x0002
#define F_GET_SEALS 1034
#endif

namespace tactus::detail {
namespace {

constexpr int k_sched_ext = 7;  // SCHED_EXT

}  // namespace

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
