// SPDX-License-Identifier: Apache-2.0
//
// Bytes from a registration socket to checked values. Everything here is hostile input: any bytes
// give either a message whose numbers are in range or a reason. Pure functions, no state.
#pragma once

#include <tactus/abi/registration.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace tactus::agent {

inline constexpr std::size_t k_largest_message = 8192;
static_assert(sizeof(tactus_msg_classes) <= k_largest_message && sizeof(tactus_msg_workers) <= k_largest_message);

struct message_error {
  tactus_refusal reason = TACTUS_REFUSED_MALFORMED;
  std::string text;
};

// HELLO or WORKERS.
struct message_workers {
  bool hello = false;
  std::uint32_t nr_workers_total = 0;  // 1 .. TACTUS_MAX_WORKERS
  std::uint32_t first_worker = 0;
  std::uint32_t nr_here = 0;           // as many pidfds must ride along; first + here <= total
  std::string pool_name;
};

struct message_classes {
  std::vector<tactus_class_desc> classes;  // local_class 1..63, weight >= 1
};

struct message_mapped {};

using message = std::variant<message_error, message_workers, message_classes, message_mapped>;

// `bytes` is what one recvmsg gave.
message parse_message(const void* data, std::size_t bytes);

// Fills the head of an answer.
void fill_head(tactus_msg_head& head, tactus_message_type type, std::size_t bytes);

}  // namespace tactus::agent
