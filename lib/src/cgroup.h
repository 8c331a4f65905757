// SPDX-License-Identifier: Apache-2.0
//
// Where the files of our control group are: /proc/self/cgroup names the group,
// /proc/self/mountinfo where its hierarchy is mounted and which group is the root
// of that mount (a container sees its own group mounted at the top).
#ifndef TACTUS_SRC_CGROUP_H
#define TACTUS_SRC_CGROUP_H

#include <optional>
#include <string>
#include <string_view>

namespace tactus::detail {

// Where the hierarchy with a controller is, and our group in it.
struct group_location {
  std::string mount;  // with the root in front
  std::string group;  // "" or "/a/b", relative to the mount
  bool unified = false;
};

// Our group for a controller: in the v1 hierarchy that has it, else in v2; nothing
// where there is neither. root: in front of every path, "" for this machine.
std::optional<group_location> locate_group(const std::string& root, std::string_view controller);

}  // namespace tactus::detail

#endif
