// SPDX-License-Identifier: Apache-2.0
// What `tactus status` says of a snapshot.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "agent/cli/status.h"

using namespace tactus::cli;

namespace {

constexpr std::uint64_t k_ms = 1'000'000;

snapshot loaded() {
  snapshot s;
  s.kernel = {"enabled", "tactus", "3", true};
  s.kernel_release = "6.18";
  s.link_pinned = s.has_maps = true;
  s.now_ns = 10'000 * k_ms;
  s.control.abi_version = 1;
  s.control.mode = TACTUS_MODE_LEARNED;
  s.control.heartbeat_ns = 9'990 * k_ms;
  s.control.heartbeat_limit_ns = 500 * k_ms;
  s.control.generation = 4;
  s.stats.decisions[TACTUS_SOURCE_ROW] = 900;
  s.stats.decisions[TACTUS_SOURCE_FALLBACK_TORN] = 100;
  s.stats.ring_lost = 5;
  tactus_domain d{};
  d.nr_cpus = 4;
  d.nr_waiting = 2;
  s.domains.push_back(d);
  s.classes.resize(TACTUS_MAX_SLOTS);
  s.classes[2].in_use = 1;
  return s;
}

}  // namespace

TEST_CASE("whose decisions are in force") {
  snapshot s = loaded();
  CHECK(what_is_in_force(s) == in_force::learned);
  s.control.heartbeat_ns = 9'499 * k_ms;
  CHECK(what_is_in_force(s) == in_force::fallback_no_agent);
  CHECK(status_text(s).find("agent silent for 0.5 s, limit 500 ms") != std::string::npos);
  s.control.heartbeat_ns = 0;
  CHECK(what_is_in_force(s) == in_force::fallback_no_agent);
  CHECK(status_text(s).find("no agent has run since") != std::string::npos);
  s.control.mode = TACTUS_MODE_FALLBACK;
  CHECK(what_is_in_force(s) == in_force::fallback_by_mode);
  s.hint = tactus::load::load_hint{false, true, ""};
  CHECK(what_is_in_force(s) == in_force::fallback_by_load);
  s.kernel.state = "disabled";
  CHECK(what_is_in_force(s) == in_force::kernel_own);
}

TEST_CASE("a limit of 0 means 500 ms, and a beat in the future is no age") {
  snapshot s = loaded();
  s.control.heartbeat_limit_ns = 0;
  s.control.heartbeat_ns = s.now_ns - 499 * k_ms;
  CHECK(what_is_in_force(s) == in_force::learned);
  s.control.heartbeat_ns = s.now_ns - 501 * k_ms;
  CHECK(what_is_in_force(s) == in_force::fallback_no_agent);
  s.control.heartbeat_ns = s.now_ns + 5;
  CHECK(heartbeat_age_ms(s) == 0);
}

TEST_CASE("a scheduler that left is told with its reason") {
  snapshot s = loaded();
  s.kernel.state = "disabled";
  s.left.kind = 1026;
  snprintf(s.left.reason, sizeof(s.left.reason), "runnable task stall");
  CHECK(why_out(s) == "runnable task stall");
  CHECK(status_text(s).find("left       runnable task stall") != std::string::npos);
  s.ejected = tactus::load::ejection{1, "runnable task stall: x", true, 2};
  CHECK(why_out(s) == "runnable task stall: x (not loaded again after 2 reloads in 30 s)");
  CHECK(status_json(s)["last_ejection"]["stays_out"] == true);
  CHECK(status_json(s)["left"] == "runnable task stall: x (not loaded again after 2 reloads in 30 s)");
  CHECK(status_json(s)["loaded"] == false);
  s = loaded();
  CHECK(why_out(s).empty());
  CHECK(status_json(s)["left"].is_null());
}

TEST_CASE("unloaded on purpose is no ejection") {
  snapshot s = loaded();
  s.kernel = {"disabled", "", "3", false};
  s.link_pinned = false;
  s.left.kind = 64;
  CHECK(why_out(s).empty());
}

TEST_CASE("counters appear in text and JSON") {
  const snapshot s = loaded();
  const std::string text = status_text(s);
  CHECK(text.find("90.0 %  followed their row") != std::string::npos);
  CHECK(text.find("10.0 %  fallback: the row was being written") != std::string::npos);
  CHECK(text.find("lost: 5 events") != std::string::npos);
  CHECK(text.find("domain 0   4 CPUs") != std::string::npos);
  const auto json = status_json(s);
  CHECK(json["decisions"]["row"] == 900);
  CHECK(json["decisions"]["fallback_torn"] == 100);
  CHECK(json["decisions_total"] == 1000);
  CHECK(json["stats"]["ring_lost"] == 5);
  CHECK(json["domains"][0]["waiting"] == 2);
  CHECK(json["heartbeat_age_ms"] == doctest::Approx(10));
  CHECK(json["in_force"] == "learned");
  CHECK(json["rows"]["classes"] == 1);
  CHECK(json["generation"] == 4);
}

TEST_CASE("no sched_ext and other schedulers are named") {
  snapshot s;
  s.kernel_release = "6.1";
  CHECK(status_text(s).find("6.1 has no sched_ext; see tactus doctor") != std::string::npos);
  s.kernel = {"enabled", "lavd", "1", true};
  CHECK(status_text(s).find("another scheduler is enabled: lavd") != std::string::npos);
}
