// SPDX-License-Identifier: Apache-2.0
// The agent in one process, on maps in memory: rows, modes, learning, events, checkpoints, control.
#include "agent/models/checkpoints.h"
#include "agent/publish/bank.h"
#include "agent/publish/memory_maps.h"
#include "agent/serve/daemon.h"
#include "tests/unit/agent/registration_client.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

using namespace tactus::agent;
using namespace tactus::agent::test;
using nlohmann::json;
namespace learn = tactus::learn;

namespace {

// What another thread writes.
template <typename T>
T peek(const T& x) {
  return __atomic_load_n(&x, __ATOMIC_ACQUIRE);
}

struct fixture {
  std::string folder;
  config c;
  std::shared_ptr<memory_maps> maps;
  std::atomic<bool> loaded{true};
  std::unique_ptr<agent_daemon> agent;
  std::thread main_loop;
  std::atomic<bool> ended{false};
  std::uint64_t sequence = 0;

  explicit fixture(bool run_now = true) {
    char name[] = "/tmp/tactus-agent-XXXXXX";
    folder = ::mkdtemp(name);
    c.socket = folder + "/agent";
    c.control = folder + "/control";
    c.state = folder;
    c.period_ms = 10;
    c.cpu_percent = 400;
    c.learner.clone_steps = 100;
    memory_maps::machine machine;
    maps = std::make_shared<memory_maps>(machine);
    if (run_now) run();
  }
  void make() {
    agent = std::make_unique<agent_daemon>(c, [this]() -> std::shared_ptr<scheduler_maps> {
      if (!loaded) throw maps_error(maps_error::kind::absent, "not loaded");
      return maps;
    });
  }
  void run() {
    if (!agent) make();
    agent->start();
    main_loop = std::thread([this] {
      while (!ended) {
        agent->tick();
        ::usleep(10000);
      }
    });
  }
  void halt() {
    ended = true;
    if (main_loop.joinable()) main_loop.join();
    if (agent) agent->stop();
  }
  ~fixture() {
    halt();
    agent.reset();
    std::filesystem::remove_all(folder);
  }

  json ask(const json& request, bool privileged = true) { return json::parse(agent->command(request.dump(), privileged)); }
  json status() { return ask({{"cmd", "status"}}); }

  // What stands in the bank in force for a class.
  bool row(unsigned slot, unsigned situation, tactus_row& out) {
    const unsigned bank = __atomic_load_n(&maps->control()->bank, __ATOMIC_ACQUIRE) & 1;
    if (peek(maps->classes()[bank * TACTUS_MAX_SLOTS + slot].in_use) == 0) return false;
    return read_row(&maps->rows()[tactus_row_index(bank, slot, situation)], out);
  }
  bool random_rows(unsigned slot) {
    tactus_row r;
    return row(slot, 5, r) && r.confidence == 65535 && r.cdf[0] == 65535 / 4 && r.cdf[TACTUS_MAX_PLACES - 1] == 65535;
  }

  void decide(unsigned pool, unsigned slot, std::uint64_t area, unsigned chosen = 0) {
    tactus_row r{};
    row(slot, 5, r);
    tactus_decision_event e{};
    e.head.type = TACTUS_EVENT_DECISION;
    e.head.bytes = sizeof(e);
    e.head.sequence = sequence++;
    e.head.time_ns = now_ns();
    e.head.area = area;
    e.stint = sequence;
    e.legal = 15;
    e.version = r.version_end;
    e.prob_num = 1;
    e.prob_den = 4;
    e.pool = static_cast<__u16>(pool);
    e.slot = static_cast<__u8>(slot);
    e.situation = 5;
    e.chosen = e.used = static_cast<__u8>(chosen);
    e.source = TACTUS_SOURCE_ROW;
    maps->push_event(&e, sizeof(e));
  }
  void complete(unsigned pool, unsigned place, std::uint64_t run_ns, unsigned tasks = 1) {
    tactus_completion_event e{};
    e.head.type = TACTUS_EVENT_COMPLETION;
    e.head.sequence = sequence++;
    e.head.time_ns = now_ns();
    e.head.tid = 9;
    e.stint = sequence;
    e.pool = static_cast<__u16>(pool);
    e.place = static_cast<__u8>(place);
    e.clock = TACTUS_CLOCK_NONE;
    e.stint_run_ns = run_ns * tasks;
    e.stopped = 1;
    e.nr_records = 1;
    e.records[0].count = static_cast<__u16>(tasks);
    e.records[0].local_class = 1;
    maps->push_event(&e, offsetof(tactus_completion_event, records) + sizeof(tactus_record));
  }
};

}  // namespace

