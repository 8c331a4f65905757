// SPDX-License-Identifier: Apache-2.0
//
// The scheduler's maps through their pins in bpffs, opened by file permission alone: the agent
// has no capability. Relies on libbpf for the calls and the ring buffers.
// It never creates, pins or unpins anything; that is the loader's.
#pragma once

#include "agent/publish/scheduler_maps.h"

#include <memory>
#include <string>

namespace tactus::agent {

// Opens the maps pinned in `folder`. Throws maps_error: absent (not loaded yet: try again),
// rights (the text says which file and what to do), abi (other version), damaged (sizes differ).
std::unique_ptr<scheduler_maps> open_bpf_maps(const std::string& folder);

}  // namespace tactus::agent
