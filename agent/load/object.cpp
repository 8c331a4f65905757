// SPDX-License-Identifier: Apache-2.0
#include "agent/load/object.h"

#include <fmt/format.h>

#include "agent/sense/files.h"

extern "C" const unsigned char tactus_embedded_object[], tactus_embedded_object_end[];

namespace tactus::load {

object_bytes embedded_object() {
  return {tactus_embedded_object, static_cast<std::size_t>(tactus_embedded_object_end - tactus_embedded_object)};
}

object_bytes object_of_file(const std::string& file) {
  static std::string content;
  content = sense::read_text(file, 64 << 20).value_or("");
  return {reinterpret_cast<const unsigned char*>(content.data()), content.size()};
}

std::string fingerprint(const object_bytes& object) {
  std::uint64_t hash = 0xcbf29ce484222325ull;
  for (std::size_t i = 0; i < object.size; ++i) hash = (hash ^ object.data[i]) * 0x100000001b3ull;
  return fmt::format("{:016x}", hash);
}

}  // namespace tactus::load
