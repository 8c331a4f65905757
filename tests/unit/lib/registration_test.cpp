// SPDX-License-Identifier: Apache-2.0
// Registration against an agent that is absent, late, refusing, broken or gone.
#include "fake_agent.h"
#include "pool_core.h"

#include <tactus/tactus.hpp>

#include <doctest/doctest.h>
#include <functional>
#include <sys/wait.h>
#include <thread>

using namespace tactus;
using namespace std::chrono_literals;

namespace {

pool_options towards(const fake_agent& agent, unsigned workers = 2) {
  pool_options o;
  o.name = "test pool";
  o.workers = workers;
  o.agent_socket = agent.path();
  o.outside_threads_help = false;
  return o;
}

bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds limit = 20s) {
  const auto until = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

void run_tasks(pool& p, const task_class& c, int n) {
  std::atomic<int> ran{0};
  for (int i = 0; i < n; ++i) p.detach(c, [&] { ++ran; });
  p.wait();
  CHECK(ran == n);
}

// Until workers have switched pages, tasks may still go to the private ones; and
// the page's counts follow a record late, at the latest when the worker sleeps.
void wait_until_shared(pool& p, fake_agent& agent, const task_class& c) {
  run_tasks(p, c, 10);
  CHECK(eventually([&] {
    const auto [submitted, finished] = agent.counts(1);
    std::uint64_t all = 0;
    for (const auto& s : p.stats().classes)
      if (s.name == c.name()) all = s.finished;
    return submitted == all && finished == all;
  }));
}

}  // namespace

TEST_CASE("a pool works with no agent and says so") {
  fake_agent absent;
  pool p(towards(absent));
  task_class c("c");
  run_tasks(p, c, 1000);
  CHECK_FALSE(p.registered());
  CHECK(eventually([&] { return p.registration().attempts >= 2; }));
  CHECK(p.registration().text.find(absent.path()) != std::string::npos);
}

TEST_CASE("a pool names its workers and classes, moves to the shared pages and counts on") {
  fake_agent agent;
  agent.listen();
  pool p(towards(agent));
  task_class c("first", {.priority = 2, .weight = 5, .deadline = 7ms});
  run_tasks(p, c, 100);
  agent.register_pool(77);
  REQUIRE(eventually([&] { return p.registered(); }));
  CHECK(agent.pool_name == "test pool");
  CHECK(agent.nr_workers == p.workers() + p.spares());
  CHECK(agent.tids.size() == agent.nr_workers);
  CHECK(p.registration().generation == 77);
  CHECK(agent.pool_page().magic == TACTUS_MAGIC);
  CHECK(agent.pool_page().generation == 77);
  CHECK(agent.pool_page().nr_workers == agent.nr_workers);
  wait_until_shared(p, agent, c);
  while (agent.classes.empty()) agent.read_one();
  CHECK(std::string(agent.classes[0].name) == "first");
  CHECK(agent.classes[0].local_class == 1);
  CHECK(agent.classes[0].weight == 5);
  CHECK(agent.classes[0].deadline_us == 7000);
  CHECK(agent.classes[0].fingerprint[0] == c.id().high);

  // From here on every task is in the records of the shared pages.
  const auto all_asleep = [&] {
    for (unsigned i = 0; i < agent.nr_workers; ++i)
      if (__atomic_load_n(&agent.page(i).tag, __ATOMIC_RELAXED) != 0) return false;
    return true;
  };
  REQUIRE(eventually(all_asleep));
  std::vector<std::uint64_t> before, after;
  agent.take_records(before);
  std::uint64_t folded = 0;
  for (unsigned i = 0; i < agent.nr_workers; ++i) folded += agent.page(i).fold[1].count;
  run_tasks(p, c, 500);
  CHECK(eventually([&] {  // published at the latest when the workers sleep
    agent.take_records(after);
    std::uint64_t now_folded = 0;
    for (unsigned i = 0; i < agent.nr_workers; ++i) now_folded += agent.page(i).fold[1].count;
    return after[1] + now_folded - folded == 500;
  }));
  CHECK(eventually(all_asleep));
  const auto weight = [&] {
    std::uint64_t w = agent.pool_page().weight_submitted - agent.pool_page().weight_finished;
    for (unsigned i = 0; i < agent.nr_workers; ++i)
      w += agent.page(i).weight_submitted - agent.page(i).weight_finished;
    return w;
  };
  CHECK(weight() == 0);  // nothing waits in the pool
}

TEST_CASE("a waker leaves the tag of the task in next_tag") {
  fake_agent agent;
  agent.listen();
  pool p(towards(agent, 1));
  task_class c("c", {.priority = 2});
  agent.register_pool(1);
  REQUIRE(eventually([&] { return p.registered(); }));
  CHECK(eventually([&] {
    agent.page(0).next_tag = 0;
    std::this_thread::sleep_for(5ms);  // asleep by now
    run_tasks(p, c, 1);
    return agent.page(0).next_tag == tactus_tag_make(1, 2, 0);
  }));
}

