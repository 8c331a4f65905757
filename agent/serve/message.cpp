// SPDX-License-Identifier: Apache-2.0
//
// message.h's implementation. Copies out of the buffer first: nothing is read twice.
#include "agent/serve/message.h"

#include "agent/serve/class_slots.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace tactus::agent {
namespace {

message malformed(std::string text) { return message_error{TACTUS_REFUSED_MALFORMED, std::move(text)}; }

message parse_workers(const void* data, std::size_t bytes, bool hello) {
  if (bytes < offsetof(tactus_msg_workers, tid) || bytes > sizeof(tactus_msg_workers)) {
    return malformed(fmt::format("a workers message of {} bytes", bytes));
  }
  tactus_msg_workers m{};
  std::memcpy(&m, data, bytes);
  message_workers out;
  out.hello = hello;
  out.nr_workers_total = m.nr_workers_total;
  out.first_worker = m.first_worker;
  out.nr_here = m.nr_here;
  if (m.nr_workers_total == 0 || m.nr_workers_total > TACTUS_MAX_WORKERS) {
    return malformed(fmt::format("{} workers; 1 to {} are possible", m.nr_workers_total, static_cast<int>(TACTUS_MAX_WORKERS)));
  }
  if (m.nr_here > TACTUS_FDS_PER_MESSAGE || m.first_worker > m.nr_workers_total ||
      m.nr_here > m.nr_workers_total - m.first_worker || (!hello && m.nr_here == 0)) {
    return malformed(fmt::format("workers {}+{} of {}", m.first_worker, m.nr_here, m.nr_workers_total));
  }
  out.pool_name = clean_name(m.pool_name, sizeof(m.pool_name), "pool");
  return out;
}

message parse_classes(const void* data, std::size_t bytes) {
  constexpr std::size_t k_fixed = offsetof(tactus_msg_classes, classes);
  std::uint32_t n = 0;
  if (bytes < k_fixed) return malformed(fmt::format("a classes message of {} bytes", bytes));
  std::memcpy(&n, static_cast<const char*>(data) + offsetof(tactus_msg_classes, nr_classes), sizeof(n));
  if (n > TACTUS_CLASSES_PER_MESSAGE || bytes < k_fixed + n * sizeof(tactus_class_desc) ||
      bytes > sizeof(tactus_msg_classes)) {
    return malformed(fmt::format("{} classes in {} bytes", n, bytes));
  }
  message_classes out;
  out.classes.resize(n);
  if (n != 0) std::memcpy(out.classes.data(), static_cast<const char*>(data) + k_fixed, n * sizeof(tactus_class_desc));
  for (auto& c : out.classes) {
    if (c.local_class == 0 || c.local_class >= TACTUS_MAX_LOCAL_CLASSES) {
      return malformed(fmt::format("local class {}", c.local_class));
    }
    c.weight = std::max<std::uint8_t>(c.weight, 1);
    c.priority = std::min<std::uint8_t>(c.priority, 3);
  }
  return out;
}

}  // namespace

message parse_message(const void* data, std::size_t bytes) {
  tactus_msg_head head{};
  if (bytes < sizeof(head) || bytes > k_largest_message) return malformed(fmt::format("a message of {} bytes", bytes));
  std::memcpy(&head, data, sizeof(head));
  if (head.magic != TACTUS_MAGIC) return malformed("no Tactus message (magic)");
  if (head.abi_version != TACTUS_ABI_VERSION) {
    return message_error{TACTUS_REFUSED_ABI, fmt::format("the library has ABI version {}, the agent {}; use the same release",
                                                         head.abi_version, TACTUS_ABI_VERSION)};
  }
  if (head.bytes != bytes) return malformed(fmt::format("{} bytes that say {}", bytes, head.bytes));
  switch (head.type) {
    case TACTUS_MSG_HELLO: return parse_workers(data, bytes, true);
    case TACTUS_MSG_WORKERS: return parse_workers(data, bytes, false);
    case TACTUS_MSG_CLASSES: return parse_classes(data, bytes);
    case TACTUS_MSG_MAPPED: return message_mapped{};
    default: return malformed(fmt::format("message type {}", head.type));
  }
}

void fill_head(tactus_msg_head& head, tactus_message_type type, std::size_t bytes) {
  head = {};
  head.magic = TACTUS_MAGIC;
  head.type = static_cast<__u16>(type);
  head.abi_version = TACTUS_ABI_VERSION;
  head.bytes = static_cast<__u32>(bytes);
}

}  // namespace tactus::agent
