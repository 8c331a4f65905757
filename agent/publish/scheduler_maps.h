// SPDX-License-Identifier: Apache-2.0
//
// The agent's view of the scheduler's maps, behind one small interface.
//
// Two implementations: bpf_maps (pins under /sys/fs/bpf/tactus) and memory_maps (plain memory or
// files, for tests and for trying the agent on a machine without the scheduler). Everything else
// of the agent knows only this interface. Relies on abi/decision_map.h for names and layouts.
// It does not decide anything and does not know pools, learners or clients.
#pragma once

#include <tactus/abi/decision_map.h>
#include <tactus/abi/event.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace tactus::agent {

// Value of the task storage map tactus_workers, as the kernel sees it (struct tactus_worker):
// two addresses in this process that the kernel pins as uptrs, and who the worker is.
struct worker_entry {
  void* page = nullptr;
  void* pool_page = nullptr;
  std::uint32_t pool = 0;
  std::uint32_t worker = 0;
};
static_assert(sizeof(worker_entry) == 24, "struct tactus_worker of bpf/");

// The maps are there but this agent cannot work with them.
class maps_error : public std::runtime_error {
 public:
  enum class kind { absent, abi, rights, damaged };
  maps_error(kind k, const std::string& text) : std::runtime_error(text), kind_(k) {}
  kind why() const { return kind_; }

 private:
  kind kind_;
};

// Thread-safety: the pointers are stable for the object's life; who may write where is said at
// each. set_* and clear_* may be called from one thread at a time; consume_events from one thread.
class scheduler_maps {
 public:
  virtual ~scheduler_maps() = default;

  // Memory shared with the scheduler. Heartbeat and publisher write control and the banks; the
  // rest is written by the kernel or the loader.
  tactus_control* control() const { return control_; }
  tactus_row* rows() const { return rows_; }
  tactus_class_conf* classes() const { return classes_; }
  const volatile tactus_pool_state* pool_states() const { return pool_states_; }
  const volatile tactus_domain* domains() const { return domains_; }

  // Topology that the loader wrote; read once when the maps are opened.
  const std::vector<tactus_cpu>& cpus() const { return cpus_; }
  const std::vector<tactus_place>& places() const { return places_; }  // only places that exist
  std::uint32_t nr_domains() const { return nr_domains_; }

  // Registration. Return 0 or -errno; never throw.
  virtual int set_pool(std::uint32_t index, const tactus_pool_conf& conf) = 0;
  virtual int get_pool(std::uint32_t index, tactus_pool_conf& conf) = 0;
  virtual int set_worker(int pidfd, const worker_entry& entry) = 0;
  virtual int clear_worker(int pidfd) = 0;

  // Hands every waiting event (at most `most`) to `sink` in ring order per domain; waits up to
  // wait_ms for the first. `bytes` is the size of the ring record: sink must check it against the
  // event's type. Returns how many were handed over.
  using event_sink = std::function<void(const void* event, std::size_t bytes)>;
  virtual std::size_t consume_events(const event_sink& sink, int wait_ms, std::size_t most) = 0;

  // Counters summed over CPUs; false when they cannot be read.
  virtual bool read_stats(tactus_stats& out) = 0;

  // True when the pins now lead to other maps than these (the scheduler was loaded afresh without
  // reusing them): then all of this is stale and must be opened again.
  virtual bool replaced() const = 0;

 protected:
  tactus_control* control_ = nullptr;
  tactus_row* rows_ = nullptr;
  tactus_class_conf* classes_ = nullptr;
  const volatile tactus_pool_state* pool_states_ = nullptr;
  const volatile tactus_domain* domains_ = nullptr;
  std::vector<tactus_cpu> cpus_;
  std::vector<tactus_place> places_;
  std::uint32_t nr_domains_ = 0;
};

}  // namespace tactus::agent
