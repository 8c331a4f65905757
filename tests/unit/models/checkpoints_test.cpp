// SPDX-License-Identifier: Apache-2.0
// Whatever is wrong with the last checkpoint: the reason is said, the file is kept aside, and the
// agent goes on from the one before.
#include "agent/learn/checkpoint.h"
#include "agent/models/checkpoints.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>

using namespace tactus::agent;
namespace learn = tactus::learn;
namespace fs = std::filesystem;

namespace {

struct folder {
  fs::path path;
  folder() {
    std::string pattern = (fs::temp_directory_path() / "tactus-models-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path = pattern;
  }
  ~folder() { fs::remove_all(path); }
};

learn::learner_config quick(std::uint64_t seed) {
  learn::learner_config c;
  c.clone_steps = 0;
  c.seed = seed;
  return c;
}

std::string read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write(const std::string& path, const std::string& data) { std::ofstream(path, std::ios::binary | std::ios::trunc) << data; }

}  // namespace

TEST_CASE("a checkpoint cut, changed, of another schema or with weights that are no numbers: the one before is used") {
  learn::learner_set before(quick(1)), last(quick(2)), fresh(quick(3));
  class_slots slots(32);
  const std::vector<std::pair<const char*, std::function<std::string(std::string)>>> faults{
      {"cut short", [](std::string d) { return d.substr(0, 10); }},
      {"should have", [](std::string d) { return d.substr(0, d.size() - 1); }},
      {"should have", [](std::string d) { return d + "\n"; }},
      {"checksum", [](std::string d) {
         d[d.size() / 2] = static_cast<char>(d[d.size() / 2] ^ 4);
         return d;
       }},
      {"schema 9", [](std::string d) {
         d[8] = 9;
         return d;
       }},
      {"not a Tactus checkpoint", [](std::string d) { return "x" + d.substr(1); }},
      {"not numbers", [](const std::string& d) {
         auto c = learn::decode_checkpoint(d, "");
         c.theta[3] = std::nanf("");
         return learn::encode_checkpoint(c);
       }},
  };
  for (const auto& [reason, damage] : faults) {
    INFO(reason);
    const folder f;
    checkpoints store(f.path.string());
    REQUIRE(store.save(before, slots, 1).empty());
    const std::string good = read(store.model_path());
    REQUIRE(store.save(last, slots, 2).empty());
    REQUIRE(read(store.previous_path()) == good);
    const std::string bad = damage(read(store.model_path()));
    write(store.model_path(), bad);

    const loaded_checkpoint l = checkpoints(f.path.string()).load(fresh, slots);
    CHECK(l.damaged);
    CHECK(l.from == loaded_checkpoint::source::previous);
    REQUIRE(l.messages.size() == 2);
    CHECK(l.messages[0].find(reason) != std::string::npos);
    CHECK(l.messages[0].find(store.model_path()) != std::string::npos);
    CHECK(read(store.model_path() + ".bad") == bad);
    fresh.save((f.path / "now").string());
    CHECK(read((f.path / "now").string()) == good);
  }
}

TEST_CASE("a save after a bad checkpoint does not put it in the place of the good one before") {
  learn::learner_set learner(quick(1));
  class_slots slots(32);
  const folder f;
  {
    checkpoints store(f.path.string());
    REQUIRE(store.save(learner, slots, 1).empty());
    REQUIRE(store.save(learner, slots, 1).empty());
    write(store.model_path(), "damaged");
  }
  checkpoints store(f.path.string());
  CHECK(store.load(learner, slots).from == loaded_checkpoint::source::previous);
  REQUIRE(store.save(learner, slots, 1).empty());
  write(store.model_path(), "damaged again");
  CHECK(checkpoints(f.path.string()).load(learner, slots).from == loaded_checkpoint::source::previous);
}

TEST_CASE("the champion outlives the agent; a damaged one is kept aside, and the start is the champion then") {
  learn::learner_set champion(quick(1)), last(quick(2)), learner(quick(3));
  class_slots slots(32);
  const folder f;
  checkpoints store(f.path.string());
  const auto now = [&](const learn::learner_set& l) {
    l.save((f.path / "now").string());
    return learn::read_checkpoint((f.path / "now").string()).theta;
  };
  REQUIRE(store.save_champion(champion).empty());
  REQUIRE(store.save(last, slots, 1).empty());
  loaded_checkpoint l = checkpoints(f.path.string()).load(learner, slots);
  CHECK_FALSE(l.damaged);
  CHECK(now(learner) == now(last));
  learner.restore_champion();
  CHECK(now(learner) == now(champion));

  write(store.champion_path(), "damaged");
  l = checkpoints(f.path.string()).load(learner, slots);
  CHECK(l.damaged);
  CHECK(l.from == loaded_checkpoint::source::last);
  CHECK(fs::exists(store.champion_path() + ".bad"));
  learner.restore_champion();
  CHECK(now(learner) == now(last));
}
