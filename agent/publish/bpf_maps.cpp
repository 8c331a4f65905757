// SPDX-License-Identifier: Apache-2.0
//
// bpf_maps.h's implementation: obj_get, size checks, mmap, ring buffers.
#include "agent/publish/bpf_maps.h"

#include "agent/publish/unique_fd.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace tactus::agent {
namespace {

constexpr int k_worker_tries = 5;

struct mapping {
  void* address = nullptr;
  std::size_t bytes = 0;
  ~mapping() {
    if (address != nullptr) ::munmap(address, bytes);
  }
  mapping() = default;
  mapping(const mapping&) = delete;
  mapping& operator=(const mapping&) = delete;
};

std::size_t round_to_page(std::size_t bytes) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

class bpf_maps final : public scheduler_maps {
 public:
  explicit bpf_maps(const std::string& folder) : folder_(folder) {
    control_fd_ = open_pin("tactus_control", sizeof(tactus_control), 1);
    map_into(control_map_, control_fd_.get(), sizeof(tactus_control), true);
    control_ = static_cast<tactus_control*>(control_map_.address);
    const std::uint32_t version = control_->abi_version;
    if (version != TACTUS_ABI_VERSION) {
      throw maps_error(maps_error::kind::abi,
                       fmt::format("the scheduler's maps in {} have ABI version {}, this agent has {}; load the "
                                   "scheduler of the same release (`tactus unload`, `tactus load`)",
                                   folder, version, TACTUS_ABI_VERSION));
    }
    const auto rows_fd = open_pin("tactus_rows", sizeof(tactus_row), TACTUS_NR_ROWS);
    map_into(rows_map_, rows_fd.get(), sizeof(tactus_row) * TACTUS_NR_ROWS, true);
    rows_ = static_cast<tactus_row*>(rows_map_.address);
    const auto classes_fd = open_pin("tactus_classes", sizeof(tactus_class_conf), 2 * TACTUS_MAX_SLOTS);
    map_into(classes_map_, classes_fd.get(), sizeof(tactus_class_conf) * 2 * TACTUS_MAX_SLOTS, true);
    classes_ = static_cast<tactus_class_conf*>(classes_map_.address);
    const auto state_fd = open_pin("tactus_pool_state", sizeof(tactus_pool_state), TACTUS_MAX_POOLS);
    map_into(state_map_, state_fd.get(), sizeof(tactus_pool_state) * TACTUS_MAX_POOLS, false);
    pool_states_ = static_cast<const volatile tactus_pool_state*>(state_map_.address);
    const auto domains_fd = open_pin("tactus_domains", sizeof(tactus_domain), TACTUS_MAX_DOMAINS);
    map_into(domains_map_, domains_fd.get(), sizeof(tactus_domain) * TACTUS_MAX_DOMAINS, false);
    domains_ = static_cast<const volatile tactus_domain*>(domains_map_.address);

    pools_fd_ = open_pin("tactus_pools", sizeof(tactus_pool_conf), TACTUS_MAX_POOLS);
    workers_fd_ = open_pin("tactus_workers", sizeof(worker_entry), 0);
    stats_fd_ = open_pin("tactus_stats", 0, 0);
    read_topology();
    open_rings();
  }

  int set_pool(std::uint32_t index, const tactus_pool_conf& conf) override {
    return ::bpf_map_update_elem(pools_fd_.get(), &index, &conf, BPF_ANY);
  }

  int get_pool(std::uint32_t index, tactus_pool_conf& conf) override {
    return ::bpf_map_lookup_elem(pools_fd_.get(), &index, &conf);
  }

  int set_worker(int pidfd, const worker_entry& entry) override {
    // Task storage may say EAGAIN or ENOMEM when its allocator or lock was busy; that passes.
    int rc = 0;
    for (int i = 0; i < k_worker_tries; i++) {
      rc = ::bpf_map_update_elem(workers_fd_.get(), &pidfd, &entry, BPF_ANY);
      if (rc != -EAGAIN && rc != -ENOMEM && rc != -EBUSY) break;
      ::usleep(200u << i);
    }
    return rc;
  }

