// SPDX-License-Identifier: Apache-2.0
// Any bytes give a message in range or a reason.
#include "agent/serve/message.h"

#include <doctest/doctest.h>

#include <cstring>
#include <random>

using namespace tactus::agent;

namespace {

template <class M>
M made(tactus_message_type type) {
  M m{};
  fill_head(m.head, type, sizeof(m));
  return m;
}

bool sane(const message& m) {
  if (const auto* w = std::get_if<message_workers>(&m)) {
    return w->nr_workers_total >= 1 && w->nr_workers_total <= TACTUS_MAX_WORKERS && w->nr_here <= TACTUS_FDS_PER_MESSAGE &&
           w->first_worker + w->nr_here <= w->nr_workers_total && !w->pool_name.empty() && w->pool_name.size() < 32;
  }
  if (const auto* c = std::get_if<message_classes>(&m)) {
    for (const auto& d : c->classes) {
      if (d.local_class == 0 || d.local_class >= TACTUS_MAX_LOCAL_CLASSES || d.weight == 0 || d.priority > 3) return false;
    }
  }
  return true;
}

tactus_refusal reason(const message& m) {
  const auto* e = std::get_if<message_error>(&m);
  return e != nullptr ? e->reason : static_cast<tactus_refusal>(0);
}

}  // namespace

TEST_CASE("well-formed messages are understood") {
  auto hello = made<tactus_msg_workers>(TACTUS_MSG_HELLO);
  hello.nr_workers_total = 4;
  hello.nr_here = 4;
  std::memcpy(hello.pool_name, "frame", 5);
  const auto m = parse_message(&hello, sizeof(hello));
  REQUIRE(std::holds_alternative<message_workers>(m));
  CHECK(std::get<message_workers>(m).hello);
  CHECK(std::get<message_workers>(m).pool_name == "frame");
  tactus_msg_head mapped;
  fill_head(mapped, TACTUS_MSG_MAPPED, sizeof(mapped));
  CHECK(std::holds_alternative<message_mapped>(parse_message(&mapped, sizeof(mapped))));
  auto classes = made<tactus_msg_classes>(TACTUS_MSG_CLASSES);
  classes.nr_classes = 2;
  classes.classes[0].local_class = 1;
  classes.classes[1].local_class = 63;
  CHECK(std::get<message_classes>(parse_message(&classes, sizeof(classes))).classes.size() == 2);
}

TEST_CASE("each way to be malformed has its refusal") {
  auto hello = made<tactus_msg_workers>(TACTUS_MSG_HELLO);
  hello.nr_workers_total = 4;
  const auto with = [&](auto change, std::size_t bytes = sizeof(tactus_msg_workers)) {
    auto h = hello;
    change(h);
    return reason(parse_message(&h, bytes));
  };
  CHECK(with([](auto&) {}) == 0);
  CHECK(with([](auto& h) { h.head.magic++; }) == TACTUS_REFUSED_MALFORMED);
  CHECK(with([](auto& h) { h.head.abi_version++; }) == TACTUS_REFUSED_ABI);
  CHECK(with([](auto& h) { h.head.bytes--; }) == TACTUS_REFUSED_MALFORMED);
  CHECK(with([](auto& h) { h.head.type = 99; }) == TACTUS_REFUSED_MALFORMED);
  CHECK(with([](auto& h) { h.nr_workers_total = 0; }) == TACTUS_REFUSED_MALFORMED);
  CHECK(with([](auto& h) { h.nr_workers_total = 1025; }) == TACTUS_REFUSED_MALFORMED);
  CHECK(with([](auto& h) { h.nr_here = 5; }) == TACTUS_REFUSED_MALFORMED);
  CHECK(with([](auto& h) { h.first_worker = 0xffffffff; h.nr_here = 2; }) == TACTUS_REFUSED_MALFORMED);
  CHECK(with([](auto& h) { h.head.type = TACTUS_MSG_WORKERS; }) == TACTUS_REFUSED_MALFORMED);  // names nobody
  CHECK(with([](auto&) {}, 10) == TACTUS_REFUSED_MALFORMED);
  auto classes = made<tactus_msg_classes>(TACTUS_MSG_CLASSES);
  classes.nr_classes = 65;
  CHECK(reason(parse_message(&classes, sizeof(classes))) == TACTUS_REFUSED_MALFORMED);
  classes.nr_classes = 1;  // local class 0
  CHECK(reason(parse_message(&classes, sizeof(classes))) == TACTUS_REFUSED_MALFORMED);
}

TEST_CASE("random bytes and random damage never give a message out of range") {
  std::mt19937 random(11);
  std::vector<unsigned char> bytes(k_largest_message);
  for (int i = 0; i < 20000; i++) {
    const std::size_t n = random() % 6000;
    auto classes = made<tactus_msg_classes>(TACTUS_MSG_CLASSES);
    classes.nr_classes = random() % 70;
    for (auto& b : bytes) b = static_cast<unsigned char>(random());
    if (i % 2 == 0) std::memcpy(bytes.data(), &classes, sizeof(classes));
    if (i % 2 == 0) bytes[random() % 300] = static_cast<unsigned char>(random());
    if (i % 4 == 1) {
      tactus_msg_head head;
      fill_head(head, i % 8 == 1 ? TACTUS_MSG_HELLO : TACTUS_MSG_WORKERS, n);
      std::memcpy(bytes.data(), &head, sizeof(head));
    }
    // An own buffer of that size, so that a sanitizer sees a read beyond it.
    const std::vector<unsigned char> exact(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
    REQUIRE(sane(parse_message(exact.data(), exact.size())));
  }
}