TEST_CASE("a registered pool gets rows for its class, a route table, and the heart beats") {
  fixture f;
  REQUIRE(eventually([&] { return f.agent->attached(); }));
  sleepers threads(1);
  client c(f.c.socket);
  REQUIRE(c.register_pool(threads.tids()));
  const unsigned slot = c.registered.slot_of[1];
  tactus_row row;
  REQUIRE(eventually([&] { return f.row(slot, 5, row); }));
  CHECK(row.version_begin == row.version_end);
  for (unsigned p = 1; p < TACTUS_MAX_PLACES; p++) CHECK(row.cdf[p] >= row.cdf[p - 1]);
  CHECK(row.confidence == 65535);
  CHECK(peek(f.maps->control()->mode) == TACTUS_MODE_LEARNED);
  CHECK(eventually([&] { return peek(c.route->sequence) != 0 && peek(c.route->sequence) % 2 == 0; }));
  const std::uint64_t beat = peek(f.maps->control()->heartbeat_ns);
  CHECK(eventually([&] { return peek(f.maps->control()->heartbeat_ns) > beat; }));
  CHECK(now_ns() - peek(f.maps->control()->heartbeat_ns) < 500'000'000);
  const json s = f.status();
  CHECK(s["ok"] == true);
  REQUIRE(s["pools"].size() == 1);
  CHECK(s["pools"][0]["workers"] == 1);
  CHECK(s["learning"]["on"] == true);
  f.halt();
  const unsigned bank = f.maps->control()->bank & 1;
  CHECK(std::string(f.maps->classes()[bank * TACTUS_MAX_SLOTS + slot].name) == "class1");
  CHECK(peek(f.maps->control()->heartbeat_ns) == 0);  // who ends says so, the kernel need not wait 500 ms
}

TEST_CASE("flips are at least 10 ms apart and banks alternate while events come") {
  fixture f;
  REQUIRE(eventually([&] { return f.agent->attached(); }));
  sleepers threads(1);
  client c(f.c.socket);
  REQUIRE(c.register_pool(threads.tids()));
  std::uint64_t last = 0, least = ~0ull;
  std::uint32_t bank = peek(f.maps->control()->bank), version = peek(f.maps->control()->version);
  unsigned flips = 0;
  const std::uint64_t until = now_ns() + 700'000'000;
  for (std::uint64_t now = now_ns(); now < until; now = now_ns()) {
    if (flips % 2 == 0) f.complete(c.registered.pool, 1, 1000000);
    const std::uint32_t b = __atomic_load_n(&f.maps->control()->bank, __ATOMIC_ACQUIRE);
    if (b != bank) {
      CHECK(peek(f.maps->control()->version) > version);
      version = peek(f.maps->control()->version);
      bank = b;
      flips++;
      if (last != 0) least = std::min(least, now - last);
      last = now;
    }
    ::usleep(200);
  }
  CHECK(flips >= 5);
  CHECK(least >= 8'000'000);  // seen from another thread, with 200 us of sleep between looks
}

