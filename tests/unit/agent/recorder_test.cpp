// SPDX-License-Identifier: Apache-2.0
// A recording has what came after its start, every version of the rows, and says what it lost.
#include "agent/publish/recorder.h"

#include "agent/publish/bank.h"
#include "agent/publish/memory_maps.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <sstream>

using namespace tactus::agent;
using nlohmann::json;

namespace {

std::vector<json> lines_of(const std::string& text) {
  std::vector<json> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) out.push_back(json::parse(line));
  return out;
}

tactus_decision_event decision_at(std::uint64_t time_ns, std::uint64_t sequence) {
  tactus_decision_event e{};
  e.head.type = TACTUS_EVENT_DECISION;
  e.head.bytes = sizeof(e);
  e.head.time_ns = time_ns;
  e.head.sequence = sequence;
  e.prob_num = e.prob_den = 1;
  return e;
}

void put_rows(memory_maps& maps, unsigned bank, std::uint32_t version) {
  maps.classes()[bank * TACTUS_MAX_SLOTS + 3].in_use = 1;
  maps.classes()[bank * TACTUS_MAX_SLOTS + 3].tier[1] = 2;
  write_row(&maps.rows()[tactus_row_index(bank, 3, 17)], uniform_row(4), version);
  maps.control()->version = version;
  maps.control()->bank = bank;
}

}  // namespace

TEST_CASE("a recording begins with what is in force and has the events from then on") {
  memory_maps maps(memory_maps::machine{});
  tactus_pool_conf conf{};
  conf.in_use = 1;
  conf.nr_workers = 7;
  maps.set_pool(2, conf);
  put_rows(maps, 0, 5);
  recorder r;
  const tactus_decision_event before = decision_at(999, 1), after = decision_at(1000, 2);
  r.event(&after, sizeof(after));  // off: nothing happens
  REQUIRE(r.start(maps, 1000));
  CHECK(!r.start(maps, 1000));
  r.event(&before, sizeof(before));
  r.event(&after, sizeof(after));
  r.event(&after, 10);  // cut off
  put_rows(maps, 1, 6);
  r.flipped(maps);
  r.stop();
  r.event(&after, sizeof(after));
  // Taken in pieces.
  std::string text;
  for (std::string piece; !(piece = r.take(100, 2000)).empty();) text += piece;
  const auto lines = lines_of(text);
  REQUIRE(lines.size() == 6);
  CHECK(lines[0]["kind"] == "events");
  CHECK(lines[1]["places"].size() == 4);
  CHECK(lines[2]["pool"] == 2);
  CHECK(lines[3]["rows"] == 5);
  CHECK(lines[3]["classes"][0] == json::array({3, "0200"}));
  CHECK(lines[3]["table"][0][2] == 5);
  CHECK(lines[4]["event"] == "decision");
  CHECK(lines[4]["seq"] == 2);
  CHECK(lines[5]["rows"] == 6);
  CHECK(lines[5]["t"].get<std::uint64_t>() > 1000);
}

TEST_CASE("what does not fit is counted in the trace, and who does not ask gets no more") {
  memory_maps maps(memory_maps::machine{});
  recorder r;
  REQUIRE(r.start(maps, 1000));
  const tactus_decision_event e = decision_at(2000, 1);
  std::uint64_t sent = 0;
  for (; sent < 200'000; ++sent) r.event(&e, sizeof(e));
  std::string text = r.take(recorder::k_buffer_bytes, 3000);
  CHECK(text.size() <= recorder::k_buffer_bytes);
  r.event(&e, sizeof(e));
  text += r.take(recorder::k_buffer_bytes, 3000);
  std::uint64_t lost = 0, written = 0;
  for (const json& l : lines_of(text)) {
    if (l.contains("lost")) lost += l["lost"].get<std::uint64_t>();
    written += l.contains("event");
  }
  CHECK(lost > 0);
  CHECK(written + lost == sent + 1);
  CHECK(r.running());
  const tactus_decision_event late = decision_at(3001 + recorder::k_patience_ns, 2);
  r.event(&late, sizeof(late));
  CHECK(!r.running());
}
