// SPDX-License-Identifier: Apache-2.0
// Slots belong to (uid, fingerprint), come back, are recycled by use, keep to quotas.
#include "agent/serve/class_slots.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <cstring>
#include <set>

using namespace tactus::agent;

namespace {

tactus_class_desc desc(std::uint64_t fingerprint, const char* name = "c") {
  tactus_class_desc d{};
  d.local_class = 1;
  d.weight = 2;
  d.fingerprint[0] = fingerprint;
  std::strncpy(d.name, name, sizeof(d.name) - 1);
  return d;
}

}  // namespace

TEST_CASE("the same class of the same user has one slot, another user's has another") {
  class_slots slots(32);
  const unsigned a = slots.acquire(1000, desc(1));
  CHECK(a != 0);
  CHECK(slots.acquire(1000, desc(1)) == a);
  CHECK(slots.snapshot()[a].users == 2);
  const unsigned b = slots.acquire(1001, desc(1));
  CHECK(b != a);
  CHECK(b != 0);
}

TEST_CASE("a class that comes back finds its slot") {
  class_slots slots(32);
  const unsigned a = slots.acquire(1000, desc(1));
  slots.release(a);
  for (std::uint64_t f = 100; f < 110; f++) slots.release(slots.acquire(1000, desc(f)));
  CHECK(slots.acquire(1000, desc(1)) == a);
}

TEST_CASE("when all are taken the one unused for longest is recycled, never one in use") {
  std::set<unsigned> reset;
  class_slots slots(63, [&](unsigned s) { reset.insert(s); });
  std::vector<unsigned> all;
  for (std::uint64_t f = 0; f < 63; f++) all.push_back(slots.acquire(1000, desc(f)));
  CHECK(reset.size() == 63);
  CHECK(slots.acquire(1001, desc(1)) == 0);  // all in use
  slots.release(all[20]);
  slots.release(all[10]);
  slots.touch(all[20]);  // 10 is now unused for longer
  const std::uint32_t tenancy = slots.snapshot()[all[10]].tenancy;
  reset.clear();
  CHECK(slots.acquire(1001, desc(500)) == all[10]);
  CHECK(reset.count(all[10]) == 1);
  CHECK(slots.snapshot()[all[10]].tenancy == tenancy + 1);
  CHECK(slots.snapshot()[all[10]].uid == 1001);
}

TEST_CASE("a user at the quota recycles his own slots only") {
  class_slots slots(3);
  const unsigned other = slots.acquire(7, desc(1));
  slots.release(other);
  std::vector<unsigned> own;
  for (std::uint64_t f = 0; f < 3; f++) own.push_back(slots.acquire(1000, desc(f)));
  CHECK(slots.acquire(1000, desc(9)) == 0);
  slots.release(own[1]);
  CHECK(slots.acquire(1000, desc(9)) == own[1]);
  CHECK(slots.snapshot()[other].uid == 7);
}

TEST_CASE("names become printable, and a document round trip keeps all") {
  class_slots slots(32);
  auto d = desc(5, "au\ndio\x01\"x");
  d.priority = 200;
  d.weight = 0;
  const unsigned a = slots.acquire(1000, d);
  CHECK(slots.snapshot()[a].name == "au_dio__x");
  CHECK(slots.snapshot()[a].priority == TACTUS_PRIORITY_URGENT);
  CHECK(slots.snapshot()[a].weight == 1);
  CHECK(slots.set_weight("au_dio__x", 7) == 1);
  CHECK(slots.set_weight("nobody", 7) == 0);

  class_slots again(32);
  again.from_json(nlohmann::json::parse(slots.to_json().dump()));
  CHECK(again.snapshot()[a].name == "au_dio__x");
  CHECK(again.snapshot()[a].weight == 7);
  CHECK(again.snapshot()[a].users == 0);
  CHECK(again.acquire(1000, d) == a);
  CHECK(again.snapshot()[a].weight == 7);  // the operator's, not the pool's
}

TEST_CASE("a damaged document is an error and changes nothing") {
  class_slots slots(32);
  const unsigned a = slots.acquire(1000, desc(1));
  for (const char* text : {"{}x", "[1]", "[{\"slot\":0}]", "[{\"slot\":70}]", "[{\"slot\":\"a\"}]"}) {
    const auto document = nlohmann::json::parse(text, nullptr, false);
    CHECK_THROWS(slots.from_json(document));
  }
  CHECK(slots.snapshot()[a].taken);
}