TEST_CASE("modes: random gives uniform rows, fallback none and no routes, learned the actor's") {
  fixture f;
  REQUIRE(eventually([&] { return f.agent->attached(); }));
  sleepers threads(1);
  client c(f.c.socket);
  REQUIRE(c.register_pool(threads.tids()));
  const unsigned slot = c.registered.slot_of[1];
  REQUIRE(eventually([&] { return peek(c.route->sequence) != 0; }));
  CHECK(f.ask({{"cmd", "mode"}, {"mode", "random"}})["in_force"] == true);
  CHECK(f.random_rows(slot));
  CHECK(f.status()["learning"]["active"] == false);
  CHECK(f.ask({{"cmd", "mode"}, {"mode", "fallback"}})["ok"] == true);
  CHECK(peek(f.maps->control()->mode) == TACTUS_MODE_FALLBACK);
  CHECK(peek(c.route->sequence) == 0);
  CHECK(f.ask({{"cmd", "mode"}, {"mode", "learned"}})["ok"] == true);
  CHECK(peek(f.maps->control()->mode) == TACTUS_MODE_LEARNED);
  CHECK_FALSE(f.random_rows(slot));
  CHECK(f.status()["learning"]["active"] == true);
  CHECK(eventually([&] { return peek(c.route->sequence) != 0; }));
}

