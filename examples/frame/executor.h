// SPDX-License-Identifier: Apache-2.0
// What the frame example needs of a thread pool: hand over one task of one class.
//
// The game is written against this, so that tests can run it on a plain thread and the benchmark
// can run the same load on other pools. tactus_executor.cpp is the one that uses libtactus.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

namespace tactus::frame {

// The task classes of the game, in the order of every table and JSON object.
enum class task_kind : std::uint8_t { audio, physics, path, loading };
inline constexpr unsigned k_task_kinds = 4;
inline constexpr std::array<const char*, k_task_kinds> k_task_names{"audio", "physics", "path", "loading"};
constexpr unsigned index_of(task_kind kind) { return static_cast<unsigned>(kind); }

// What a class is to the scheduler; the meaning of priority is that of tactus::task_class.
struct class_attributes {
  int priority = 1;             // 0 background .. 3 urgent
  unsigned weight = 1;          // in the cost, 1..255
  std::int64_t deadline_ns = 0; // relative to when it is due; 0 = none
};

class game;

// One submitted task. Plain data: copied into the pool's queue.
struct task {
  game* owner;
  std::uint64_t argument;     // which input, meaning depends on the kind
  std::int64_t due_ns;        // CLOCK_MONOTONIC; when it should have been submitted
  std::int64_t submitted_ns;  // .. when it was
  task_kind kind;

  void run() const;  // defined by the game
};

class executor {
 public:
  virtual ~executor() = default;
  // Runs `t.run()` some time, in any thread, but not before this returns in the calling thread
  // (loading submits its next task from the task before). Any thread may call it, workers too.
  virtual void submit(const task& t) = 0;
  virtual unsigned workers() const = 0;
  virtual const char* name() const = 0;
};

// libtactus with one task_class per kind. workers 0: the pool's own choice.
std::unique_ptr<executor> make_tactus_executor(unsigned workers,
                                               const std::array<class_attributes, k_task_kinds>& classes);

}  // namespace tactus::frame
