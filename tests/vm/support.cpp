// SPDX-License-Identifier: Apache-2.0
#include "support.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <mutex>
#include <sstream>

#include "bpf/policy.h"

namespace tactus::vmtest {
namespace {

std::mutex print_mutex;
unsigned passed = 0, failed = 0;

void print(const char* head, const char* format, va_list args) {
  std::fputs(head, stdout);
  std::vprintf(format, args);
  std::fputc('\n', stdout);
  std::fflush(stdout);
}

int open_pin(const char* name) {
  const std::string path = std::string(TACTUS_PIN_DIR "/") + name;
  const int fd = bpf_obj_get(path.c_str());
  if (fd < 0) give_up("cannot open %s: %s; run tactus load first", path.c_str(), std::strerror(errno));
  return fd;
}

template <typename T>
T* map_memory(int fd, std::size_t entries) {
  const std::size_t bytes = (entries * sizeof(T) + 4095) / 4096 * 4096;
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) give_up("cannot map a pinned map: %s", std::strerror(errno));
  return static_cast<T*>(memory);
}

timespec to_timespec(std::uint64_t ns) {
  return {static_cast<time_t>(ns / 1'000'000'000), static_cast<long>(ns % 1'000'000'000)};
}

}  // namespace

bool expect(bool holds, const char* format, ...) {
  const std::lock_guard lock(print_mutex);
  va_list args;
  va_start(args, format);
  print(holds ? "ok    " : "FAIL  ", format, args);
  va_end(args);
  ++(holds ? passed : failed);
  return holds;
}

void note(const char* format, ...) {
  const std::lock_guard lock(print_mutex);
  va_list args;
  va_start(args, format);
  print("      ", format, args);
  va_end(args);
}

void give_up(const char* format, ...) {
  va_list args;
  va_start(args, format);
  print("FAIL  ", format, args);
  va_end(args);
  std::_Exit(2);
}

int finish() {
  std::printf("%u passed, %u failed\n", passed, failed);
  return failed || !passed ? 1 : 0;
}

std::uint64_t now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(t.tv_nsec);
}

void sleep_ns(std::uint64_t ns) { sleep_until(now_ns() + ns); }

std::uint64_t sleep_until(std::uint64_t when_ns) {
  const timespec t = to_timespec(when_ns);
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, nullptr) == EINTR) {
  }
  const std::uint64_t now = now_ns();
  return now > when_ns ? now - when_ns : 0;
}

std::uint64_t cpu_time_ns(int tid) {
  // The clock id of a thread of this process, as clock_getcpuclockid(3) makes it for processes.
  const clockid_t clock = static_cast<clockid_t>((~static_cast<unsigned>(tid) << 3) | 6);
  timespec t;
  if (clock_gettime(clock, &t)) return 0;
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(t.tv_nsec);
}

void burn_cpu_ns(std::uint64_t ns) {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  const std::uint64_t end = static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(t.tv_nsec) + ns;
  volatile unsigned work = 0;
  do {
    for (int i = 0; i < 2000; ++i) work = work + 1;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  } while (static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(t.tv_nsec) < end);
}

int this_tid() { return static_cast<int>(syscall(SYS_gettid)); }

unsigned nr_cpus() { return static_cast<unsigned>(sysconf(_SC_NPROCESSORS_ONLN)); }

void become_realtime() {
  sched_param param{};
  param.sched_priority = 50;
  // The threads that this one makes are normal ones.
  if (sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &param)) give_up("SCHED_FIFO is refused: %s", std::strerror(errno));
}

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  std::string s = text.str();
  while (!s.empty() && s.back() == '\n') s.pop_back();
  return s;
}

bool write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  file.flush();
  return file.good();
}

bool scheduler_enabled() {
  return read_file("/sys/kernel/sched_ext/state") == "enabled" &&
         read_file("/sys/kernel/sched_ext/root/ops").rfind("tactus", 0) == 0;
}

