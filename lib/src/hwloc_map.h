// SPDX-License-Identifier: Apache-2.0
//
// The map of CPUs by hwloc, which knows quirks of machines that sysfs does not tell, and
// takes a description of the machine from its environment (HWLOC_XMLFILE with
// HWLOC_THISSYSTEM=1) where one is given.
//
// hwloc is opened when it is asked for and closed afterwards: the library neither links
// nor installs it, and does without where it is absent at build or at run time. Opening
// and reading take 2 to 5 ms, many times what making a pool takes, hence on request only;
// and in the thread that asks: another thread that opens a library would wait for one
// that unloads a plug-in, which may wait for the pool in it to end.
#ifndef TACTUS_SRC_HWLOC_MAP_H
#define TACTUS_SRC_HWLOC_MAP_H

#include "cpu_map.h"

#include <string>

namespace tactus::detail {

inline constexpr const char* k_hwloc_library = "libhwloc.so.15";  // 15: the ABI of hwloc 2

// Another machine than this one, for tests: in hwloc's synthetic notation, or as XML (starts with '<').
// An empty map: no such library, it failed, or its environment describes some other machine.
// Thread-safe; throws std::bad_alloc.
cpu_map read_by_hwloc(const std::string& machine = {}, const char* library = k_hwloc_library);

}  // namespace tactus::detail

#endif