TEST_CASE("a class added later is announced") {
  fake_agent agent;
  agent.listen();
  pool p(towards(agent));
  task_class first("first"), later("later", {.priority = 3});
  run_tasks(p, first, 1);
  agent.register_pool(1);
  REQUIRE(eventually([&] { return p.registered(); }));
  run_tasks(p, later, 1);
  while (agent.classes.size() < 2) agent.read_one();
  CHECK(agent.last_type == TACTUS_MSG_CLASSES);
  CHECK(std::string(agent.classes[1].name) == "later");
  CHECK(agent.classes[1].local_class == 2);
  CHECK(agent.classes[1].priority == 3);
  agent.send_registered(TACTUS_MSG_CLASS_MAP, 1);
  run_tasks(p, later, 10);
  CHECK(p.registered());
}

TEST_CASE("a class that is declared again with other attributes is described anew under its number") {
  fake_agent agent;
  agent.listen();
  pool p(towards(agent));
  const task_class before("changing", {.priority = 0, .weight = 2});
  run_tasks(p, before, 1);
  agent.register_pool(1);
  REQUIRE(eventually([&] { return p.registered(); }));
  while (agent.classes.empty()) agent.read_one();
  run_tasks(p, task_class("changing", {.priority = 2, .weight = 7}), 1);
  while (agent.classes.size() < 2) agent.read_one();
  CHECK(agent.classes[1].local_class == agent.classes[0].local_class);
  CHECK(agent.classes[1].fingerprint[0] == agent.classes[0].fingerprint[0]);
  CHECK(agent.classes[1].priority == 2);
  CHECK(agent.classes[1].weight == 7);
}

TEST_CASE("a class that comes back with other attributes is described anew") {
  fake_agent agent;
  agent.listen();
  pool p(towards(agent));
  p.core().classes.limits = {.retry_ms = 0, .unused_ms = 0};
  run_tasks(p, task_class("changing", {.priority = 0, .weight = 2}), 1);
  agent.register_pool(1);
  REQUIRE(eventually([&] { return p.registered(); }));
  const auto described = [&](unsigned priority) -> const tactus_class_desc* {
    for (const tactus_class_desc& c : agent.classes)
      if (std::string(c.name) == "changing" && c.priority == priority) return &c;
    return nullptr;
  };
  while (!described(0)) agent.read_one();
  CHECK(described(0)->weight == 2);
  // The last of these finds no number free and takes that of the class used first.
  for (int i = 0; i < TACTUS_MAX_LOCAL_CLASSES - 1; ++i) run_tasks(p, task_class("other " + std::to_string(i)), 1);
  REQUIRE(p.stats().evictions == 1);
  run_tasks(p, task_class("changing", {.priority = 2, .weight = 7, .deadline = 3ms}), 1);
  while (!described(2)) agent.read_one();
  CHECK(described(2)->weight == 7);
  CHECK(described(2)->deadline_us == 3000);
  CHECK(described(2)->fingerprint[0] == described(0)->fingerprint[0]);
}

TEST_CASE("an agent that comes later is found") {
  fake_agent agent;
  pool p(towards(agent));
  task_class c("c");
  run_tasks(p, c, 100);
  std::this_thread::sleep_for(150ms);
  CHECK_FALSE(p.registered());
  agent.listen();
  agent.register_pool(5);
  CHECK(eventually([&] { return p.registered(); }));
  wait_until_shared(p, agent, c);
}

TEST_CASE("a broken connection: back to private pages, work goes on, registered again") {
  fake_agent agent;
  agent.listen();
  pool p(towards(agent));
  task_class c("c");
  for (std::uint64_t generation = 1; generation <= 3; ++generation) {
    agent.register_pool(generation);
    REQUIRE(eventually([&] { return p.registered(); }));
    CHECK(p.registration().generation == generation);
    wait_until_shared(p, agent, c);
    agent.hang_up();
    CHECK(eventually([&] { return !p.registered(); }));
    run_tasks(p, c, 200);
  }
}

TEST_CASE("a worker in a long task does not hold up registration, and switches afterwards") {
  fake_agent agent;
  agent.listen();
  pool p(towards(agent, 1));
  task_class c("c");
  std::atomic<bool> started{false}, go{false};
  p.detach(c, [&] {
    started = true;
    go.wait(false);
  });
  while (!started) std::this_thread::yield();
  agent.register_pool(1);
  REQUIRE(eventually([&] { return p.registered(); }));
  CHECK(agent.page(0).tag == tactus_tag_make(1, 1, 0));  // visible although it began before
  go = true;
  go.notify_all();
  wait_until_shared(p, agent, c);
}

