// SPDX-License-Identifier: Apache-2.0
//
// What the VM tests share: the pinned maps, pools and rows made directly (no agent, no library),
// and one line per assertion.
//
// Relies on: root in a VM, a scheduler loaded by `tactus load`, libbpf. The tests take the agent's
// place: they write registrations, rows and the heartbeat themselves, so that what they show is the
// kernel side alone, and hostile values reach it unfiltered.
// Does not: load or unload; scripts do, by the command `tactus`.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <tactus/abi/decision_map.h>
#include <tactus/abi/event.h>
#include <tactus/abi/tag_page.h>

struct ring_buffer;

namespace tactus::vmtest {

// ---- assertions ----------------------------------------------------------------------------

// Prints "ok    TEXT" or "FAIL  TEXT" and remembers. Any thread.
bool expect(bool holds, const char* format, ...) __attribute__((format(printf, 2, 3)));
// Prints "      TEXT": something measured.
void note(const char* format, ...) __attribute__((format(printf, 1, 2)));
// Ends the program with code 2: the test could not be made.
[[noreturn]] void give_up(const char* format, ...) __attribute__((format(printf, 1, 2)));
// 0 when nothing failed, else 1; prints the counts.
int finish();

// ---- time and threads ------------------------------------------------------------------------

std::uint64_t now_ns();
void sleep_ns(std::uint64_t ns);
// Sleeps to a point in time; returns by how much it was late.
std::uint64_t sleep_until(std::uint64_t when_ns);
std::uint64_t cpu_time_ns(int tid);  // of any thread of this process
// Spins until this thread has used so much CPU time.
void burn_cpu_ns(std::uint64_t ns);
int this_tid();
unsigned nr_cpus();
// This thread becomes real-time, so that a crowd of test threads cannot delay what it measures;
// threads that it starts are normal ones.
void become_realtime();

std::string read_file(const std::string& path);
bool write_file(const std::string& path, const std::string& text);
bool scheduler_enabled();  // ours runs
// Runs a command of the shell, returns its exit code.
int run(const std::string& command);

// Values above which a share of the samples lies; sorts them. Empty: 0.
std::uint64_t percentile(std::vector<std::uint64_t>& samples, double share);

// ---- maps ------------------------------------------------------------------------------------

// A distribution over places; what is missing to 1 is hold.
struct distribution {
  std::array<double, TACTUS_MAX_PLACES> place{};
  static distribution all_on(unsigned place);
  static distribution hold();
};
// Exactly what the scheduler samples from.
tactus_row make_row(const distribution& d, unsigned version, double confidence = 1.0, unsigned slice_10us = 0);

// The pinned maps, open and mapped. One object per test; not thread-safe but for what is
// volatile memory (control, rows, classes, domains).
class maps {
 public:
  maps();
  ~maps();
  maps(const maps&) = delete;
  maps& operator=(const maps&) = delete;

  volatile tactus_control* control;
  tactus_row* rows;             // TACTUS_NR_ROWS
  tactus_class_conf* classes;   // 2 * TACTUS_MAX_SLOTS
  volatile tactus_domain* domains;
  volatile tactus_pool_state* pool_state;

  tactus_stats stats() const;  // sum over CPUs
  tactus_place place(unsigned i) const;
  unsigned nr_places() const;

  // In both banks and every situation.
  void set_rows(unsigned slot, const distribution& d, double confidence = 1.0, unsigned slice_10us = 0);
  void set_class(unsigned slot, bool in_use, const std::array<std::uint8_t, TACTUS_MAX_PLACES>& tier = {});
  // Learned mode, an agent that has just beaten, or will beat for an hour to come.
  void agent_alive(bool for_an_hour = true);
  void agent_dead();

  int pools_fd() const { return pools_; }
  int workers_fd() const { return workers_; }

 private:
  int control_ = -1, rows_ = -1, classes_ = -1, domains_ = -1, pool_state_ = -1, stats_ = -1, places_ = -1,
      pools_ = -1, workers_ = -1;
};

// A pool registered with the scheduler: shared pages, an entry of tactus_pools, uptrs. Local class c
// has slot c. The pages are of this process, so everything a hostile pool could write can be written.
class test_pool {
 public:
  test_pool(maps& m, unsigned index, unsigned nr_workers, unsigned home_domain = 0);
  ~test_pool();  // forgets the threads and the entry
  test_pool(const test_pool&) = delete;
  test_pool& operator=(const test_pool&) = delete;

  // Makes a thread of this process worker `worker`; it counts from its next sleep or end of slice on.
  void adopt(int tid, unsigned worker);
  void forget(int tid);
  tactus_tag_page& page(unsigned worker) { return pages_[1 + worker]; }
  tactus_pool_page& pool_page() { return *reinterpret_cast<tactus_pool_page*>(pages_); }
  void set_tag(unsigned worker, unsigned local_class, unsigned priority = TACTUS_PRIORITY_NORMAL, std::uint64_t deadline_ns = 0);
  unsigned index() const { return index_; }
  unsigned nr_workers() const { return nr_workers_; }

 private:
  maps& maps_;
  unsigned index_, nr_workers_;
  tactus_tag_page* pages_ = nullptr;
  std::vector<int> pidfds_, tids_;
};

// Appends one record as a worker does; folds when the ring is full.
void record(tactus_tag_page& page, unsigned local_class, unsigned count, std::uint64_t run_ns);

// A thread with a loop body; it ends when stop() was called. `body` is called until then.
class looping_thread {
 public:
  // prepare runs once, in the thread, before the constructor returns.
  explicit looping_thread(std::function<void()> body, std::function<void()> prepare = {});
  ~looping_thread() { stop(); }
  looping_thread(looping_thread&&) = delete;
  void stop();
  int tid() const { return tid_; }

 private:
  std::atomic<bool> stop_{false};
  std::atomic<int> ready_{0};
  int tid_ = 0;
  std::thread thread_;
};

// ---- events ----------------------------------------------------------------------------------

// Reads the ring of domain 0 as the agent would.
class events {
 public:
  using decision_fn = std::function<void(const tactus_decision_event&)>;
  using completion_fn = std::function<void(const tactus_completion_event&)>;
  events(decision_fn on_decision, completion_fn on_completion);
  ~events();
  events(const events&) = delete;
  events& operator=(const events&) = delete;

  void drain();
  std::uint64_t read = 0;      // events
  std::uint64_t missing = 0;   // events that sequence gaps tell of
  std::uint64_t reordered = 0; // events that came later than a younger one
  std::uint64_t malformed = 0;

 private:
  static int take(void* self, void* data, std::size_t bytes);
  void gap(std::uint64_t sequence);
  decision_fn on_decision_;
  completion_fn on_completion_;
  int fd_ = -1;
  ring_buffer* ring_ = nullptr;
  bool first_ = true;
  std::uint64_t next_ = 0;
};

}  // namespace tactus::vmtest
