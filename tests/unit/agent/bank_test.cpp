// SPDX-License-Identifier: Apache-2.0
// The row protocol under a concurrent reader; uniform rows; suits of route tables.
#include "agent/publish/bank.h"

#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

using namespace tactus::agent;

namespace {

// Every field of the body says which version it belongs to.
tactus_row marked(std::uint32_t version) {
  tactus_row row{};
  row.confidence = static_cast<__u16>(version);
  row.slice_10us = static_cast<__u16>(version);
  for (auto& c : row.cdf) c = static_cast<__u16>(version);
  return row;
}

bool whole(const tactus_row& row) {
  const auto mark = static_cast<__u16>(row.version_begin);
  if (row.confidence != mark || row.slice_10us != mark) return false;
  for (const auto c : row.cdf) {
    if (c != mark) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("a concurrent reader never takes a torn row for valid") {
  auto row = std::make_unique<tactus_row>();
  std::atomic<bool> ended{false};
  std::atomic<std::uint64_t> valid{0}, torn{0}, wrong{0};
  std::thread reader([&] {
    while (!ended) {
      tactus_row r;
      if (!read_row(row.get(), r)) {
        torn++;
      } else {
        valid++;
        if (!whole(r)) wrong++;
      }
    }
  });
  for (std::uint32_t v = 1; v < 60000; v++) {
    write_row(row.get(), marked(v), v);
    if (v % 64 == 0) std::this_thread::yield();
  }
  ended = true;
  reader.join();
  CHECK(wrong == 0);
  tactus_row last;
  REQUIRE(read_row(row.get(), last));
  CHECK(last.version_begin == 59999);
  CHECK(whole(last));
}

TEST_CASE("the check for torn rows can fail: a body of another version is seen") {
  tactus_row row = marked(7);
  row.version_begin = row.version_end = 8;
  tactus_row r;
  REQUIRE(read_row(&row, r));
  CHECK_FALSE(whole(r));
}

TEST_CASE("versions that differ or are 0 make a row invalid, and clear_row does") {
  tactus_row row{}, out;
  CHECK_FALSE(read_row(&row, out));
  write_row(&row, marked(3), 3);
  CHECK(read_row(&row, out));
  row.version_begin = 4;
  CHECK_FALSE(read_row(&row, out));
  write_row(&row, marked(5), 5);
  clear_row(&row);
  CHECK_FALSE(read_row(&row, out));
}

TEST_CASE("a uniform row gives each place the same mass and hold none") {
  for (const unsigned n : {1u, 2u, 3u, 4u, 7u, 64u}) {
    const tactus_row row = uniform_row(n);
    CHECK(row.confidence == 65535);
    CHECK(row.cdf[TACTUS_MAX_PLACES - 1] == TACTUS_CDF_ONE);
    unsigned before = 0;
    for (unsigned p = 0; p < n; p++) {
      CHECK(static_cast<double>(row.cdf[p] - before) == doctest::Approx(65535.0 / n).epsilon(0.01));
      before = row.cdf[p];
    }
    for (unsigned p = n; p < TACTUS_MAX_PLACES; p++) CHECK(row.cdf[p] == TACTUS_CDF_ONE);
  }
}

TEST_CASE("suit is the probability of a place against the likeliest one, averaged over the situations seen") {
  std::vector<tactus_row> rows(TACTUS_NR_ROWS);
  tactus_row row{};  // place 0: 0.1, place 1: 0.4, hold 0.5
  row.cdf[0] = 6553;
  for (unsigned p = 1; p < TACTUS_MAX_PLACES; p++) row.cdf[p] = 32768;
  tactus_row none = uniform_row(2);
  for (unsigned s = 0; s < TACTUS_NR_SITUATIONS; s++) {
    write_row(&rows[tactus_row_index(1, 5, s)], s == 9 ? row : none, 1);
  }
  float visits[TACTUS_NR_SITUATIONS] = {};
  std::uint8_t suit[2];
  visits[9] = 3;
  suit_of_rows(rows.data(), 1, 5, visits, 2, suit);
  CHECK(suit[0] == 64);  // a quarter
  CHECK(suit[1] == 255);
  visits[10] = 3;  // there both are alike
  suit_of_rows(rows.data(), 1, 5, visits, 2, suit);
  CHECK(suit[0] == 159);
  CHECK(suit[1] == 255);
  suit_of_rows(rows.data(), 0, 5, visits, 2, suit);  // nothing written there
  CHECK(suit[0] == 0);
}
