// SPDX-License-Identifier: Apache-2.0
// Routing by published rows: which classes do not suit a CPU.
#include "route.h"

#include <doctest/doctest.h>
#include <memory>

using namespace tactus::detail;

namespace {
std::unique_ptr<tactus_route_table> two_places() {
  auto table = std::make_unique<tactus_route_table>();
  table->sequence = 2;
  table->nr_places = 2;
  for (auto& place : table->place_of_cpu) place = TACTUS_NO_PLACE;
  table->place_of_cpu[0] = 0;
  table->place_of_cpu[1] = 1;
  table->suit[1][0] = 200;  // class 1 likes place 0 only
  table->suit[2][0] = 100;  // class 2 goes everywhere
  table->suit[2][1] = 64;
  return table;                 // class 3 has no row yet
}
}  // namespace

TEST_CASE("a class is unsuited where its row says less than a quarter") {
  const auto table = two_places();
  CHECK(unsuited_classes(*table, 0b1110, 0) == 0);
  CHECK(unsuited_classes(*table, 0b1110, 1) == 0b0010);
  CHECK(unsuited_classes(*table, 0b1100, 1) == 0);  // only classes that were asked for
}

TEST_CASE("no policy, a table being written, or an unknown CPU: everything suits") {
  auto table = two_places();
  table->sequence = 0;
  CHECK(unsuited_classes(*table, 0b1110, 1) == 0);
  table->sequence = 3;
  CHECK(unsuited_classes(*table, 0b1110, 1) == 0);
  table->sequence = 4;
  CHECK(unsuited_classes(*table, 0b1110, 1) == 0b0010);
  CHECK(unsuited_classes(*table, 0b1110, 2) == 0);  // no place
  CHECK(unsuited_classes(*table, 0b1110, -1) == 0);
  CHECK(unsuited_classes(*table, 0b1110, TACTUS_MAX_CPUS) == 0);
  table->place_of_cpu[1] = 64;  // out of range
  CHECK(unsuited_classes(*table, 0b1110, 1) == 0);
}
