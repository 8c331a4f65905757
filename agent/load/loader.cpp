// SPDX-License-Identifier: Apache-2.0
#include "agent/load/loader.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "agent/load/kernel_log.h"
#include "agent/load/object.h"
#include "agent/load/object_setup.h"
#include "agent/load/pins.h"
#include "agent/load/run_files.h"
#include "agent/sense/topology.h"

namespace tactus::load {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t k_default_ring_bytes = 1u << 20;
constexpr auto k_detach_wait = 30s;  // an emulated machine under load takes seconds
constexpr auto k_attach_wait = 10s;
constexpr unsigned k_hotplug_tries = 3;

struct object_deleter {
  void operator()(bpf_object* o) const { bpf_object__close(o); }
};
using object_ptr = std::unique_ptr<bpf_object, object_deleter>;

std::string why(const std::string& log) {
  const std::string line = telling_line(log);
  return line.empty() ? "no reason given" : line;
}

object_bytes object_for(const load_options& options) {
  return options.object_file.empty() ? embedded_object() : object_of_file(options.object_file);
}

object_ptr open_object(const object_bytes& bytes, const std::string& file) {
  LIBBPF_OPTS(bpf_object_open_opts, options);
  options.object_name = "tactus";
  object_ptr object(bpf_object__open_mem(bytes.data, bytes.size, &options));
  if (!object)
    throw load_error(exit_code::object_rejected,
                     fmt::format("the scheduler object {} cannot be opened ({})", file.empty() ? "in this program" : file,
                                 std::strerror(errno)),
                     "next: build Tactus again (make build)");
  return object;
}

bpf_map* find_map(const object_ptr& object, const char* name) {
  bpf_map* map = bpf_object__find_map_by_name(object.get(), name);
  if (!map)
    throw load_error(exit_code::object_rejected, fmt::format("the scheduler object has no map {}", name),
                     "next: build Tactus again (make build)");
  return map;
}

// Waits until `done` holds, looking every 20 ms. False when time ran out.
template <typename Condition>
bool wait_for(std::chrono::milliseconds limit, Condition done) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(20ms);
  }
  return true;
}

// The last reference to a link is put by a worker of the kernel's, some time after the pin is gone, and up
// to 6.17 that takes out whatever scheduler runs by then: so it is detached first, which waits for the end.
void detach_link(const host& where) {
  const unique_fd link(bpf_obj_get((where.pins / k_link_pin).c_str()));
  if (link) bpf_link_detach(link.get());
}

void detach_old(const host& where) {
  detach_link(where);
  // Without our pin nothing of ours makes a running one go: do not wait long for it.
  const bool ours = unpin(where, k_link_pin);
  const bool gone = wait_for(ours ? k_detach_wait : 1s, [&] {
    const scheduler_state now = read_scheduler_state(where);
    return now.state != "disabling" && !(now.state == "enabled" && now.ours());
  });
  if (!gone)
    throw load_error(exit_code::other_scheduler,
                     fmt::format("a scheduler named {} stays loaded without the link in {}", read_scheduler_state(where).name,
                                 where.pins.string()),
                     "next: end the program that loaded it, or send SysRq-S (echo S | sudo tee /proc/sysrq-trigger)");
}

// Reuses the pinned maps that are kept over a load. True when there was one.
bool reuse_maps(const host& where, const object_ptr& object) {
  bool any = false;
  bpf_map* map;
  bpf_object__for_each_map(map, object.get()) {
    const std::string name = bpf_map__name(map);
    if (!is_kept(name) || !pin_exists(where, name)) continue;
    const unique_fd fd = open_pinned(where, name, false);
    require_same_shape(fd.get(), map, name);
    if (bpf_map__reuse_fd(map, fd.get()))
      throw load_error(exit_code::other_abi, fmt::format("pinned map {} cannot be reused ({})", name, std::strerror(errno)),
                       "next: sudo tactus unload --all && sudo tactus load");
    any = true;
  }
  return any;
}

