// SPDX-License-Identifier: Apache-2.0
// The registration server against pools that keep to the protocol, and against ones that do not.
#include "agent/publish/memory_maps.h"
#include "agent/serve/registry.h"
#include "tests/unit/agent/registration_client.h"

#include <doctest/doctest.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <thread>

using namespace tactus::agent;
using namespace tactus::agent::test;
using namespace std::chrono_literals;

namespace {

struct server {
  std::string folder;
  class_slots slots{32};
  pool_table pools;
  std::shared_ptr<memory_maps> maps;
  std::unique_ptr<registry> reg;

  explicit server(registration_limits limits = {}, bool with_maps = true, memory_maps::machine machine = {}) {
    char name[] = "/tmp/tactus-reg-XXXXXX";
    folder = ::mkdtemp(name);
    maps = std::make_shared<memory_maps>(machine);
    reg = std::make_unique<registry>(path(), slots, pools, limits, [](std::uint32_t) { return true; }, [] { return false; });
    reg->start();
    if (with_maps) reg->attach(maps);
  }
  ~server() {
    reg.reset();
    std::filesystem::remove_all(folder);
  }
  std::string path() const { return folder + "/s"; }
  tactus_pool_conf conf(unsigned index) const {
    tactus_pool_conf c{};
    maps->get_pool(index, c);
    return c;
  }
  bool all_gone() const {
    return eventually([&] { return pools.all().empty() && maps->workers().empty() && reg->figures_now().connections == 0; });
  }
};

}  // namespace

TEST_CASE("a pool registers: its threads are stored with their pages, its entry and classes stand in the map") {
  server s;
  sleepers threads(3);
  client c(s.path());
  REQUIRE(c.register_pool(threads.tids(), {{1, 11}, {5, 55}}));
  CHECK(c.page_bytes == 4 * TACTUS_PAGE_BYTES);
  const auto stored = s.maps->workers();
  REQUIRE(stored.size() == 3);
  for (unsigned i = 0; i < 3; i++) {
    CHECK(stored[i].tid == threads.tids()[i]);
    CHECK(stored[i].entry.worker == i);
    CHECK(stored[i].entry.pool == c.registered.pool);
    // What the pool writes is what stands at the stored address.
    c.page(i)->tag = 100 + i;
    CHECK(static_cast<tactus_tag_page*>(stored[i].entry.page)->tag == 100 + i);
  }
  const tactus_pool_conf conf = s.conf(c.registered.pool);
  CHECK(conf.in_use == 1);
  CHECK(conf.uid == ::getuid());
  CHECK(conf.nr_workers == 3);
  CHECK(conf.slot_of[1] == c.registered.slot_of[1]);
  CHECK(conf.slot_of[1] != 0);
  CHECK(conf.slot_of[5] != conf.slot_of[1]);
  CHECK(std::string(conf.name) == "test");
  const auto* pool_page = static_cast<const tactus_pool_page*>(c.memory);
  CHECK(pool_page->magic == TACTUS_MAGIC);
  CHECK(pool_page->nr_workers == 3);
  CHECK(c.route->nr_places == 4);
  CHECK(c.route->place_of_cpu[2] == 2);
  CHECK(c.route->sequence == 0);

  c.close();
  CHECK(s.all_gone());
  CHECK(s.conf(c.registered.pool).in_use == 0);
}

TEST_CASE("after registration the memory can be neither resized, punched, written anew nor unsealed") {
  server s;
  sleepers threads(1);
  client c(s.path());
  REQUIRE(c.register_pool(threads.tids()));
  const int fd = c.page_fd.get();
  const int wanted = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
  CHECK((::fcntl(fd, F_GET_SEALS) & wanted) == wanted);
  CHECK(::ftruncate(fd, 4096) != 0);
  CHECK(::ftruncate(fd, 1 << 20) != 0);
  CHECK(::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096) != 0);
  CHECK(::pwrite(fd, "x", 1, 0) != 1);
  CHECK(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
  c.page(0)->tag = 7;  // the mapping that was made in time goes on
  // The route table can be read, and never written by the pool.
  CHECK(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, c.route_fd.get(), 0) == MAP_FAILED);
  CHECK(::pwrite(c.route_fd.get(), "x", 1, 0) != 1);
  CHECK(::mprotect(const_cast<tactus_route_table*>(c.route), 4096, PROT_READ | PROT_WRITE) != 0);
}

