// SPDX-License-Identifier: Apache-2.0
//
// Finding our control group; see cgroup.h.
#include "cgroup.h"

#include <fstream>
#include <sstream>

namespace tactus::detail {
namespace {

bool has_word(std::string_view list, std::string_view word) {
  while (!list.empty()) {
    const auto comma = list.find(',');
    if (list.substr(0, comma) == word) return true;
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 1);
  }
  return false;
}

// mountinfo writes blanks and the like as \040.
std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace

std::optional<group_location> locate_group(const std::string& root, std::string_view controller) {
  std::string v1_path, v2_path;
  bool in_v1 = false, in_v2 = false;
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {  // 4:cpu,cpuacct:/path
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string_view controllers(line.data() + first + 1, second - first - 1);
    if (controllers.empty() && line.starts_with("0:")) {
      in_v2 = true;
      v2_path = line.substr(second + 1);
    } else if (has_word(controllers, controller)) {
      in_v1 = true;
      v1_path = line.substr(second + 1);
    }
  }
  std::ifstream mounts(root + "/proc/self/mountinfo");
  std::optional<group_location> v2;
  for (std::string line; std::getline(mounts, line);) {
    // id parent major:minor root mount-point options [optional...] - type source super-options
    std::istringstream words(line);
    std::string skip, group_root, point, word, type, source, super;
    if (!(words >> skip >> skip >> skip >> group_root >> point)) continue;
    while (words >> word && word != "-") {
    }
    if (!(words >> type >> source >> super)) continue;
    const bool is_v1 = type == "cgroup" && in_v1 && has_word(super, controller);
    const bool is_v2 = type == "cgroup2" && in_v2;
    if (!is_v1 && !is_v2) continue;
    group_location found{root + unescape(point), is_v1 ? v1_path : v2_path, is_v2};
    group_root = unescape(group_root);
    if (group_root != "/") {
      if (found.group == group_root || found.group.starts_with(group_root + "/"))
        found.group.erase(0, group_root.size());
      else
        found.group.clear();  // another name space's path: our group is the mount's root
    }
    if (found.group == "/" || found.group.starts_with("/..")) found.group.clear();
    if (is_v1) return found;
    if (!v2) v2 = std::move(found);
  }
  return v2;
}

}  // namespace tactus::detail