void write_topology(const object_ptr& object, const sense::topology& machine) {
  const auto write = [&](const char* name, const auto& entries) {
    const int fd = bpf_map__fd(find_map(object, name));
    for (std::uint32_t i = 0; i < entries.size(); ++i)
      if (bpf_map_update_elem(fd, &i, &entries[i], BPF_ANY))
        throw load_error(exit_code::internal, fmt::format("cannot write {}[{}] ({})", name, i, std::strerror(errno)),
                         "next: tactus doctor");
  };
  write("tactus_cpus", machine.cpus);
  write("tactus_places", machine.places);
  // Of a domain only the number of CPUs is the loader's; sequence and losses go on counting.
  const int domains = bpf_map__fd(find_map(object, "tactus_domains"));
  for (std::uint32_t d = 0; d < TACTUS_MAX_DOMAINS; ++d) {
    tactus_domain domain{};
    if (bpf_map_lookup_elem(domains, &d, &domain) == 0) {
      domain.nr_cpus = machine.domain_cpus[d];
      bpf_map_update_elem(domains, &d, &domain, BPF_ANY);
    }
  }
  const std::uint32_t zero = 0;
  const tactus_exit has_not_left{};
  bpf_map_update_elem(bpf_map__fd(find_map(object, "tactus_exit")), &zero, &has_not_left, BPF_ANY);
}

// One ring per domain, pinned; pinned ones of the right size are kept, so that a reader of theirs
// goes on reading.
void make_rings(const host& where, const object_ptr& object, unsigned nr_domains, std::uint64_t ring_bytes) {
  const int outer = bpf_map__fd(find_map(object, "tactus_rings"));
  for (std::uint32_t d = 0; d < TACTUS_MAX_DOMAINS; ++d) {
    const std::string name = fmt::format("tactus_ring_{}", d);
    if (d >= nr_domains) {
      bpf_map_delete_elem(outer, &d);
      unpin(where, name);
      continue;
    }
    unique_fd ring;
    if (pin_exists(where, name)) {
      ring = open_pinned(where, name, false);
      bpf_map_info info{};
      __u32 size = sizeof(info);
      if (bpf_map_get_info_by_fd(ring.get(), &info, &size) || info.type != BPF_MAP_TYPE_RINGBUF ||
          (ring_bytes && info.max_entries != ring_bytes))
        ring.reset();
    }
    if (!ring) {
      const auto bytes = static_cast<__u32>(ring_bytes ? ring_bytes : k_default_ring_bytes);
      ring = unique_fd(bpf_map_create(BPF_MAP_TYPE_RINGBUF, name.c_str(), 0, 0, bytes, nullptr));
      if (!ring)
        throw load_error(exit_code::internal,
                         fmt::format("cannot make a ring of {} bytes for domain {} ({})", bytes, d, std::strerror(errno)),
                         "next: try a smaller --ring-bytes");
      pin(where, ring.get(), name, k_map_mode);
    }
    const int fd = ring.get();
    if (bpf_map_update_elem(outer, &d, &fd, BPF_ANY))
      throw load_error(exit_code::internal, fmt::format("cannot register the ring of domain {} ({})", d, std::strerror(errno)),
                       "next: tactus doctor");
  }
}