TEST_CASE("more threads than one message holds are named in several") {
  server s;
  sleepers threads(7);
  client c(s.path());
  REQUIRE(c.hello(threads.tids(), "many", 3));
  CHECK(c.receive().type() == TACTUS_MSG_PAGES);
}

TEST_CASE("threads of another process are refused, and none of the named is stored") {
  server s;
  sleepers threads(2);
  const pid_t child = ::fork();
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  auto tids = threads.tids();
  tids.push_back(child);
  client c(s.path());
  REQUIRE(c.hello(tids));
  const reply r = c.receive();
  CHECK(r.refusal() == TACTUS_REFUSED_FOREIGN_THREAD);
  CHECK(r.as<tactus_msg_refused>().retry_ms == 0);
  CHECK(c.receive().closed);
  CHECK(s.all_gone());

  // The other way round: a child that names its parent's threads over a socket of its own.
  const pid_t thief = ::fork();
  if (thief == 0) {
    client t(s.path());
    t.hello(threads.tids());
    ::_exit(t.receive().refusal() == TACTUS_REFUSED_FOREIGN_THREAD ? 0 : 1);
  }
  int status = 1;
  ::waitpid(thief, &status, 0);
  CHECK(status == 0);

  // And one that got the socket of a process that is the threads' owner keeps to that owner.
  client lent(s.path());
  const pid_t borrower = ::fork();
  if (borrower == 0) {
    lent.hello({::getpid()});
    ::_exit(lent.receive().refusal() == TACTUS_REFUSED_FOREIGN_THREAD ? 0 : 1);
  }
  ::waitpid(borrower, &status, 0);
  CHECK(status == 0);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

TEST_CASE("files that are no pidfds, of whatever kind, are refused") {
  server s;
  int pipe_fds[2];
  REQUIRE(::pipe(pipe_fds) == 0);
  const unique_fd r(pipe_fds[0]), w(pipe_fds[1]);
  const unique_fd null(::open("/dev/null", O_RDWR)), self(::open("/proc/self", O_RDONLY | O_DIRECTORY));
  for (const int fd : {r.get(), w.get(), null.get(), self.get()}) {
    client c(s.path());
    tactus_msg_workers m{};
    fill_head(m.head, TACTUS_MSG_HELLO, sizeof(m));
    m.nr_workers_total = m.nr_here = 1;
    REQUIRE(c.send(&m, sizeof(m), {fd}));
    const unsigned why = c.receive().refusal();
    CHECK((why == TACTUS_REFUSED_MALFORMED || why == TACTUS_REFUSED_FOREIGN_THREAD));
  }
  CHECK(s.all_gone());
}

TEST_CASE("seals that the pool set itself are noticed") {
  server s;
  sleepers threads(1);
  client c(s.path());
  REQUIRE(c.hello(threads.tids()));
  reply pages = c.receive();
  REQUIRE(pages.type() == TACTUS_MSG_PAGES);
  // Locked before the agent can add FUTURE_WRITE: hole punching would stay possible.
  REQUIRE(::fcntl(pages.fds[0].get(), F_ADD_SEALS, F_SEAL_SEAL) == 0);
  REQUIRE(c.mapped());
  CHECK(c.receive().refusal() == TACTUS_REFUSED_SEALS);
  CHECK(s.all_gone());
}

TEST_CASE("quotas of pools and workers hold per user and are given back") {
  registration_limits limits;
  limits.pools_per_uid = 2;
  limits.workers_per_uid = 5;
  server s(limits);
  sleepers threads(4);
  const std::vector<pid_t> two(threads.tids().begin(), threads.tids().begin() + 2);
  client big(s.path());
  REQUIRE(big.hello(std::vector<pid_t>(6, threads.tids()[0])));
  CHECK(big.receive().refusal() == TACTUS_REFUSED_QUOTA);
  client a(s.path()), b(s.path()), c(s.path());
  REQUIRE(a.register_pool(two));
  REQUIRE(b.register_pool({threads.tids()[2]}));
  REQUIRE(c.hello({threads.tids()[3]}));
  const reply r = c.receive();
  CHECK(r.refusal() == TACTUS_REFUSED_QUOTA);
  CHECK(r.as<tactus_msg_refused>().retry_ms > 0);
  a.close();
  CHECK(eventually([&] { return s.pools.all().size() == 1; }));
  client d(s.path());
  CHECK(d.register_pool(two));
}

TEST_CASE("a pool that comes back finds its slots; new classes get theirs over the open connection") {
  server s;
  sleepers threads(1);
  unsigned first = 0;
  {
    client c(s.path());
    REQUIRE(c.register_pool(threads.tids(), {{1, 100}}));
    first = c.registered.slot_of[1];
    REQUIRE(c.classes({{2, 200}}));
    const reply r = c.receive();
    REQUIRE(r.type() == TACTUS_MSG_CLASS_MAP);
    const auto map = r.as<tactus_msg_registered>();
    CHECK(map.slot_of[1] == first);
    CHECK(map.slot_of[2] != 0);
    CHECK(map.slot_of[2] != first);
    CHECK(s.conf(c.registered.pool).slot_of[2] == map.slot_of[2]);
  }
  CHECK(s.all_gone());
  client again(s.path());
  REQUIRE(again.register_pool(threads.tids(), {{7, 100}}));
  CHECK(again.registered.slot_of[7] == first);
  CHECK(s.slots.snapshot()[first].users == 1);
}

TEST_CASE("a thread that is gone, or a map that refuses, leaves nothing behind") {
  server s;
  sleepers threads(3);
  s.maps->fail_workers(-ENOMEM, 2);
  client c(s.path());
  CHECK_FALSE(c.register_pool(threads.tids()));
  CHECK(s.all_gone());
  for (unsigned i = 0; i < TACTUS_MAX_POOLS; i++) CHECK(s.conf(i).in_use == 0);
  s.maps->fail_workers(0, 0);
  pid_t gone = 0;
  std::thread([&] { gone = static_cast<pid_t>(::syscall(SYS_gettid)); }).join();
  client d(s.path());
  tactus_msg_workers m{};
  fill_head(m.head, TACTUS_MSG_HELLO, sizeof(m));
  m.nr_workers_total = m.nr_here = 1;
  const auto dead = open_thread_pidfd(gone);  // not to be had: nothing is sent along
  CHECK_FALSE(dead);
  REQUIRE(d.send(&m, sizeof(m)));
  CHECK(d.receive().refusal() == TACTUS_REFUSED_MALFORMED);
}

TEST_CASE("without a scheduler pools are told to come again; when it goes they are dropped") {
  server s({}, false);
  sleepers threads(1);
  client early(s.path());
  REQUIRE(early.hello(threads.tids()));
  const reply r = early.receive();
  CHECK(r.refusal() == TACTUS_REFUSED_NO_SCHEDULER);
  CHECK(r.as<tactus_msg_refused>().retry_ms > 0);
  s.reg->attach(s.maps);
  client c(s.path());
  REQUIRE(c.register_pool(threads.tids()));
  s.reg->detach();
  CHECK(c.receive().refusal() == TACTUS_REFUSED_NO_SCHEDULER);
  CHECK(c.receive().closed);
  CHECK(s.all_gone());
}

TEST_CASE("entries that an earlier agent left are cleared, their serial goes on") {
  server s({}, false);
  tactus_pool_conf old{};
  old.in_use = 1;
  old.serial = 41;
  for (unsigned i = 0; i < TACTUS_MAX_POOLS; i++) s.maps->set_pool(i, old);
  s.reg->attach(s.maps);
  for (unsigned i = 0; i < TACTUS_MAX_POOLS; i++) CHECK(s.conf(i).in_use == 0);
  sleepers threads(1);
  client c(s.path());
  REQUIRE(c.register_pool(threads.tids()));
  CHECK(s.conf(c.registered.pool).serial == 42);
}

TEST_CASE("messages out of turn, damaged ones and random bytes do no harm") {
  server s;
  sleepers threads(2);
  const auto refused = [&](auto&& f) {
    client c(s.path());
    f(c);
    return c.receive().refusal();
  };
  CHECK(refused([](client& c) { c.mapped(); }) == TACTUS_REFUSED_MALFORMED);
  CHECK(refused([](client& c) { c.classes({{1, 1}}); }) == TACTUS_REFUSED_MALFORMED);
  CHECK(refused([](client& c) { c.send("x", 1); }) == TACTUS_REFUSED_MALFORMED);
  CHECK(refused([&](client& c) {
    c.hello(threads.tids());
    c.receive();
    c.hello(threads.tids());
  }) == TACTUS_REFUSED_MALFORMED);

  std::mt19937 random(3);
  for (int i = 0; i < 400; i++) {
    client c(s.path());
    REQUIRE(c.connected());
    std::vector<char> bytes(random() % 9000);
    for (auto& b : bytes) b = static_cast<char>(random());
    if (bytes.size() > sizeof(tactus_msg_head) && i % 3 != 0) {
      tactus_msg_head head;
      fill_head(head, static_cast<tactus_message_type>(1 + random() % 4), bytes.size());
      std::memcpy(bytes.data(), &head, sizeof(head));
    }
    if (i % 4 == 0) c.hello(threads.tids());
    std::vector<int> fds;
    if (i % 5 == 0) fds = {c.fd(), 0};
    c.send(bytes.data(), bytes.size(), fds, MSG_DONTWAIT);
    if (i % 4 == 0) c.mapped();
  }
  client good(s.path());
  CHECK(good.register_pool(threads.tids()));
  good.close();
  CHECK(s.all_gone());
}

TEST_CASE("a client that never reads is dropped, the others are served meanwhile") {
  registration_limits limits;
  limits.messages_per_s = 1000000;
  server s(limits);
  sleepers threads(2);
  client deaf(s.path());
  REQUIRE(deaf.register_pool({threads.tids()[0]}));
  // Answers pile up until its buffer is full. EAGAIN: the server has not got round to reading.
  bool dropped = false;
  for (const auto end = std::chrono::steady_clock::now() + 30s; !dropped && std::chrono::steady_clock::now() < end;) {
    if (deaf.classes({{1, 1}}, MSG_DONTWAIT)) continue;
    dropped = errno != EAGAIN;
    if (!dropped) std::this_thread::sleep_for(1ms);
  }
  CHECK(dropped);
  client good(s.path());
  CHECK(good.register_pool({threads.tids()[1]}));
}

TEST_CASE("half-open registrations end, and one user cannot hold all connections") {
  registration_limits limits;
  limits.handshake_ns = 300'000'000;
  limits.pools_per_uid = 4;
  server s(limits);
  sleepers threads(1);
  client half(s.path());
  REQUIRE(half.hello(threads.tids()));
  CHECK(half.receive().type() == TACTUS_MSG_PAGES);
  CHECK(half.receive().refusal() == TACTUS_REFUSED_MALFORMED);
  std::vector<std::unique_ptr<client>> many;
  for (int i = 0; i < 40; i++) many.push_back(std::make_unique<client>(s.path()));
  CHECK(eventually([&] { return s.reg->figures_now().refused >= 28; }));
  CHECK(s.reg->figures_now().connections <= 12);
  CHECK(s.all_gone());  // they time out
}

TEST_CASE("a flood of messages from one client is refused") {
  registration_limits limits;
  limits.messages_per_s = 20;
  server s(limits);
  sleepers threads(1);
  client c(s.path());
  REQUIRE(c.register_pool(threads.tids()));
  for (int i = 0; i < 40; i++) c.classes({{1, 1}}, MSG_DONTWAIT);
  unsigned why = 0;
  // What it sent and nobody read makes the first receive say "connection reset"; the answers follow.
  for (int i = 0; i < 60 && why == 0; i++) why = c.receive(1000).refusal();
  CHECK(why == TACTUS_REFUSED_QUOTA);
}

TEST_CASE("the home domain is one that the threads may use") {
  cpu_set_t here;
  REQUIRE(::sched_getaffinity(0, sizeof(here), &here) == 0);
  memory_maps::machine machine;
  machine.cpus = 64;
  machine.domains = 64;
  server s({}, true, machine);
  sleepers threads(1);
  client c(s.path());
  REQUIRE(c.register_pool(threads.tids()));
  CHECK(CPU_ISSET(s.conf(c.registered.pool).home_domain, &here));
}

TEST_CASE("a living socket is not taken over, a stale one is") {
  server s;
  CHECK_THROWS_AS(listen_on(s.path(), 0600), socket_error);
  const std::string stale = s.folder + "/stale";
  { const unique_fd dead = listen_on(stale, 0600); }
  CHECK_NOTHROW(listen_on(stale, 0600));
  const std::string file = s.folder + "/file";
  { const unique_fd f(::open(file.c_str(), O_CREAT | O_WRONLY, 0600)); }
  CHECK_THROWS_AS(listen_on(file, 0600), socket_error);
}