  int clear_worker(int pidfd) override { return ::bpf_map_delete_elem(workers_fd_.get(), &pidfd); }

  std::size_t consume_events(const event_sink& sink, int wait_ms, std::size_t most) override {
    if (!rings_) return 0;
    sink_ = &sink;
    // The kernel wakes us only above a fill mark, so look whether or not anything woke us.
    ring_buffer__poll(rings_.get(), wait_ms);
    std::size_t total = handed_;
    handed_ = 0;
    while (total < most) {
      const int n = ring_buffer__consume_n(rings_.get(), std::min<std::size_t>(most - total, 1024));
      handed_ = 0;
      if (n <= 0) break;
      total += static_cast<std::size_t>(n);
    }
    sink_ = nullptr;
    return total;
  }

  bool read_stats(tactus_stats& out) override {
    if (!stats_fd_) return false;
    // The kernel may be built with a longer (append only) struct: size from the map itself.
    const std::size_t stride = (stats_bytes_ + 7) / 8 * 8;
    const int cpus = libbpf_num_possible_cpus();
    if (cpus <= 0 || stride == 0) return false;
    std::vector<char> values(stride * static_cast<std::size_t>(cpus));
    const std::uint32_t key = 0;
    if (::bpf_map_lookup_elem(stats_fd_.get(), &key, values.data()) != 0) return false;
    constexpr std::size_t k_words = sizeof(tactus_stats) / 8;
    std::array<std::uint64_t, k_words> sum{};
    const std::size_t words = std::min(k_words, stride / 8);
    for (int cpu = 0; cpu < cpus; cpu++) {
      for (std::size_t i = 0; i < words; i++) {
        std::uint64_t v;
        std::memcpy(&v, values.data() + static_cast<std::size_t>(cpu) * stride + i * 8, 8);
        sum[i] += v;
      }
    }
    std::memcpy(&out, sum.data(), sizeof(out));
    return true;
  }

  bool replaced() const override {
    const unique_fd now(::bpf_obj_get((folder_ + "/tactus_control").c_str()));
    // A pin that is gone means unloaded, perhaps between two loads that keep the maps: ours stay
    // good until another map stands there.
    if (!now) return false;
    return map_id(now.get()) != map_id(control_fd_.get());
  }

 private:
  unique_fd open_pin(const char* name, std::size_t value_bytes, std::uint32_t entries) {
    const std::string path = folder_ + "/" + name;
    unique_fd fd(::bpf_obj_get(path.c_str()));
    if (!fd) {
      if (errno == ENOENT || errno == ENOTDIR) {
        throw maps_error(maps_error::kind::absent,
                         fmt::format("{} is not there; load the scheduler: `tactus load`", path));
      }
      throw maps_error(maps_error::kind::rights,
                       fmt::format("cannot open {}: {}; the pin must be readable and writable for the group of the "
                                   "agent's user (see `tactus doctor`)",
                                   path, std::strerror(errno)));
    }
    bpf_map_info info{};
    std::uint32_t len = sizeof(info);
    if (::bpf_map_get_info_by_fd(fd.get(), &info, &len) != 0) {
      throw maps_error(maps_error::kind::damaged, fmt::format("{} is no map: {}", path, std::strerror(errno)));
    }
    if ((value_bytes != 0 && info.value_size != value_bytes) || (entries != 0 && info.max_entries != entries)) {
      throw maps_error(maps_error::kind::abi,
                       fmt::format("{} has {} entries of {} bytes, expected {} of {}; load the scheduler of the same "
                                   "release (`tactus unload`, `tactus load`)",
                                   path, info.max_entries, info.value_size, entries, value_bytes));
    }
    if (std::strcmp(name, "tactus_stats") == 0) stats_bytes_ = info.value_size;
    return fd;
  }