// Through shared memory, field by field: the agent beats and flips banks in the same struct.
std::uint64_t write_control(const object_ptr& object, const load_options& options, bool was_fallback_only) {
  const int fd = bpf_map__fd(find_map(object, "tactus_control"));
  const auto bytes = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED)
    throw load_error(exit_code::internal, fmt::format("cannot map tactus_control ({})", std::strerror(errno)), "next: tactus doctor");
  auto* control = static_cast<volatile tactus_control*>(memory);
  const bool fresh = control->abi_version == 0;
  if (!control->heartbeat_limit_ns) control->heartbeat_limit_ns = 500'000'000;
  if (!control->hold_limit_ns) control->hold_limit_ns = 10'000'000;
  if (!control->explore_ppm) control->explore_ppm = 50'000;
  if (!control->confidence_threshold) control->confidence_threshold = TACTUS_CDF_ONE / 2;
  if (options.fallback_only)
    control->mode = TACTUS_MODE_FALLBACK;
  else if (fresh || was_fallback_only)
    control->mode = TACTUS_MODE_LEARNED;
  const std::uint64_t generation = control->generation + 1;
  control->generation = generation;
  __atomic_thread_fence(__ATOMIC_RELEASE);
  control->abi_version = TACTUS_ABI_VERSION;  // last: readers take a map without it for unfinished
  munmap(memory, bytes);
  return generation;
}

void pin_maps(const host& where, const object_ptr& object) {
  bpf_map* map;
  bpf_object__for_each_map(map, object.get()) {
    const std::string name = bpf_map__name(map);
    if (bpf_map__is_internal(map) || bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS) continue;
    if (is_kept(name) && pin_exists(where, name)) continue;  // reused
    pin(where, bpf_map__fd(map), name, k_map_mode);
  }
}

std::uint64_t pinned_generation(const host& where) {
  const unique_fd fd = open_pinned(where, "tactus_control", true);
  const std::uint32_t zero = 0;
  tactus_control control{};
  return bpf_map_lookup_elem(fd.get(), &zero, &control) == 0 ? control.generation : 0;
}

std::string exit_text(const object_ptr& object) {
  const std::uint32_t zero = 0;
  tactus_exit left{};
  if (bpf_map_lookup_elem(bpf_map__fd(find_map(object, "tactus_exit")), &zero, &left) == 0 && left.kind) {
    const exit_reason reason = describe(left);
    return reason.text();
  }
  const auto lines = kernel_lines(1);
  return lines.empty() ? "no reason given; see: sudo dmesg | grep sched_ext" : lines.back();
}

bool left_for_hotplug(const object_ptr& object) {
  const std::uint32_t zero = 0;
  tactus_exit left{};
  return bpf_map_lookup_elem(bpf_map__fd(find_map(object, "tactus_exit")), &zero, &left) == 0 && describe(left).hotplug;
}

// Attach reports success even when ops.init failed, so the kernel's state is what counts; and it
// may say "enabled" for a moment before an error of the first tasks takes it out.
bool stays_enabled(const host& where) {
  const bool settled = wait_for(k_attach_wait, [&] {
    const scheduler_state now = read_scheduler_state(where);
    return now.running() || now.state == "disabled";
  });
  if (!settled || !read_scheduler_state(where).running()) return false;
  std::this_thread::sleep_for(50ms);
  return read_scheduler_state(where).running();
}

void attach(const host& where, const object_ptr& object, const libbpf_log& log) {
  bpf_link* link = bpf_map__attach_struct_ops(find_map(object, "tactus_ops"));
  if (!link) {
    const int error = errno;
    throw load_error(exit_code::attach_failed,
                     fmt::format("the kernel refused the scheduler ({}): {}", std::strerror(error), why(log.text())),
                     "next: tactus doctor, and: sudo dmesg | grep sched_ext");
  }
  const std::unique_ptr<bpf_link, decltype(&bpf_link__destroy)> owner(link, &bpf_link__destroy);
  if (!stays_enabled(where))
    throw load_error(exit_code::attach_failed, fmt::format("attached, but the kernel threw the scheduler out: {}", exit_text(object)),
                     "next: sudo dmesg | grep -A40 sched_ext");
  pin(where, bpf_link__fd(link), k_link_pin, k_link_mode);
}

