// SPDX-License-Identifier: Apache-2.0
//
// The whole public interface of libtactus: pool, task classes, futures, groups.
// The contracts with kernel and agent are in abi/ and are not needed to use it.
#ifndef TACTUS_TACTUS_HPP
#define TACTUS_TACTUS_HPP

#include "future.hpp"
#include "pool.hpp"
#include "task_class.hpp"
#include "task_group.hpp"

#define TACTUS_VERSION_MAJOR 0
#define TACTUS_VERSION_MINOR 1

#endif
