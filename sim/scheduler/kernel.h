// SPDX-License-Identifier: Apache-2.0
// What the scheduler's BPF code finds around it in a kernel: threads, dispatch queues, idle masks,
// and the kfuncs that work on them, under their kernel names. sched_ext's own behaviour is taken
// from kernel 6.18 (kernel/sched/ext.c and ext_idle.c).
//
// Does not: know time or the event loop (kernel_host does), or decide anything.
#pragma once

#include <tactus/abi/event.h>

#include <bit>
#include <cstdint>
#include <vector>

namespace tactus::sim {

struct cpu_mask {
  static constexpr unsigned k_words = TACTUS_MAX_CPUS / 64;
  __u64 word[k_words] = {};  // the kernel's type: places of the ABI have the same
  bool test(unsigned cpu) const { return (word[cpu / 64] >> (cpu % 64) & 1) != 0; }
  void set(unsigned cpu) { word[cpu / 64] |= 1ull << (cpu % 64); }
  void clear(unsigned cpu) { word[cpu / 64] &= ~(1ull << (cpu % 64)); }
};

// struct tactus_task of bpf/maps.bpf.h; see there.
struct tactus_task {
  std::uint64_t epoch = 0, vtime = 0, stint = 0;
  std::uint64_t waiting_since_ns = 0, run_start_ns = 0, unreported_run_ns = 0, unreported_wait_ns = 0;
  std::uint64_t seen_weight = 0, slice_ns = 0, allowed = 0;
  std::uint32_t taken = 0, serial = 0, deadline = 0;
  std::uint16_t preemptions = 0, migrations = 0, last_cpu = 0, pool = 0;
  std::uint32_t tid = 0;
  std::uint8_t pending = 0, queued = 0, queued_domain = 0, priority = 0, slot = 0, running = 0;
};

// The words of a tag page that the kernel reads, of one worker.
struct worker_page {
  std::uint64_t tag = 0, next_tag = 0;
  std::uint64_t weight_submitted = 0, weight_finished = 0;
  std::uint32_t head = 0, tail = 0;
  std::vector<tactus_record> ring;  // TACTUS_RING_RECORDS, or empty: nobody reads records
};

struct dispatch_queue;

// A thread as the kernel sees it: struct task_struct with its sched_ext part and task storage.
struct kernel_thread {
  kernel_thread *before = nullptr, *behind = nullptr;  // in its queue
  dispatch_queue* queue = nullptr;
  std::uint64_t dsq_vtime = 0;
  std::uint64_t slice_ns = 0;
  std::uint32_t weight = 100;
  std::uint32_t tid = 0;
  std::int32_t cpu = 0;       // scx_bpf_task_cpu
  bool queued = false;        // SCX_TASK_QUEUED: runnable
  bool managed = false;       // has task storage tactus_workers
  const cpu_mask* allowed = nullptr;  // null: every CPU
  std::uint32_t nr_cpus_allowed = TACTUS_MAX_CPUS;
  tactus_task t;              // task storage tactus_tasks
  worker_page page;
  bool may_run_on(unsigned c) const { return allowed == nullptr || allowed->test(c); }
};

// Ordered by dsq_vtime, equal ones in order of arrival; the local ones first in, first out.
// Arrivals are nearly in order, so insertion looks from the end.
struct dispatch_queue {
  kernel_thread *first = nullptr, *last = nullptr;
  std::uint32_t nr = 0;

  void insert_vtime(kernel_thread& p, std::uint64_t vtime) {
    p.dsq_vtime = vtime;
    kernel_thread* at = last;
    while (at != nullptr && static_cast<std::int64_t>(vtime - at->dsq_vtime) < 0) at = at->before;
    link_behind(p, at);
  }
  void append(kernel_thread& p) { link_behind(p, last); }
  void prepend(kernel_thread& p) { link_behind(p, nullptr); }
  void remove(kernel_thread& p) {
    (p.before != nullptr ? p.before->behind : first) = p.behind;
    (p.behind != nullptr ? p.behind->before : last) = p.before;
    p.queue = nullptr;
    --nr;
  }

 private:
  void link_behind(kernel_thread& p, kernel_thread* at) {
    p.before = at;
    p.behind = at != nullptr ? at->behind : first;
    (p.behind != nullptr ? p.behind->before : last) = &p;
    (at != nullptr ? at->behind : first) = &p;
    p.queue = this;
    ++nr;
  }
};

// What the world around the scheduler does for it.
class kernel_host {
 public:
  virtual ~kernel_host() = default;
  virtual void kick_cpu(unsigned cpu, bool preempt) = 0;  // preempt: SCX_KICK_PREEMPT, else _IDLE
  virtual void timer_start(unsigned domain, std::uint64_t delay_ns) = 0;
  virtual std::uint32_t prandom_u32() = 0;
  // A task was put into the local queue of a CPU. preempt: SCX_ENQ_PREEMPT, what runs there gives way.
  virtual void local_inserted(unsigned cpu, bool preempt) = 0;
  virtual kernel_thread* task_from_pid(std::uint32_t tid) = 0;  // bpf_task_from_pid; null: has gone
};

// Idle masks, of CPUs and of whole cores, with counts per place beside them, so that "which places
// have an idle CPU" costs nothing on a big machine.
class idle_masks {
 public:
  void reset(unsigned nr_cpus, const std::vector<tactus_cpu>& cpus);
  bool test(unsigned cpu) const { return cpu_.test(cpu); }
  void set_idle(unsigned cpu);
  bool test_and_clear(unsigned cpu);  // scx_bpf_test_and_clear_cpu_idle
  // scx_bpf_pick_idle_cpu: claims it; -1 when none. Null masks are "every CPU"; both are applied.
  std::int32_t pick(const __u64* mask, const cpu_mask* allowed, bool whole_core);

  bool has_smt() const { return has_smt_; }
  std::uint64_t idle_places() const { return idle_places_; }
  std::uint64_t idle_core_places() const { return has_smt_ ? core_places_ : idle_places_; }
  std::uint32_t idle_cpus_of(unsigned place) const { return place_count_[place]; }
  const cpu_mask& cpus() const { return cpu_; }
  const cpu_mask& cores() const { return has_smt_ ? core_ : cpu_; }
  void assign(const cpu_mask& idle);  // replay: the recorded mask

 private:
  std::int32_t find(const cpu_mask& in, const __u64* mask, const cpu_mask* allowed) const;
  void set_core(unsigned cpu, bool idle);

  cpu_mask cpu_, core_;
  unsigned nr_cpus_ = 0, nr_words_ = 0;
  bool has_smt_ = false;
  std::vector<std::uint8_t> place_of_;
  std::vector<std::uint16_t> other_thread_;  // next CPU of the same core, itself without SMT
  std::uint32_t place_count_[TACTUS_MAX_PLACES + 1] = {}, core_count_[TACTUS_MAX_PLACES + 1] = {};
  std::uint64_t idle_places_ = 0, core_places_ = 0;
  unsigned last_picked_ = 0;  // cpumask_any_and_distribute
};

}  // namespace tactus::sim