load_report load_once(const load_options& options, bool* hotplug) {
  const host& where = options.where;
  load_report report;
  const object_bytes bytes = object_for(options);
  const load_hint hint{options.partial, options.fallback_only, fingerprint(bytes)};
  const std::optional<load_hint> loaded = read_hint(where);

  const auto progress = [&](const char* step) {
    if (options.progress) options.progress(step);
  };
  const libbpf_log log(options.verbose);
  const object_ptr object = open_object(bytes, options.object_file);
  // Read before the topology: a CPU that comes or goes in between makes the kernel refuse.
  const std::string hotplug_seq = read_scheduler_state(where).hotplug_seq;
  prepare_object(object.get(), where, options, hotplug_seq);
  report.maps_kept = reuse_maps(where, object);
  progress("the kernel verifies the scheduler");
  if (bpf_object__load(object.get()))
    throw load_error(exit_code::object_rejected,
                     fmt::format("the kernel rejects the scheduler object: {}", why(log.text())),
                     "next: tactus doctor; sudo tactus load --verbose shows everything");
  const sense::topology machine = [&] {
    try {
      return sense::read_topology({where.root, ""});
    } catch (const sense::topology_error& error) {
      throw load_error(exit_code::machine_too_big, error.what(), "next: tactus doctor");
    }
  }();

  if (pin_exists(where, k_link_pin)) progress("taking out the old scheduler");
  detach_old(where);
  progress("attaching");
  make_rings(where, object, machine.nr_domains, options.ring_bytes);
  write_topology(object, machine);
  report.generation = write_control(object, options, loaded && loaded->fallback_only);
  pin_maps(where, object);
  try {
    attach(where, object, log);
  } catch (const load_error&) {
    *hotplug = left_for_hotplug(object);
    throw;
  }
  write_hint(where, hint);
  report.nr_cpus = machine.nr_cpus;
  report.nr_places = machine.nr_places;
  report.nr_domains = machine.nr_domains;
  report.whole_system = !options.partial;
  return report;
}

}  // namespace

void require_ring_bytes(std::uint64_t bytes) {
  const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  if (!std::has_single_bit(bytes) || bytes < page || bytes > (1u << 30))
    throw load_error(exit_code::usage, fmt::format("--ring-bytes {} is not a power of two from {} to 1073741824", bytes, page),
                     "next: for example --ring-bytes 1048576");
}

load_report load(const load_options& options) {
  if (options.ring_bytes) require_ring_bytes(options.ring_bytes);
  const host& where = options.where;
  require(required_checks(where));
  make_pin_folder(where);
  const pin_lock alone(where);
  require_same_abi(where);

  const load_hint wanted{options.partial, options.fallback_only, fingerprint(object_for(options))};
  if (!options.reload && read_scheduler_state(where).running() && pin_exists(where, k_link_pin) && read_hint(where) == wanted) {
    load_report report;
    report.already_loaded = report.maps_kept = true;
    report.whole_system = !options.partial;
    report.generation = pinned_generation(where);
    return report;
  }
  // Kernels before 5.11 account maps to RLIMIT_MEMLOCK; later ones do not care.
  const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
  (void)!setrlimit(RLIMIT_MEMLOCK, &unlimited);
  for (unsigned tries = 1;; ++tries) {
    bool hotplug = false;
    try {
      const load_report report = load_once(options, &hotplug);
      forget_ejection(where);
      return report;
    } catch (const load_error&) {
      if (!hotplug || tries >= k_hotplug_tries) throw;
    }
  }
}

unload_report unload(const host& where, bool all) {
  unload_report report;
  const pin_lock alone(where);
  const bool was_running = read_scheduler_state(where).running();
  report.was_loaded = pin_exists(where, k_link_pin);
  if (report.was_loaded) detach_old(where);
  forget_hint(where);
  if (was_running) forget_ejection(where);  // else it still tells why the scheduler is out
  if (!all) return report;
  for (const std::string& name : pin_names(where))
    if (unpin(where, name)) ++report.maps_removed;
  std::error_code ignored;
  std::filesystem::remove(where.pins, ignored);  // only if empty
  return report;
}

}  // namespace tactus::load
