// SPDX-License-Identifier: Apache-2.0
//
// The whole public interface of libtactus: pool, task classes, futures, groups,
// fork-join, timers, sizing, presets, observers.
// The contracts with kernel and agent are in abi/ and are not needed to use it.
#ifndef TACTUS_TACTUS_HPP
#define TACTUS_TACTUS_HPP

#include "chain.hpp"
#include "fork_join.hpp"
#include "future.hpp"
#include "isolated_group.hpp"
#include "observer.hpp"
#include "pool.hpp"
#include "presets.hpp"
#include "sizing.hpp"
#include "stoppable.hpp"
#include "task_class.hpp"
#include "task_group.hpp"
#include "timer.hpp"

#define TACTUS_VERSION_MAJOR 0
#define TACTUS_VERSION_MINOR 1
#define TACTUS_VERSION_PATCH 0

#endif