  void map_into(mapping& m, int fd, std::size_t bytes, bool writable) {
    const std::size_t whole = round_to_page(bytes);
    void* p = ::mmap(nullptr, whole, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
      throw maps_error(maps_error::kind::rights,
                       fmt::format("cannot map a pin of {}: {}", folder_, std::strerror(errno)));
    }
    m.address = p;
    m.bytes = whole;
  }

  void read_topology() {
    const unique_fd cpus = open_pin("tactus_cpus", sizeof(tactus_cpu), TACTUS_MAX_CPUS);
    const unique_fd places = open_pin("tactus_places", sizeof(tactus_place), TACTUS_MAX_PLACES);
    cpus_.resize(TACTUS_MAX_CPUS);
    for (std::uint32_t i = 0; i < TACTUS_MAX_CPUS; i++) {
      if (::bpf_map_lookup_elem(cpus.get(), &i, &cpus_[i]) != 0) cpus_[i] = {};
    }
    while (!cpus_.empty() && cpus_.back().present == 0) cpus_.pop_back();
    for (std::uint32_t i = 0; i < TACTUS_MAX_PLACES; i++) {
      tactus_place place{};
      if (::bpf_map_lookup_elem(places.get(), &i, &place) != 0 || place.nr_cpus == 0) break;
      places_.push_back(place);
    }
    if (places_.empty() || cpus_.empty()) {
      throw maps_error(maps_error::kind::absent,
                       fmt::format("the topology in {} is empty: the loader has not finished; if that stays, "
                                   "`tactus unload`, `tactus load`",
                                   folder_));
    }
    for (const auto& cpu : cpus_) {
      if (cpu.present != 0 && cpu.domain < TACTUS_MAX_DOMAINS) {
        nr_domains_ = std::max<std::uint32_t>(nr_domains_, cpu.domain + 1u);
      }
    }
  }

  void open_rings() {
    for (std::uint32_t domain = 0; domain < nr_domains_; domain++) {
      ring_fds_.push_back(open_pin(fmt::format("tactus_ring_{}", domain).c_str(), 0, 0));
      const int fd = ring_fds_.back().get();
      if (!rings_) {
        rings_.reset(ring_buffer__new(fd, &bpf_maps::on_event, this, nullptr));
        if (!rings_) {
          throw maps_error(maps_error::kind::rights,
                           fmt::format("cannot map tactus_ring_0 of {}: {}", folder_, std::strerror(errno)));
        }
      } else if (const int rc = ring_buffer__add(rings_.get(), fd, &bpf_maps::on_event, this); rc != 0) {
        throw maps_error(maps_error::kind::rights, fmt::format("cannot map tactus_ring_{} of {}: {}", domain, folder_,
                                                               std::strerror(-rc)));
      }
    }
  }

  static int on_event(void* self, void* data, std::size_t bytes) {
    auto* maps = static_cast<bpf_maps*>(self);
    maps->handed_++;
    if (maps->sink_ != nullptr) (*maps->sink_)(data, bytes);
    return 0;
  }

  static std::uint32_t map_id(int fd) {
    bpf_map_info info{};
    std::uint32_t len = sizeof(info);
    return ::bpf_map_get_info_by_fd(fd, &info, &len) == 0 ? info.id : 0;
  }

  struct free_rings {
    void operator()(ring_buffer* r) const { ring_buffer__free(r); }
  };

  std::string folder_;
  unique_fd control_fd_, pools_fd_, workers_fd_, stats_fd_;
  std::size_t stats_bytes_ = 0;
  mapping control_map_, rows_map_, classes_map_, state_map_, domains_map_;
  std::vector<unique_fd> ring_fds_;
  std::unique_ptr<ring_buffer, free_rings> rings_;
  const event_sink* sink_ = nullptr;
  std::size_t handed_ = 0;
};

}  // namespace

std::unique_ptr<scheduler_maps> open_bpf_maps(const std::string& folder) {
  libbpf_set_print(nullptr);
  return std::make_unique<bpf_maps>(folder);
}

}  // namespace tactus::agent
