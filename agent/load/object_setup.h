// SPDX-License-Identifier: Apache-2.0
//
// What is set in the scheduler object between opening and loading it.
#pragma once

#include <string>

#include "agent/load/loader.h"

struct bpf_object;

namespace tactus::load {

// Sets the ops flags (--partial), ops.hotplug_seq and the read-only variables tactus_partial and
// tactus_fallback_only. Throws load_error(object_rejected) when the object lacks one of them.
// The rings' template keeps its size: the kernel lets rings of any size into tactus_rings.
void prepare_object(bpf_object* object, const host& where, const load_options& options, const std::string& hotplug_seq);

}  // namespace tactus::load
