// SPDX-License-Identifier: Apache-2.0
// Configuration and budget.
#include "agent/config/budget.h"
#include "agent/config/config.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

using namespace tactus::agent;

namespace {

std::string error_of(const std::string& text) {
  try {
    parse_config(text, "t.toml");
  } catch (const config_file_error& e) {
    return e.what();
  }
  return "no error";
}

bool has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("an empty file is the defaults, and every section is read") {
  const config d = parse_config("", "t");
  CHECK(d.learners == 2);
  CHECK(d.period_ms == 50);
  CHECK(d.cpu_share() >= 0.2);
  CHECK(d.cpu_share() <= 1);
  CHECK(d.trusts(12345));
  const config c = parse_config(
      "[agent]\nsocket = \"/tmp/a\"\nlearners = 3\nmode = \"random\"\nlearning = false\n"
      "[publish]\nperiod_ms = 10\n[kernel]\nexplore_share = 0.1\n[limits]\ncpu_percent = 7\nslots_per_uid = 5\n"
      "[trust]\nuids = [0, 1000]\n[learning]\nseed = 42\nsegment_length = 16\nfloor = 0.02\n",
      "t");
  CHECK(c.socket == "/tmp/a");
  CHECK(c.learners == 3);
  CHECK(c.mode == policy_mode::random);
  CHECK_FALSE(c.learning);
  CHECK_FALSE(c.champion);
  CHECK(c.period_ms == 10);
  CHECK(c.explore_share == doctest::Approx(0.1));
  CHECK(c.cpu_share() == doctest::Approx(0.07));
  CHECK(c.slots_per_uid == 5);
  CHECK(c.trusts(1000));
  CHECK_FALSE(c.trusts(1001));
  CHECK(c.learner.seed == 42);
  CHECK(c.learner.segment_length == 16);
  CHECK(c.learner.floor == doctest::Approx(0.02));
}

TEST_CASE("rewards: cost by default, the seed's by its preset, single weights over either; the cgroup to watch") {
  CHECK(parse_config("", "t").learner.reward_cost == 1);
  CHECK(parse_config("", "t").learner.reward_efficiency == 0);
  const config c = parse_config("[sense]\ncgroup = \"system.slice/game\"\n[learning]\nreward_cache = 4\nreward = \"seed\"\n", "t");
  CHECK(c.cgroup == "system.slice/game");
  CHECK(c.learner.reward_cost == 0);
  CHECK(c.learner.reward_efficiency == 10);
  CHECK(c.learner.reward_cache == 4);
  CHECK(has(error_of("[learning]\n\nreward = \"profit\"\n"), "t.toml:3: learning.reward must be \"cost\" or \"seed\""));
  CHECK(has(error_of("[learning]\nreward_cost = -1\n"), "reward_cost"));
}

TEST_CASE("errors name file, line and what would be right") {
  CHECK(has(error_of("[agent]\n\nlearners = 0\n"), "t.toml:3: agent.learners must be a whole number from 1 to 64"));
  CHECK(has(error_of("[agent]\nlearners = \"two\"\n"), "t.toml:2:"));
  CHECK(has(error_of("[agent]\nlerners = 2\n"), "t.toml:2: agent.lerners is not known; known are: "));
  CHECK(has(error_of("[agnet]\n"), "t.toml:1: section [agnet] is not known"));
  CHECK(has(error_of("[agent]\nsocket = \"here\"\n"), "must be an absolute path"));
  CHECK(has(error_of("[agent]\nmode = \"best\"\n"), "t.toml:2: agent.mode must be"));
  CHECK(has(error_of("[publish]\nperiod_ms = 9\n"), "from 10 to"));
  CHECK(has(error_of("[kernel]\nexplore_share = 1.5\n"), "from 0 to 1"));
  CHECK(has(error_of("[kernel]\nexplore_share = true\n"), "must be a number"));
  CHECK(has(error_of("[kernel]\nheartbeat_limit_ms = 501\n"), "from 100 to 500"));
  CHECK(has(error_of("[trust]\nuids = [-1]\n"), "t.toml:2:"));
  CHECK(has(error_of("[trust]\nuids = \"some\"\n"), "\"all\" or a list"));
  CHECK(has(error_of("[agent\nx"), "t.toml:1:"));
  CHECK(has(error_of("[learning]\nfloor = 2.0\n"), "floor"));
  CHECK(has(error_of("agent = 3\n"), "must be a table"));
  CHECK_THROWS_AS(read_config("/nonexistent/x.toml"), config_file_error);
}

TEST_CASE("the configuration that is shipped is good and says the defaults") {
  const char* source = std::getenv("TACTUS_SOURCE_DIR");
  REQUIRE(source != nullptr);
  const config c = read_config(std::string(source) + "/deploy/tactusd.toml");
  const config d;
  CHECK(c.socket == d.socket);
  CHECK(c.state == d.state);
  CHECK(c.period_ms == d.period_ms);
  CHECK(c.cpu_percent == d.cpu_percent);
  CHECK(c.memory_mib == d.memory_mib);
  CHECK(c.explore_share == doctest::Approx(d.explore_share));
  CHECK(c.trust_all == d.trust_all);
  CHECK(c.learner.floor == doctest::Approx(d.learner.floor));
}

TEST_CASE("over budget within a second of excess, under it again with a margin") {
  cpu_budget b(0.2);
  std::uint64_t wall = 1'000'000'000, cpu = 0;
  const auto run = [&](double share, int tenths) {
    for (int i = 0; i < tenths; i++) {
      wall += 100'000'000;
      cpu += static_cast<std::uint64_t>(share * 1e8);
      b.measure(wall, cpu);
    }
  };
  b.measure(wall, cpu);
  run(0.1, 30);
  CHECK_FALSE(b.over());
  CHECK(b.used() == doctest::Approx(0.1).epsilon(0.01));
  run(1.0, 3);
  CHECK(b.over());
  run(0.18, 20);  // below the share, not yet below the margin
  CHECK(b.over());
  run(0.1, 15);
  CHECK_FALSE(b.over());
  CHECK(b.over_ns() > 1'000'000'000);
  b.set_share(0.05);
  run(0.1, 2);
  CHECK(b.over());
}

TEST_CASE("a burst at the start is not an excess, clocks that go back are ignored") {
  cpu_budget b(0.5);
  b.measure(1'000'000'000, 0);
  b.measure(1'100'000'000, 90'000'000);
  CHECK_FALSE(b.over());
  b.measure(1'000'000'000, 500'000'000);
  CHECK(b.used() == doctest::Approx(0.09));
}

TEST_CASE("how is explored, validated, settled and carried over can be set") {
  const config c = parse_config(
      "[agent]\nchampion = true\n[learning]\nexploration = 1\nexplore_start = 0.2\nexplore_decay = 0.9\nheld_out = 0.1\n"
      "transfer_updates = 7\nconverged_kl = 0.01\nconverged_publishes = 9\nkl_target = 0.02\nlearning_rate_shape = 1\n"
      "target = 2\nweight_init = 1\nlayer_norm = 1\n", "f");
  CHECK(c.champion);
  CHECK(c.learner.exploration == tactus::learn::epsilon_greedy);
  CHECK(c.learner.explore_start == 0.2);
  CHECK(c.learner.explore_decay == 0.9);
  CHECK(c.learner.held_out == 0.1);
  CHECK(c.learner.transfer_updates == 7);
  CHECK(c.learner.converged_kl == 0.01);
  CHECK(c.learner.converged_publishes == 9);
  CHECK(c.learner.kl_target == 0.02);
  CHECK(c.learner.learning_rate_shape == tactus::learn::cosine);
  CHECK(c.learner.target == tactus::learn::gae);
  CHECK(c.learner.weight_init == tactus::learn::he_init);
  CHECK(c.learner.layer_norm == 1);
}
