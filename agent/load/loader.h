// SPDX-License-Identifier: Apache-2.0
//
// Loads the scheduler into the kernel and takes it out again.
//
// The pinned struct_ops link is the only life-cycle state: where it is and the
// kernel says "enabled", the scheduler is loaded. A load keeps the pinned data
// maps (registrations, rows, counters, rings), makes everything else anew, and
// does the slow part (verification) before an old scheduler is taken out.
//
// Relies on: libbpf, the object embedded in this program, sense/ for the topology.
// Does not: stay; reloading after hotplug or an error is stay.h's.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "agent/load/checks.h"
#include "agent/load/errors.h"

namespace tactus::load {

struct load_options {
  host where;
  bool partial = false;        // only SCHED_EXT threads
  bool fallback_only = false;  // rows are never used, whatever the agent says
  bool reload = false;         // even when the same is loaded already
  bool verbose = false;        // libbpf's and the verifier's messages to stderr
  std::uint64_t ring_bytes = 0;  // of one domain's ring; 0: as pinned, else 1 MiB
  std::string object_file;       // instead of the embedded object, for development
  std::function<void(const char*)> progress;  // told what begins; may be empty
};

struct load_report {
  bool already_loaded = false;  // nothing was done
  bool maps_kept = false;
  std::uint64_t generation = 0;
  unsigned nr_cpus = 0, nr_places = 0, nr_domains = 0;
  bool whole_system = false;
};

// Checks the machine, loads, attaches, pins, and makes sure that the kernel
// really runs it. Idempotent. Throws load_error; after a failure behind the
// point where an old scheduler was taken out, the machine is on the kernel's own.
load_report load(const load_options& options);

struct unload_report {
  bool was_loaded = false;
  unsigned maps_removed = 0;
};

// Removes the link pin, which detaches the scheduler, and waits until the kernel
// has; with `all` also every map. Idempotent. Throws load_error.
unload_report unload(const host& where, bool all);

// Page-multiple power of two within [4 KiB, 1 GiB]; throws load_error(usage).
void require_ring_bytes(std::uint64_t bytes);

}  // namespace tactus::load
