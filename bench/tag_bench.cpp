// SPDX-License-Identifier: Apache-2.0
// tactus-bench tag: what tagging costs a worker per task, on the library's own tag_writer.
//
// The rows run what a worker runs around a task, around nothing: begin(tag), end(). Tasks of
// alternating classes cannot merge: each gets its tag store, one read of the counter and a record of
// its own. The benchmark plays the kernel and empties the ring. Every pass is checked: as many tasks
// in records and folds as were run. Does not: start threads, make system calls while it measures.
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "bench.h"
#include "tag_writer.h"

namespace tactus::bench {
namespace {

using detail::tag_writer;
using detail::tick_clock;

constexpr unsigned k_tasks = 200'000;
constexpr unsigned k_drain_every = TACTUS_RING_RECORDS / 2;  // tasks, so at most as many records
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

  bench_worker() : page(static_cast<tactus_tag_page*>(std::aligned_alloc(TACTUS_PAGE_BYTES, sizeof(tactus_tag_page)))) {
    if (!page) throw std::bad_alloc();
    std::memset(page.get(), 0, sizeof(tactus_tag_page));
    writer->init(page.get(), detail::process_clock());
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

// ns per task of body(worker, i), in stretches between which the ring is emptied (not timed).
template <class Body>
double ns_per_task(Body&& body, bool drains, bool counts_tasks = true) {
  bench_worker w;
  const tick_clock& clock = detail::process_clock();
  std::uint64_t ticks = 0;
  for (unsigned i = 0; i < k_tasks;) {
    const std::uint64_t begin = clock.read();
    for (unsigned n = 0; n < k_drain_every; ++n, ++i) {
      body(*w.writer, i);
      asm volatile("" ::: "memory");  // a task would be here
    }
    ticks += clock.read() - begin;
    if (drains) w.drain();
  }
  const unsigned run = (k_tasks + k_drain_every - 1) / k_drain_every * k_drain_every;
  if (counts_tasks) w.check(run);
  // Two reads per stretch are measured along; the bare read is a row of its own.
  return static_cast<double>(ticks) / clock.ticks_per_us * 1e3 / run;
}

double bare_read_ns() {
  const tick_clock& clock = detail::process_clock();
  std::uint64_t sum = 0;
  const std::uint64_t begin = clock.read();
  for (unsigned i = 0; i < k_tasks; ++i) {
    sum += clock.read();
    asm volatile("" ::: "memory");
  }
  const std::uint64_t end = clock.read();
  keep(sum);
  return static_cast<double>(end - begin) / clock.ticks_per_us * 1e3 / k_tasks;
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
  const __u64 dated[2] = {tactus_tag_make(1, TACTUS_PRIORITY_URGENT, 1ull << 20),
                          tactus_tag_make(1, TACTUS_PRIORITY_URGENT, 1ull << 21)};

  add("tag store and record, one counter read", [tags] {
    return ns_per_task([tags](tag_writer& w, unsigned i) {
      w.begin(tags[i & 1]);
      w.end(k_weight);
    }, true);
  }, k_record_target_ns, true);
  add("tag store and merged record", [tags] {
    return ns_per_task([tag = tags[0]](tag_writer& w, unsigned) {
      w.begin(tag);
      w.end(k_weight);
    }, true);
  }, k_merged_target_ns, false);
  add("tag store and merged record, each with its own deadline, one counter read", [dated] {
    return ns_per_task([dated](tag_writer& w, unsigned i) {
      w.begin(dated[i & 1]);
      w.end(k_weight, 0, ~0ull);
    }, true);
  }, 0, true);
  add("tag store and record, ring full (folded)", [tags] {
    return ns_per_task([tags](tag_writer& w, unsigned i) {
      w.begin(tags[i & 1]);
      w.end(k_weight);
    }, false);
  }, 0, false);
  add("submission counted", [] {
    return ns_per_task([](tag_writer& w, unsigned) { w.submitted(1, k_weight); }, false, false);
  }, 0, false);
  return out;
}

const registration tag{"tag", "tag store and completion record, per task", run};

}  // namespace
}  // namespace tactus::bench
