// SPDX-License-Identifier: Apache-2.0
// tactus-bench tag: what tagging costs a worker per task, on the library's own tag_writer.
//
// The rows run what a worker runs around a task, around nothing: begin(tag), end(). "Long tasks" are
// tasks above the length from which records do not merge: told to the writer by a threshold of zero, so
// that each empty task takes the path of a long one: a tag store, one read of the counter, a record.
// Tasks of alternating classes cannot merge either. The benchmark plays the kernel and empties the ring.
// Every pass is checked: as many tasks in records and folds as were run.
// Does not: start threads, make system calls while it measures.
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "bench.h"
#include "statistics.h"
#include "tag_writer.h"

namespace tactus::bench {
namespace {

using detail::tag_writer;
using detail::tick_clock;

constexpr unsigned k_stretches = 2000;
constexpr unsigned k_stretch = TACTUS_RING_RECORDS / 2;  // tasks, so at most as many records
constexpr double k_record_target_ns = 12, k_merged_target_ns = 2;
constexpr unsigned k_weight = 4;

struct page_free {
  void operator()(tactus_tag_page* page) const { std::free(page); }
};

// A worker's page and writer, and the part of the kernel: takes records out of the ring.
struct bench_worker {
  std::unique_ptr<tactus_tag_page, page_free> page;
  std::unique_ptr<tag_writer> writer = std::make_unique<tag_writer>();
  std::uint64_t taken = 0;  // tasks seen in records

  explicit bench_worker(const tick_clock& clock)
      : page(static_cast<tactus_tag_page*>(std::aligned_alloc(TACTUS_PAGE_BYTES, sizeof(tactus_tag_page)))) {
    if (!page) throw std::bad_alloc();
    std::memset(page.get(), 0, sizeof(tactus_tag_page));
    writer->init(page.get(), clock);
  }
  void drain() {
    for (; page->tail != page->head; ++page->tail) taken += page->ring[page->tail % TACTUS_RING_RECORDS].count;
  }
  // Throws unless each of `tasks` is in a record or a fold, and the counter says so too.
  void check(std::uint64_t tasks) {
    writer->park();
    drain();
    std::uint64_t folded = 0, finished = 0;
    for (unsigned c = 0; c < TACTUS_MAX_LOCAL_CLASSES; ++c) {
      folded += page->fold[c].count;
      finished += page->finished[c];
    }
    if (taken + folded != tasks || finished != tasks)
      throw std::runtime_error("tag writer lost tasks: " + std::to_string(tasks) + " run, " + std::to_string(taken) +
                               " in records, " + std::to_string(folded) + " folded, " + std::to_string(finished) +
                               " counted");
  }
};

__u64 tag_of(unsigned local_class) { return tactus_tag_make(local_class, TACTUS_PRIORITY_NORMAL, 0); }

// ns per task: the median over stretches of one ring's worth of tasks each. Short stretches, since on
// a busy machine the kernel takes the CPU away for milliseconds, which falls into few of them.
double ns_per_task(const std::vector<double>& stretch_ticks) {
  return quantile_of(stretch_ticks, 0.5) / detail::process_clock().ticks_per_us * 1e3 / k_stretch;
}

// Runs body(writer, i) for every task; between stretches the ring is emptied (not timed) or left full.
template <class Body>
double tasks_ns(Body&& body, bool drains, bool counts_tasks = true, bool long_tasks = false) {
  const tick_clock& clock = detail::process_clock();
  tick_clock told = clock;
  if (long_tasks) told.ticks_per_us = 0;
  bench_worker w(told);
  std::vector<double> ticks;
  for (unsigned i = 0; i < k_stretches * k_stretch;) {
    const std::uint64_t begin = clock.read();
    for (unsigned n = 0; n < k_stretch; ++n, ++i) {
      body(*w.writer, i);
      asm volatile("" ::: "memory");  // a task would be here
    }
    ticks.push_back(static_cast<double>(clock.read() - begin));
    if (drains) w.drain();
  }
  if (counts_tasks) w.check(k_stretches * k_stretch);
  return ns_per_task(ticks);
}

double bare_read_ns() {
  const tick_clock& clock = detail::process_clock();
  std::vector<double> ticks;
  std::uint64_t sum = 0;
  for (unsigned s = 0; s < k_stretches; ++s) {
    const std::uint64_t begin = clock.read();
    for (unsigned n = 0; n < k_stretch; ++n) {
      sum += clock.read();
      asm volatile("" ::: "memory");
    }
    ticks.push_back(static_cast<double>(clock.read() - begin));
  }
  keep(sum);
  return ns_per_task(ticks);
}

result run(const settings& set) {
  const tick_clock& clock = detail::process_clock();
  if (!clock.reads_tsc)
    throw unavailable("the kernel's clocksource is not the time-stamp counter "
                      "(see /sys/devices/system/clocksource/clocksource0); run it on hardware that has an invariant one");
  result out;
  const unsigned reps = set.repetitions(201, 101);
  const auto add = [&](const char* name, std::function<double()> measure, double target, bool with_read) {
    std::vector<arm> arms{{"tactus", std::move(measure)}};
    if (with_read) arms.push_back({"one counter read", bare_read_ns});
    out.rows.push_back(interleave(set, name, "ns per task", std::move(arms), reps));
    if (target > 0) out.rows.back().target = target;
  };
  const __u64 tags[2] = {tag_of(1), tag_of(2)};
  // Tags of one class that differ, so that each is stored.
  const __u64 same[2] = {tag_of(1), tactus_tag_make(1, TACTUS_PRIORITY_HIGH, 0)};
  const __u64 dated[2] = {tactus_tag_make(1, TACTUS_PRIORITY_URGENT, 1ull << 20),
                          tactus_tag_make(1, TACTUS_PRIORITY_URGENT, 1ull << 21)};

  add("tag store and record, long tasks of one class, one counter read", [same] {
    return tasks_ns([same](tag_writer& w, unsigned i) {
      w.begin(same[i & 1]);
      w.end(k_weight);
    }, true, true, true);
  }, k_record_target_ns, true);
  add("tag store and record, alternating classes, one counter read", [tags] {
    return tasks_ns([tags](tag_writer& w, unsigned i) {
      w.begin(tags[i & 1]);
      w.end(k_weight);
    }, true);
  }, k_record_target_ns, true);
  add("tag store and merged record", [tags] {
    return tasks_ns([tag = tags[0]](tag_writer& w, unsigned) {
      w.begin(tag);
      w.end(k_weight);
    }, true);
  }, k_merged_target_ns, false);
  add("tag store and merged record, each with its own deadline, one counter read", [dated] {
    return tasks_ns([dated](tag_writer& w, unsigned i) {
      w.begin(dated[i & 1]);
      w.end(k_weight, 0, ~0ull);
    }, true);
  }, 0, true);
  add("tag store and record, ring full (folded)", [tags] {
    return tasks_ns([tags](tag_writer& w, unsigned i) {
      w.begin(tags[i & 1]);
      w.end(k_weight);
    }, false);
  }, 0, false);
  add("submission counted", [] {
    return tasks_ns([](tag_writer& w, unsigned) { w.submitted(1, k_weight); }, false, false);
  }, 0, false);
  return out;
}

const registration tag{"tag", "tag store and completion record, per task", run};

}  // namespace
}  // namespace tactus::bench