int run(const std::string& command) {
  std::fflush(stdout);
  const int status = std::system(command.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::uint64_t percentile(std::vector<std::uint64_t>& samples, double share) {
  if (samples.empty()) return 0;
  std::sort(samples.begin(), samples.end());
  const auto last = samples.size() - 1;
  return samples[std::min(last, static_cast<std::size_t>(share * static_cast<double>(samples.size())))];
}

distribution distribution::all_on(unsigned place) {
  distribution d;
  d.place[place % TACTUS_MAX_PLACES] = 1;
  return d;
}

distribution distribution::hold() { return {}; }

tactus_row make_row(const distribution& d, unsigned version, double confidence, unsigned slice_10us) {
  tactus_row row{};
  double sum = 0;
  row.version_begin = row.version_end = version;
  row.confidence = static_cast<__u16>(std::lround(confidence * 65535));
  row.slice_10us = static_cast<__u16>(slice_10us);
  for (unsigned i = 0; i < TACTUS_MAX_PLACES; ++i) {
    sum += d.place[i];
    row.cdf[i] = static_cast<__u16>(std::min(65535l, std::lround(sum * TACTUS_CDF_ONE)));
  }
  return row;
}

maps::maps() {
  control_ = open_pin("tactus_control");
  rows_ = open_pin("tactus_rows");
  classes_ = open_pin("tactus_classes");
  domains_ = open_pin("tactus_domains");
  pool_state_ = open_pin("tactus_pool_state");
  stats_ = open_pin("tactus_stats");
  places_ = open_pin("tactus_places");
  pools_ = open_pin("tactus_pools");
  workers_ = open_pin("tactus_workers");
  control = map_memory<tactus_control>(control_, 1);
  rows = map_memory<tactus_row>(rows_, TACTUS_NR_ROWS);
  classes = map_memory<tactus_class_conf>(classes_, 2 * TACTUS_MAX_SLOTS);
  domains = map_memory<tactus_domain>(domains_, TACTUS_MAX_DOMAINS);
  pool_state = map_memory<tactus_pool_state>(pool_state_, TACTUS_MAX_POOLS);
}

maps::~maps() {
  for (const int fd : {control_, rows_, classes_, domains_, pool_state_, stats_, places_, pools_, workers_}) close(fd);
}

tactus_stats maps::stats() const {
  const auto possible = static_cast<unsigned>(libbpf_num_possible_cpus());
  std::vector<tactus_stats> copies(possible);
  const __u32 zero = 0;
  if (bpf_map_lookup_elem(stats_, &zero, copies.data())) give_up("cannot read tactus_stats: %s", std::strerror(errno));
  tactus_stats sum{};
  auto* into = reinterpret_cast<__u64*>(&sum);
  for (const tactus_stats& copy : copies)
    for (std::size_t i = 0; i < sizeof(sum) / sizeof(__u64); ++i) into[i] += reinterpret_cast<const __u64*>(&copy)[i];
  return sum;
}

tactus_place maps::place(unsigned i) const {
  tactus_place p{};
  if (bpf_map_lookup_elem(places_, &i, &p)) give_up("cannot read tactus_places: %s", std::strerror(errno));
  return p;
}

unsigned maps::nr_places() const {
  unsigned n = 0;
  while (n < TACTUS_MAX_PLACES && place(n).nr_cpus) ++n;
  return n;
}

void maps::set_rows(unsigned slot, const distribution& d, double confidence, unsigned slice_10us) {
  static std::atomic<unsigned> version{1};
  const unsigned v = ++version;
  const tactus_row row = make_row(d, v, confidence, slice_10us);
  for (unsigned bank = 0; bank < 2; ++bank)
    for (unsigned s = 0; s < TACTUS_NR_SITUATIONS; ++s) {
      tactus_row& to = rows[tactus_row_index(bank, slot, s)];
      __atomic_store_n(&to.version_end, 0, __ATOMIC_RELEASE);
      __atomic_thread_fence(__ATOMIC_SEQ_CST);
      to.version_begin = v;
      to.confidence = row.confidence;
      to.slice_10us = row.slice_10us;
      std::memcpy(to.cdf, row.cdf, sizeof(row.cdf));
      __atomic_store_n(&to.version_end, v, __ATOMIC_RELEASE);
    }
  control->version = v;
}

void maps::set_class(unsigned slot, bool in_use, const std::array<std::uint8_t, TACTUS_MAX_PLACES>& tier) {
  for (unsigned bank = 0; bank < 2; ++bank) {
    tactus_class_conf& conf = classes[bank * TACTUS_MAX_SLOTS + slot];
    std::memcpy(conf.tier, tier.data(), sizeof(conf.tier));
    std::snprintf(conf.name, sizeof(conf.name), "test-%u", slot);
    conf.version = 1;
    conf.in_use = in_use ? 1 : 0;
  }
}

void maps::agent_alive(bool for_an_hour) {
  control->mode = TACTUS_MODE_LEARNED;
  control->heartbeat_ns = now_ns() + (for_an_hour ? 3'600'000'000'000ull : 0);
}

void maps::agent_dead() { control->heartbeat_ns = 0; }

test_pool::test_pool(maps& m, unsigned index, unsigned nr_workers, unsigned home_domain)
    : maps_(m), index_(index), nr_workers_(nr_workers) {
  const std::size_t bytes = (1 + nr_workers) * TACTUS_PAGE_BYTES;
  const int fd = memfd_create("tactus-vm-test", MFD_CLOEXEC);
  if (fd < 0 || ftruncate(fd, static_cast<off_t>(bytes))) give_up("memfd: %s", std::strerror(errno));
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) give_up("mmap of the pages: %s", std::strerror(errno));
  std::memset(memory, 0, bytes);  // every page exists
  pages_ = static_cast<tactus_tag_page*>(memory);
  close(fd);
  pool_page().magic = TACTUS_MAGIC;
  pool_page().abi_version = TACTUS_ABI_VERSION;
  pool_page().nr_workers = nr_workers;
  for (unsigned i = 0; i < nr_workers; ++i) page(i).clock = TACTUS_CLOCK_NS;

  tactus_pool_conf conf{};
  conf.in_use = 1;
  conf.uid = 1000;
  conf.nr_workers = nr_workers;
  conf.home_domain = home_domain;
  for (unsigned c = 0; c < TACTUS_MAX_LOCAL_CLASSES; ++c) conf.slot_of[c] = static_cast<__u8>(c);
  conf.serial = static_cast<__u32>(now_ns() >> 10) | 1;
  std::snprintf(conf.name, sizeof(conf.name), "test-pool-%u", index);
  if (bpf_map_update_elem(m.pools_fd(), &index, &conf, BPF_ANY)) give_up("tactus_pools: %s", std::strerror(errno));
}

test_pool::~test_pool() {
  for (const int fd : pidfds_) {
    bpf_map_delete_elem(maps_.workers_fd(), &fd);  // a thread that is gone has no storage: ignored
    close(fd);
  }
  const tactus_pool_conf none{};
  bpf_map_update_elem(maps_.pools_fd(), &index_, &none, BPF_ANY);
  munmap(pages_, (1 + nr_workers_) * TACTUS_PAGE_BYTES);
}

void test_pool::adopt(int tid, unsigned worker) {
  // As bpf/maps.bpf.h has it; uptrs are plain addresses of the process that stores them.
  struct {
    std::uint64_t page, pool_page;
    std::uint32_t pool, worker;
  } value{reinterpret_cast<std::uint64_t>(&page(worker)), reinterpret_cast<std::uint64_t>(pages_), index_, worker};
  constexpr unsigned pidfd_thread = O_EXCL;  // PIDFD_THREAD
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, tid, pidfd_thread));
  if (fd < 0) give_up("pidfd of thread %d: %s", tid, std::strerror(errno));
  if (bpf_map_update_elem(maps_.workers_fd(), &fd, &value, BPF_ANY))
    give_up("tactus_workers, thread %d: %s", tid, std::strerror(errno));
  pidfds_.push_back(fd);
  tids_.push_back(tid);
}

