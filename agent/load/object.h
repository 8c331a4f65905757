// SPDX-License-Identifier: Apache-2.0
//
// The scheduler object that was built with this program and is part of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace tactus::load {

// The object's bytes; valid for the life of the process.
struct object_bytes {
  const unsigned char* data = nullptr;
  std::size_t size = 0;
};
object_bytes embedded_object();

// The object of a file, kept for the life of the process; empty when it cannot be read.
object_bytes object_of_file(const std::string& file);

// FNV-1a of the bytes, as text: tells whether a loaded scheduler came from this object.
std::string fingerprint(const object_bytes& object);

}  // namespace tactus::load