TEST_CASE("refused: again after the time the agent says, never when it says so") {
  fake_agent agent;
  agent.listen();
  pool p(towards(agent));
  agent.accept();
  agent.take_hello();
  agent.send_refused(50, "no scheduler is loaded");
  CHECK(eventually([&] { return p.registration().text.find("no scheduler is loaded") != std::string::npos; }));
  agent.hang_up();
  agent.accept();  // it comes back
  agent.take_hello();
  agent.send_refused(0, "not you");
  CHECK(eventually([&] { return p.registration().text.find("not you") != std::string::npos; }));
  agent.hang_up();
  const auto attempts = p.registration().attempts;
  std::this_thread::sleep_for(400ms);
  CHECK(p.registration().attempts == attempts);
  task_class c("c");
  run_tasks(p, c, 100);
}

TEST_CASE("refused after the pages were mapped: back to private pages") {
  fake_agent agent;
  agent.listen();
  pool p(towards(agent));
  task_class c("c");
  agent.accept();
  agent.take_hello();
  agent.send_pages(1);
  agent.take_mapped();
  run_tasks(p, c, 100);
  agent.send_refused(20, "seals");
  agent.hang_up();
  run_tasks(p, c, 100);
  agent.register_pool(2);
  CHECK(eventually([&] { return p.registered(); }));
  wait_until_shared(p, agent, c);
}

TEST_CASE("nonsense from the agent is not believed") {
  fake_agent agent;
  agent.listen();
  pool p(towards(agent));
  task_class c("c");
  SUBCASE("pages that could shrink under us") {
    agent.accept();
    agent.take_hello();
    agent.send_pages(1, false, false);
    CHECK(eventually([&] { return p.registration().text.find("not sealed") != std::string::npos; }));
  }
  SUBCASE("pages too small") {
    agent.accept();
    agent.take_hello();
    agent.send_pages(1, false, true, TACTUS_PAGE_BYTES);
    CHECK(eventually([&] { return p.registration().text.find("too small") != std::string::npos; }));
  }
  SUBCASE("REGISTERED without pages") {
    agent.accept();
    agent.take_hello();
    agent.send_registered(TACTUS_MSG_REGISTERED, 1);
    CHECK(eventually([&] { return p.registration().text.find("unexpected") != std::string::npos; }));
  }
  SUBCASE("another ABI") {
    agent.accept();
    agent.take_hello();
    tactus_msg_refused m{};
    fake_agent::fill(m, TACTUS_MSG_REFUSED);
    m.head.abi_version = 99;
    agent.send(&m, sizeof m);
    CHECK(eventually([&] { return p.registration().text.find("ABI") != std::string::npos; }));
  }
  CHECK_FALSE(p.registered());
  run_tasks(p, c, 100);
}

TEST_CASE("more workers than descriptors fit one message") {
  fake_agent agent;
  agent.listen();
  pool_options o = towards(agent, 260);
  o.spares = 0;
  pool p(o);
  agent.register_pool(1);
  CHECK(agent.tids.size() == 260);
  CHECK(eventually([&] { return p.registered(); }));
}

TEST_CASE("a pool that ends hangs up and leaves no work behind") {
  fake_agent agent;
  agent.listen();
  std::atomic<int> n{0};
  {
    pool p(towards(agent));
    agent.register_pool(1);
    for (int i = 0; i < 1000; ++i) p.detach([&] { ++n; });
  }
  CHECK(n == 1000);
  const auto read_all = [&] {
    for (;;) agent.read_one();
  };
  CHECK_THROWS(read_all());
}

TEST_CASE("a forked child of a registered pool does not touch the shared pages") {
  fake_agent agent;
  agent.listen();
  pool p(towards(agent));
  task_class c("c");
  agent.register_pool(1);
  REQUIRE(eventually([&] { return p.registered(); }));
  wait_until_shared(p, agent, c);
  const auto before = agent.counts(1);
  const pid_t child = fork();
  if (child == 0) {
    int n = 0;
    for (int i = 0; i < 100; ++i) p.detach(c, [&] { ++n; });
    _exit(n == 100 && !p.registered() ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(agent.counts(1) == before);
  wait_until_shared(p, agent, c);
}

TEST_CASE("published rows route tasks; nothing starves, whatever they say") {
  fake_agent agent;
  agent.listen();
  pool p(towards(agent, 2));
  task_class a("a"), b("b");
  run_tasks(p, a, 1);
  run_tasks(p, b, 1);
  agent.register_pool(1);
  REQUIRE(eventually([&] { return p.registered(); }));
  agent.table().nr_places = 2;  // every CPU is place 0; class 1 suits only place 1
  agent.table().suit[1][1] = 255;
  agent.table().suit[2][0] = 255;
  __atomic_store_n(&agent.table().sequence, 2, __ATOMIC_RELEASE);
  // There is always something of b to do; a must run all the same.
  std::atomic<bool> stop{false};
  // from outside, so that both classes are in inboxes
  std::thread feeder([&] {
    while (!stop) {
      p.detach(b, [] { std::this_thread::sleep_for(200us); });
      std::this_thread::sleep_for(50us);
    }
  });
  std::this_thread::sleep_for(20ms);
  CHECK(p.submit(a, [] { return 1; }).wait_for(10s));
  stop = true;
  feeder.join();
  p.wait();
}