void test_pool::forget(int tid) {
  for (std::size_t i = 0; i < tids_.size(); ++i)
    if (tids_[i] == tid && bpf_map_delete_elem(maps_.workers_fd(), &pidfds_[i]))
      give_up("forgetting thread %d: %s", tid, std::strerror(errno));
}

void test_pool::set_tag(unsigned worker, unsigned local_class, unsigned priority, std::uint64_t deadline_ns) {
  __atomic_store_n(&page(worker).tag, tactus_tag_make(local_class, priority, deadline_ns), __ATOMIC_RELAXED);
}

void record(tactus_tag_page& page, unsigned local_class, unsigned count, std::uint64_t run_ns) {
  const std::uint32_t head = page.head;
  const auto units = static_cast<std::uint32_t>(run_ns >> TACTUS_RUN_UNIT_TICKS_LOG2);
  if (head - __atomic_load_n(&page.tail, __ATOMIC_ACQUIRE) >= TACTUS_RING_RECORDS) {
    page.fold[local_class].count += count;
    page.fold[local_class].run_units += units;
    page.folded_classes |= 1ull << local_class;
    return;
  }
  tactus_record& r = page.ring[head % TACTUS_RING_RECORDS];
  r.end_ticks = now_ns();
  r.run_units = units;
  r.count = static_cast<__u16>(count);
  r.local_class = static_cast<__u8>(local_class);
  r.flags = 0;
  __atomic_store_n(&page.head, head + 1, __ATOMIC_RELEASE);
}

