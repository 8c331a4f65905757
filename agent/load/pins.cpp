// SPDX-License-Identifier: Apache-2.0
#include "agent/load/pins.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

namespace fs = std::filesystem;

namespace tactus::load {
namespace {

constexpr std::array<std::string_view, 13> k_kept = {
    "tactus_control", "tactus_rows",  "tactus_classes", "tactus_pools", "tactus_pool_state",
    "tactus_cpus",    "tactus_places", "tactus_domains", "tactus_stats", "tactus_exit",
    "tactus_workers", "tactus_rings", "tactus_ring"};

// Reading is for the group as well, changing for the loader alone.
[[noreturn]] void no_rights(const std::string& doing, const fs::path& path, int error, bool reading = false) {
  throw load_error(exit_code::no_rights, fmt::format("cannot {} {}: {}", doing, path.string(), std::strerror(error)),
                   reading ? "next: sudo, or become a member of the group 'tactus'" : "next: run it as root (sudo)");
}

load_error abi_error(const host& where, const std::string& what) {
  return load_error(exit_code::other_abi, fmt::format("{} in {}", what, where.pins.string()),
                    "next: stop tactusd, then: sudo tactus unload --all && sudo tactus load "
                    "(registrations are made anew, checkpoints stay)");
}

}  // namespace

bool is_kept(const std::string& map_name) {
  return std::find(k_kept.begin(), k_kept.end(), map_name) != k_kept.end();
}

unique_fd open_pinned(const host& where, const std::string& name, bool read_only) {
  const fs::path path = where.pins / name;
  LIBBPF_OPTS(bpf_obj_get_opts, options);
  options.file_flags = read_only ? BPF_F_RDONLY : 0;
  unique_fd fd(bpf_obj_get_opts(path.c_str(), &options));
  if (fd) return fd;
  const int error = errno;
  if (error == EACCES || error == EPERM) no_rights("open", path, error, true);
  throw load_error(exit_code::not_loaded,
                   fmt::format("no map {} ({}): the scheduler was never loaded here", path.string(), std::strerror(error)),
                   "next: sudo tactus load (or: tactus doctor)");
}

bool pin_exists(const host& where, const std::string& name) {
  const fs::path path = where.pins / name;
  struct stat info;
  if (lstat(path.c_str(), &info) == 0) return true;
  if (errno == EACCES || errno == EPERM) no_rights("look at", path, errno, true);
  return false;
}

std::optional<std::uint32_t> pinned_abi(const host& where) {
  if (!pin_exists(where, "tactus_control")) return std::nullopt;
  const unique_fd fd = open_pinned(where, "tactus_control", true);
  bpf_map_info info{};
  __u32 size = sizeof(info);
  if (bpf_map_get_info_by_fd(fd.get(), &info, &size) || info.value_size < sizeof(std::uint32_t))
    throw abi_error(where, "tactus_control is not a map of ours");
  std::vector<char> value((info.value_size + 7) / 8 * 8);
  const std::uint32_t key = 0;
  if (bpf_map_lookup_elem(fd.get(), &key, value.data())) throw abi_error(where, "tactus_control cannot be read");
  std::uint32_t version = 0;
  std::memcpy(&version, value.data(), sizeof(version));  // first word in every version of the ABI
  return version ? std::optional<std::uint32_t>(version) : std::nullopt;
}

void require_same_abi(const host& where) {
  const auto version = pinned_abi(where);
  if (version && *version != TACTUS_ABI_VERSION)
    throw abi_error(where, fmt::format("maps of ABI version {}, this program has {},", *version,
                                       static_cast<unsigned>(TACTUS_ABI_VERSION)));
}

void require_same_shape(int fd, const bpf_map* wanted, const std::string& name) {
  bpf_map_info info{};
  __u32 size = sizeof(info);
  const bool same = bpf_map_get_info_by_fd(fd, &info, &size) == 0 && info.type == bpf_map__type(wanted) &&
                    info.key_size == bpf_map__key_size(wanted) && info.value_size == bpf_map__value_size(wanted) &&
                    info.max_entries == bpf_map__max_entries(wanted) && info.map_flags == bpf_map__map_flags(wanted);
  if (!same)
    throw load_error(exit_code::other_abi, fmt::format("pinned map {} has another shape than this program's", name),
                     "next: stop tactusd, then: sudo tactus unload --all && sudo tactus load");
}

pin_lock::pin_lock(const host& where) : folder_(::open(where.pins.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  while (folder_ && flock(folder_.get(), LOCK_EX) && errno == EINTR) {
  }
}

gid_t pin_group() {
  const group* entry = getgrnam("tactus");
  return entry ? entry->gr_gid : static_cast<gid_t>(-1);
}

void make_pin_folder(const host& where) {
  if (mkdir(where.pins.c_str(), k_dir_mode) && errno != EEXIST) no_rights("make the folder", where.pins, errno);
  // Another loader's folder (or ours as another user) is left as it is where it cannot be changed.
  if (chown(where.pins.c_str(), static_cast<uid_t>(-1), pin_group()) == 0 || errno == EPERM)
    (void)!chmod(where.pins.c_str(), k_dir_mode);
}

void pin(const host& where, int fd, const std::string& name, mode_t mode) {
  const fs::path path = where.pins / name;
  unpin(where, name);
  if (bpf_obj_pin(fd, path.c_str())) no_rights("pin", path, errno);
  if (chmod(path.c_str(), mode)) no_rights("set the mode of", path, errno);
  if (mode & 0060) (void)!chown(path.c_str(), static_cast<uid_t>(-1), pin_group());
}

std::vector<std::string> pin_names(const host& where) {
  std::vector<std::string> names;
  std::error_code error;
  fs::directory_iterator it(where.pins, error);
  if (error == std::errc::permission_denied) no_rights("read the folder", where.pins, EACCES, true);
  for (; !error && it != fs::directory_iterator(); it.increment(error)) {
    std::string name = it->path().filename().string();
    if (name.compare(0, 7, "tactus_") == 0) names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end());
  return names;
}

bool unpin(const host& where, const std::string& name) {
  const fs::path path = where.pins / name;
  if (unlink(path.c_str()) == 0) return true;
  if (errno == ENOENT) return false;
  no_rights("remove", path, errno);
}

}  // namespace tactus::load
