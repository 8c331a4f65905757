// SPDX-License-Identifier: Apache-2.0
// The kfuncs that move tasks, which live in the kernel for bpf/.
#include "sim/scheduler/scheduler.h"

namespace tactus::sim {

// preempt: SCX_ENQ_PREEMPT, which puts it first and ends the slice of what runs.
void scheduler::insert_local(kernel_thread& p, std::int32_t cpu, std::uint64_t slice, bool preempt) {
  const auto at = static_cast<unsigned>(cpu);
  p.slice_ns = slice;
  p.cpu = cpu;
  if (preempt) local[at].prepend(p);
  else local[at].append(p);
  host_.local_inserted(at, preempt);
}

void scheduler::insert_vtime(kernel_thread& p, dispatch_queue& q, std::uint64_t slice, std::uint64_t vtime) {
  p.slice_ns = slice;
  q.insert_vtime(p, vtime);
}

bool scheduler::move_to_local(std::int32_t cpu, dispatch_queue& q) {
  for (kernel_thread* p = q.first; p != nullptr; p = p->behind)
    if (p->may_run_on(static_cast<unsigned>(cpu))) {
      dsq_move(*p, cpu);
      return true;
    }
  return false;
}

// From ops.dispatch: the CPU looks at its local queue afterwards by itself.
void scheduler::dsq_move(kernel_thread& p, std::int32_t cpu) {
  p.queue->remove(p);
  p.cpu = cpu;
  local[static_cast<unsigned>(cpu)].append(p);
}

std::int32_t scheduler::select_cpu_dfl(kernel_thread& p, std::int32_t prev_cpu, bool& is_idle) {
  const auto prev = static_cast<unsigned>(prev_cpu);
  const __u64* cache = nr_domains > 1 && cpus[prev].present != 0 ? domain_cpus[cpus[prev].domain].word : nullptr;
  const bool prev_allowed = cpus[prev].present != 0 && p.may_run_on(prev);
  std::int32_t cpu = -1;
  is_idle = true;
  if (idle.has_smt()) {
    if (prev_allowed && idle.cores().test(prev) && idle.test_and_clear(prev)) return prev_cpu;
    if (cache != nullptr) cpu = idle.pick(cache, p.allowed, true);
    if (cpu < 0) cpu = idle.pick(nullptr, p.allowed, true);
    if (cpu >= 0) return cpu;
  }
  if (prev_allowed && idle.test_and_clear(prev)) return prev_cpu;
  if (cache != nullptr) cpu = idle.pick(cache, p.allowed, false);
  if (cpu < 0) cpu = idle.pick(nullptr, p.allowed, false);
  if (cpu >= 0) return cpu;
  is_idle = false;
  return prev_cpu;
}

}  // namespace tactus::sim