looping_thread::looping_thread(std::function<void()> body, std::function<void()> prepare) {
  thread_ = std::thread([this, body = std::move(body), prepare = std::move(prepare)] {
    tid_ = this_tid();
    if (prepare) prepare();
    ready_.store(1);
    ready_.notify_all();
    while (!stop_.load(std::memory_order_relaxed)) body();
  });
  ready_.wait(0);
}

void looping_thread::stop() {
  stop_.store(true);
  if (thread_.joinable()) thread_.join();
}

events::events(decision_fn on_decision, completion_fn on_completion)
    : on_decision_(std::move(on_decision)), on_completion_(std::move(on_completion)) {
  fd_ = open_pin("tactus_ring_0");
  ring_ = ring_buffer__new(fd_, &events::take, this, nullptr);
  if (!ring_) give_up("cannot read tactus_ring_0: %s", std::strerror(errno));
}

events::~events() {
  ring_buffer__free(ring_);
  close(fd_);
}

void events::drain() {
  if (ring_buffer__consume(ring_) < 0) give_up("reading tactus_ring_0 failed");
}

// Events of two CPUs may enter the ring in another order than they were numbered: what a gap
// promised and comes later is taken back.
void events::gap(std::uint64_t sequence) {
  if (first_) {
    first_ = false;
  } else if (sequence < next_) {
    ++reordered;
    --missing;
    return;
  } else {
    missing += sequence - next_;
  }
  next_ = sequence + 1;
}

int events::take(void* self, void* data, std::size_t bytes) {
  auto* me = static_cast<events*>(self);
  const auto* head = static_cast<const tactus_event_head*>(data);
  if (bytes < sizeof(*head) || head->bytes != bytes) {
    ++me->malformed;
    return 0;
  }
  ++me->read;
  me->gap(head->sequence);
  if (head->type == TACTUS_EVENT_DECISION && bytes == sizeof(tactus_decision_event)) {
    if (me->on_decision_) me->on_decision_(*static_cast<const tactus_decision_event*>(data));
  } else if (head->type == TACTUS_EVENT_COMPLETION && bytes >= offsetof(tactus_completion_event, records)) {
    if (me->on_completion_) me->on_completion_(*static_cast<const tactus_completion_event*>(data));
  } else {
    ++me->malformed;
  }
  return 0;
}

}  // namespace tactus::vmtest