TEST_CASE("decisions reach the learners, completions the statistics; both stand still when learning is off") {
  fixture f(false);
  f.c.learner.segment_length = 16;  // so that one of the segments is held out
  f.run();
  REQUIRE(eventually([&] { return f.agent->attached(); }));
  sleepers threads(1);
  client c(f.c.socket);
  REQUIRE(c.register_pool(threads.tids()));
  const unsigned pool = c.registered.pool, slot = c.registered.slot_of[1];
  tactus_row row;
  REQUIRE(eventually([&] { return f.row(slot, 5, row); }));
  std::uint64_t area = 1'000'000;
  const auto feed = [&](int n) {
    for (int i = 0; i < n; i++) {
      f.decide(pool, slot, area += 500'000, i % 4);
      f.complete(pool, static_cast<unsigned>(i % 4), i % 4 < 2 ? 1'000'000 : 4'000'000);
      if (i % 50 == 0) ::usleep(20000);
    }
  };
  feed(600);
  REQUIRE(eventually([&] { return f.status()["learning"]["updates"].get<int>() > 0; }));
  CHECK(eventually([&] { return f.status()["learning"]["completions"] == 600; }));
  json s = f.status();
  CHECK(s["events"]["decisions"] == 600);
  CHECK(s["events"]["gaps"] == 0);
  CHECK(s["learner"]["held_out"].get<int>() > 0);
  CHECK(s["held_out"]["segments"] == s["learner"]["held_out"]);
  CHECK(s["held_out"]["current"]["judged"] == false);  // too few
  for (const auto& cls : s["classes"]) {
    if (cls["slot"] != slot) continue;
    CHECK(cls["completions"] == 600);
    CHECK(cls["places"][0]["run_us"].get<double>() == doctest::Approx(1000).epsilon(0.01));
    CHECK(cls["places"][3]["run_us"].get<double>() == doctest::Approx(4000).epsilon(0.01));
    CHECK(cls["places"][3]["speed"].get<double>() < 0.4);
  }
  CHECK(f.ask({{"cmd", "learning"}, {"on", false}})["active"] == false);
  const json before = f.status();
  feed(300);
  CHECK(eventually([&] { return f.status()["events"]["decisions"] == 900; }));
  s = f.status();
  CHECK(s["learning"]["completions"] == before["learning"]["completions"]);
  CHECK(s["learning"]["updates"] == before["learning"]["updates"]);
  CHECK(s["events"]["tasks"] == 900);
  f.sequence += 5;  // five events that never came
  f.complete(pool, 0, 1000);
  CHECK(eventually([&] { return f.status()["events"]["gaps"] == 5; }));
}

TEST_CASE("a recording has every decision and the row that it names, and takes none from the learners") {
  fixture f;
  REQUIRE(eventually([&] { return f.agent->attached(); }));
  sleepers threads(1);
  client c(f.c.socket);
  REQUIRE(c.register_pool(threads.tids()));
  const unsigned pool = c.registered.pool, slot = c.registered.slot_of[1];
  tactus_row row;
  REQUIRE(eventually([&] { return f.row(slot, 5, row); }));
  const auto record = [&](const char* what) { return f.ask({{"cmd", "record"}, {"do", what}}); };
  CHECK(record("later")["ok"] == false);
  CHECK(f.ask({{"cmd", "record"}, {"do", "start"}}, false)["ok"] == false);
  REQUIRE(record("start")["ok"] == true);
  CHECK(record("start")["ok"] == false);  // one at a time
  for (int i = 0; i < 200; i++) {
    f.decide(pool, slot, 1'000'000 + 500'000ull * static_cast<unsigned>(i));
    if (i % 20 == 0) ::usleep(15000);  // several flips
  }
  REQUIRE(eventually([&] { return f.status()["events"]["decisions"] == 200; }));
  CHECK(f.status()["events"]["fed"] == 200);
  json answer = record("stop");
  CHECK(answer["running"] == false);
  std::string text;
  for (; !answer["lines"].get<std::string>().empty(); answer = record("take")) text += answer["lines"].get<std::string>();
  std::set<std::pair<unsigned, unsigned>> known;  // situation and version
  unsigned decisions = 0, without = 0;
  std::vector<json> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(json::parse(line));
  for (const json& l : lines)
    if (l.contains("rows"))
      for (const json& r : l["table"])
        if (r[0] == slot) known.emplace(r[1].get<unsigned>(), r[2].get<unsigned>());
  for (const json& l : lines) {
    if (l.value("event", "") != "decision") continue;
    decisions++;
    without += !known.contains({l["situation"].get<unsigned>(), l["version"].get<unsigned>()});
  }
  CHECK(decisions == 200);
  CHECK(without == 0);
  CHECK(known.size() > TACTUS_NR_SITUATIONS);  // more than one version
}

TEST_CASE("rows are published less often once the policy has settled") {
  for (const double kl : {10.0, 0.0}) {  // settled as soon as two versions were compared; never
    fixture f(false);
    f.c.learner.converged_kl = kl;
    f.c.learner.converged_publishes = 1;
    f.run();
    REQUIRE(eventually([&] { return f.agent->attached(); }));
    sleepers threads(1);
    client c(f.c.socket);
    REQUIRE(c.register_pool(threads.tids()));
    std::uint64_t area = 1'000'000;
    CHECK(eventually([&] {
      for (int i = 0; i < 50; i++) f.decide(c.registered.pool, c.registered.slot_of[1], area += 500'000, i % 4);
      const json s = f.status();
      return s["learner"]["converged"] == (kl > 0) && s["rows"]["period_ms"] == f.c.period_ms * (kl > 0 ? 8 : 1);
    }));
  }
}

TEST_CASE("the seed's reward as a preset: tasks earn points by term, and the cost weighs nothing") {
  fixture f(false);
  learn::set_reward_preset(f.c.learner, "seed");
  f.run();
  REQUIRE(eventually([&] { return f.agent->attached(); }));
  sleepers threads(1);
  client c(f.c.socket);
  REQUIRE(c.register_pool(threads.tids()));
  const unsigned pool = c.registered.pool, slot = c.registered.slot_of[1];
  tactus_row row;
  REQUIRE(eventually([&] { return f.row(slot, 5, row); }));
  std::uint64_t area = 1'000'000;
  unsigned fed = 0;
  const auto efficient = [&] { return f.status()["reward"]["terms"]["efficiency"]["tasks"].get<int>(); };
  // The first tasks of a class have no expectation to be measured against.
  REQUIRE(eventually([&] {
    for (int i = 0; i < 50; i++, fed++) {
      f.decide(pool, slot, area += 500'000, fed % 4);
      f.complete(pool, fed % 4, 1'000'000);
    }
    return efficient() >= 300;
  }));
  REQUIRE(eventually([&] { return f.status()["reward"]["tasks"] == fed; }));
  const json s = f.status()["reward"];
  CHECK(s["cost_weight"] == 0);
  CHECK(s["terms"]["efficiency"]["weight"] == 10);
  CHECK(s["terms"]["efficiency"]["points"].get<double>() > 0);
  CHECK(s["terms"]["cross_node"]["tasks"] == 0);  // one node
  double sum = 0;
  for (const auto& [name, term] : s["terms"].items()) sum += term["points"].get<double>();
  CHECK(sum == doctest::Approx(s["points"].get<double>()));
  // Earning is what the learners see: the mean cost rate of the stream is negative.
  CHECK(eventually([&] { return f.status()["learner"]["eta"].get<double>() < 0; }));
  const json classes = f.status()["classes"];
  for (const auto& cls : classes) {
    if (cls["slot"] != slot) continue;
    CHECK(cls["features"]["run_time"].get<double>() == doctest::Approx(std::log2(1e6 / 100) / 24));
    CHECK(cls["features"]["vectorization"].is_null());
    CHECK(cls["preferred_node"]["confidence"] == 0);  // one node
  }
  const json machine = f.status()["machine"];
  CHECK(machine["state"].size() == 32);
  CHECK(machine["sources"].size() == 10);
  CHECK(machine["state"]["memory_used"].is_number());
}

TEST_CASE("folds of a full ring are counted, by differences") {
  fixture f;
  REQUIRE(eventually([&] { return f.agent->attached(); }));
  sleepers threads(1);
  client c(f.c.socket);
  REQUIRE(c.register_pool(threads.tids()));
  tactus_tag_page* page = c.page(0);
  page->clock = TACTUS_CLOCK_NS;
  page->fold[1].count = 1000;
  page->fold[1].run_units = 1000;
  page->folded_classes = 1u << 1;
  CHECK(eventually([&] { return f.status()["learning"]["completions"] == 1000; }));
  page->fold[1].count = 1250;
  CHECK(eventually([&] { return f.status()["learning"]["completions"] == 1250; }));
  page->fold[1].count = 0;  // hostile: runs backwards
  ::usleep(1200000);
  CHECK(f.status()["learning"]["completions"] == 1250);
}

TEST_CASE("garbage from the rings is counted and harms nothing") {
  fixture f;
  REQUIRE(eventually([&] { return f.agent->attached(); }));
  std::uint64_t x = 99;
  for (int i = 0; i < 3000; i++) {
    std::vector<std::uint64_t> bytes(1 + (x >> 33) % 140);
    for (auto& b : bytes) b = x = x * 6364136223846793005ull + 1442695040888963407ull;
    auto* head = reinterpret_cast<tactus_event_head*>(bytes.data());
    head->type = static_cast<__u8>(1 + i % 3);
    f.maps->push_event(bytes.data(), bytes.size() * 8);
  }
  CHECK(eventually([&] { return f.status()["events"]["malformed"].get<int>() > 500; }));
  CHECK(f.status()["ok"] == true);
}

TEST_CASE("control: only the privileged change anything, nonsense is refused with a reason") {
  fixture f;
  REQUIRE(eventually([&] { return f.agent->attached(); }));
  CHECK(f.ask({{"cmd", "status"}}, false)["ok"] == true);
  for (const auto& r : {json{{"cmd", "mode"}, {"mode", "random"}}, json{{"cmd", "learning"}, {"on", false}}, json{{"cmd", "checkpoint"}}}) {
    CHECK(f.ask(r, false)["ok"] == false);
  }
  CHECK(f.status()["mode"] == "learned");
  for (const auto& r : {json{}, json::array(), json{{"cmd", 3}}, json{{"cmd", "stat"}}, json{{"cmd", "mode"}}, json{{"cmd", "mode"}, {"mode", "x"}},
                        json{{"cmd", "learning"}, {"on", 1}}, json{{"cmd", "weights"}, {"class", "a"}}, json{{"cmd", "weights"}, {"class", "a"}, {"weight", -1}},
                        json{{"cmd", "weights"}, {"class", "a"}, {"weight", 1}}}) {
    const json a = f.ask(r);
    CHECK(a["ok"] == false);
    CHECK(a["error"].get<std::string>().size() > 5);
  }
  CHECK(json::parse(f.agent->command("{", true))["ok"] == false);
  CHECK(json::parse(f.agent->command(std::string("\xff\xfe{}"), true))["ok"] == false);
  sleepers threads(1);
  client c(f.c.socket);
  REQUIRE(c.register_pool(threads.tids()));
  CHECK(f.ask({{"cmd", "weights"}, {"class", "class1"}, {"weight", 4}})["classes"] == 1);
  const json s = f.status();
  for (const auto& cls : s["classes"]) {
    if (cls["name"] == "class1") CHECK(cls["weight"] == 4);
  }
}

TEST_CASE("over the real control socket") {
  fixture f;
  client c(f.c.control);
  REQUIRE(c.connected());
  REQUIRE(c.send("{\"cmd\":\"status\"}", 16));
  std::vector<char> big(1 << 20);
  const ssize_t n = ::recv(c.fd(), big.data(), big.size(), 0);
  REQUIRE(n > 0);
  CHECK(json::parse(big.data(), big.data() + n)["pid"] == ::getpid());
}

TEST_CASE("the scheduler comes, is replaced by other maps, and goes: pools follow") {
  fixture f(false);
  f.loaded = false;
  f.run();
  sleepers threads(1);
  client early(f.c.socket);
  REQUIRE(early.hello(threads.tids()));
  CHECK(early.receive().refusal() == TACTUS_REFUSED_NO_SCHEDULER);
  f.loaded = true;
  REQUIRE(eventually([&] { return f.agent->attached(); }));
  client c(f.c.socket);
  REQUIRE(c.register_pool(threads.tids()));
  // A reload that keeps the maps: the registration lives on.
  __atomic_add_fetch(&f.maps->control()->generation, 1, __ATOMIC_RELEASE);
  ::usleep(500000);
  CHECK(f.status()["pools"].size() == 1);
  CHECK(f.status()["generation"] == f.maps->control()->generation);
  // Other maps: it must register again.
  f.maps->set_replaced();
  CHECK(c.receive().refusal() == TACTUS_REFUSED_NO_SCHEDULER);
}

TEST_CASE("maps of another ABI end the agent with a reason") {
  fixture f(false);
  f.agent = std::make_unique<agent_daemon>(f.c, []() -> std::shared_ptr<scheduler_maps> {
    throw maps_error(maps_error::kind::abi, "version 9");
  });
  f.agent->start();
  CHECK_THROWS_AS(f.agent->tick(), maps_error);
}

TEST_CASE("checkpoints: written at the end, loaded at the start with classes and counts") {
  std::string kept;
  unsigned slot = 0;
  sleepers threads(1);
  {
    fixture f;
    REQUIRE(eventually([&] { return f.agent->attached(); }));
    client c(f.c.socket);
    REQUIRE(c.register_pool(threads.tids(), {{1, 777}}));
    slot = c.registered.slot_of[1];
    f.complete(c.registered.pool, 0, 1000, 50);
    REQUIRE(eventually([&] { return f.status()["learning"]["completions"] == 50; }));
    f.halt();
    char name[] = "/tmp/tactus-kept-XXXXXX";
    kept = ::mkdtemp(name);
    for (const char* file : {"/model.ckpt", "/classes.json"}) std::filesystem::copy(f.folder + file, kept + file);
  }
  fixture g(false);
  for (const char* file : {"/model.ckpt", "/classes.json"}) std::filesystem::copy(kept + file, g.folder + file);
  std::filesystem::remove_all(kept);
  g.make();
  CHECK_FALSE(g.agent->load_checkpoint());
  g.run();
  REQUIRE(eventually([&] { return g.agent->attached(); }));
  CHECK(g.status()["learning"]["completions"] == 50);
  CHECK(g.status()["learning"]["started_from"] == "checkpoint");
  client c(g.c.socket);
  REQUIRE(c.register_pool(threads.tids(), {{9, 777}}));
  CHECK(c.registered.slot_of[9] == slot);
}

TEST_CASE("a damaged checkpoint is kept aside and the one before it used; none left: a clone") {
  fixture f(false);
  learn::learner_set learner(f.c.learner);
  class_slots slots(32);
  checkpoints store(f.folder);
  REQUIRE(store.save(learner, slots, 1).empty());
  REQUIRE(store.save(learner, slots, 2).empty());
  const auto damage = [](const std::string& path) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(1000);
    file.write("damaged", 7);
  };
  damage(store.model_path());
  checkpoints again(f.folder);
  loaded_checkpoint l = again.load(learner, slots);
  CHECK(l.damaged);
  CHECK(l.from == loaded_checkpoint::source::previous);
  CHECK(std::filesystem::exists(store.model_path() + ".bad"));
  CHECK(l.completions == 2);
  damage(store.previous_path());
  { std::ofstream(store.classes_path()) << "{"; }
  l = again.load(learner, slots);
  CHECK(l.damaged);
  CHECK(l.from == loaded_checkpoint::source::clone);
  CHECK(std::filesystem::exists(store.classes_path() + ".bad"));
  CHECK(l.completions == 0);
  l = again.load(learner, slots);  // nothing there is no damage
  CHECK_FALSE(l.damaged);
  CHECK(l.from == loaded_checkpoint::source::clone);
  checkpoints nowhere("/nonexistent");
  CHECK_FALSE(nowhere.save(learner, slots, 1).empty());
}

TEST_CASE("over its CPU budget the agent holds decisions back, the heart goes on") {
  fixture f(false);
  f.c.cpu_percent = 1;
  f.run();
  REQUIRE(eventually([&] { return f.agent->attached(); }));
  sleepers threads(1);
  client c(f.c.socket);
  REQUIRE(c.register_pool(threads.tids()));
  std::atomic<bool> ended{false};
  std::thread burner([&] {
    volatile std::uint64_t x = 0;
    while (!ended) x = x + 1;
  });
  CHECK(eventually([&] { return f.status()["budget"]["over"] == true; }));
  const auto beats = f.status()["heartbeat"]["beats"].get<std::uint64_t>();
  for (int i = 0; i < 200; i++) f.decide(c.registered.pool, c.registered.slot_of[1], 1000 + i);
  CHECK(eventually([&] { return f.status()["events"]["held_back"].get<int>() > 100; }));
  CHECK(eventually([&] { return f.status()["heartbeat"]["beats"].get<std::uint64_t>() > beats + 4; }));
  ended = true;
  burner.join();
}

TEST_CASE("the heart stops while a watched thread does not come round, and goes on when it does") {
  tactus_control control{};
  std::atomic<std::uint64_t> progress{now_ns()};
  heartbeat heart;
  heart.watch(&control, [&] { return progress.load(); });
  CHECK(eventually([&] { return __atomic_load_n(&control.heartbeat_ns, __ATOMIC_ACQUIRE) != 0; }));
  progress = now_ns() - heartbeat::k_wedged_ns - 1'000'000'000;
  CHECK(eventually([&] { return heart.wedged(); }));
  const std::uint64_t last = __atomic_load_n(&control.heartbeat_ns, __ATOMIC_ACQUIRE);
  ::usleep(200000);
  CHECK(__atomic_load_n(&control.heartbeat_ns, __ATOMIC_ACQUIRE) == last);
  progress = now_ns();
  CHECK(eventually([&] { return __atomic_load_n(&control.heartbeat_ns, __ATOMIC_ACQUIRE) > last; }));
  heart.rest();
  CHECK(control.heartbeat_ns == 0);
}
