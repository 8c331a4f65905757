// SPDX-License-Identifier: Apache-2.0
//
// What a pool is made with. Every member has a default; presets.hpp has sets.
//
//     tactus::pool pool({.name = "render", .workers = 4});
#ifndef TACTUS_OPTIONS_HPP
#define TACTUS_OPTIONS_HPP

#include "sizing.hpp"

#include <chrono>
#include <memory>
#include <string>

namespace tactus {

class observer;

struct pool_options {
  std::string name = "tactus";  // also the threads' name; up to 31 bytes
  unsigned workers = 0;         // 0: what workers_for(read_cpu_budget(), rounding) says
  // Up to how many workers resize() can go; threads are made for all of them. 0: `workers`.
  unsigned max_workers = 0;
  int spares = -1;              // parked workers for urgent classes; -1: min(workers, 4)
  bool register_with_agent = true;
  std::string agent_socket{};    // empty: $TACTUS_SOCKET, else the default of abi/registration.h
  // May a thread that is no worker run tasks while it is in pool::wait() or
  // task_group::wait()? (In parallel_for it always works on its own loop.)
  bool outside_threads_help = true;
  quota_rounding rounding = quota_rounding::nearest;
  // How long a worker that finds nothing looks around before it sleeps, at
  // least; negative: the library's choice (some us).
  std::chrono::microseconds look_around{-1};
  // Told of every task; observer.hpp. Null: costs nothing.
  std::shared_ptr<tactus::observer> observer{};
};

}  // namespace tactus

#endif
