// SPDX-License-Identifier: Apache-2.0
//
// The pinned maps: opening, comparing, pinning, removing. Used by the loader
// (which writes) and by `tactus status` and `explain` (which only read).
//
// Relies on: file permissions of the bpf file system; no capability to open.
// Does not: know what is in the maps, but for the ABI version.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

#include "agent/load/checks.h"
#include "agent/publish/unique_fd.h"

struct bpf_map;

namespace tactus::load {

using agent::unique_fd;

inline constexpr char k_link_pin[] = "tactus_link";
inline constexpr mode_t k_dir_mode = 0750, k_map_mode = 0660, k_link_mode = 0600;

// Maps that live on over a reload: the contracts of abi/decision_map.h, rings and registrations.
// All others (timers, scratch, queue depths ...) are made anew with every load.
bool is_kept(const std::string& map_name);

// Opens a pinned map. Throws load_error: not_loaded (no such pin) or no_rights, with the path.
unique_fd open_pinned(const host& where, const std::string& name, bool read_only);

// True when the pin is there (or cannot be looked at for lack of rights: then throws no_rights).
bool pin_exists(const host& where, const std::string& name);

// The ABI version of the pinned maps; nothing where there are none. 0 is what a loader that died
// half-way leaves; it counts as none.
std::optional<std::uint32_t> pinned_abi(const host& where);

// Throws load_error(other_abi) when maps of another ABI are pinned.
void require_same_abi(const host& where);

// Throws load_error(other_abi) unless the pinned map `fd` has the type and sizes of `wanted`.
void require_same_shape(int fd, const bpf_map* wanted, const std::string& name);

// Who gets the pins: the group `tactus` where it exists, else root's. Values for chown.
gid_t pin_group();

// Keeps other loaders out while it lives: one load or unload at a time. Waits for the one at work.
// Nothing is locked where there is no folder yet.
class pin_lock {
 public:
  explicit pin_lock(const host& where);

 private:
  unique_fd folder_;
};

// Makes the folder with its mode and group. Throws load_error(no_rights).
void make_pin_folder(const host& where);

// Pins an object under name with mode and group, replacing a pin that is there.
void pin(const host& where, int fd, const std::string& name, mode_t mode);

// Names of all pins in the folder; empty when it is not there.
std::vector<std::string> pin_names(const host& where);

// Removes one pin; false when it was not there. Throws load_error(no_rights).
bool unpin(const host& where, const std::string& name);

}  // namespace tactus::load
