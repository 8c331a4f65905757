// SPDX-License-Identifier: Apache-2.0
// What completion events earn, by domain and user, and the sums by term.
#include "agent/publish/reward_ledger.h"

#include <doctest/doctest.h>

using namespace tactus::agent;
namespace learn = tactus::learn;

namespace {

learn::reward_weights seed() {
  learn::learner_config c;
  learn::set_reward_preset(c, "seed");
  return learn::rewards_of(c);
}

// Two nodes: place 0 in domain 0 on node 0, place 1 in domain 1 on node 1. Class 5 takes 1 ms.
reward_surroundings two_nodes() {
  reward_surroundings s;
  s.expected_ns[5] = 1e6;
  s.urgent[5] = true;
  s.utilisation.fill(0.5);
  s.node[1] = s.home_node[1] = 1;
  s.several_nodes = true;
  return s;
}

struct event_of {
  tactus_completion_event event{};
  completion_split split;

  event_of(unsigned domain, unsigned place, double task_ns, unsigned count, unsigned flags = 0) {
    event.head.domain = static_cast<__u8>(domain);
    event.place = static_cast<__u8>(place);
    event.nr_records = 1;
    event.records[0].count = static_cast<__u16>(count);
    event.records[0].flags = static_cast<__u8>(flags);
    split.nr = 1;
    split.slot[0] = 5;
    split.task_ns[0] = task_ns;
  }
};

}  // namespace

TEST_CASE("points go to the domain and user of the event, each task of a record counted") {
  reward_ledger ledger(seed());
  ledger.surroundings(two_nodes());
  const event_of home(0, 0, 2e6, 3);
  ledger.credit(home.event, home.split, 7);
  // efficiency 5 and utilisation 1, off 3.5 absent of 21.5
  CHECK(ledger.points(0, 7) == doctest::Approx(3 * 6 * 21.5 / 18));
  CHECK(ledger.points(0, 8) == 0);
  CHECK(ledger.points(1, 7) == 0);
  const auto f = ledger.figures_now();
  CHECK(f.tasks == 3);
  CHECK(f.tasks_of[learn::efficiency_term] == 3);
  CHECK(f.tasks_of[learn::cache_term] == 0);
  CHECK(f.sum[learn::efficiency_term] == doctest::Approx(3 * 5 * 21.5 / 18));
  CHECK(f.total == doctest::Approx(ledger.points(0, 7)));
}

TEST_CASE("a task off its home node, a hot machine and cache misses earn less; a deadline met in haste more") {
  const auto points = [](const reward_surroundings& s, const event_of& e) {
    reward_ledger ledger(seed());
    ledger.surroundings(s);
    ledger.credit(e.event, e.split, 0);
    return ledger.points(e.event.head.domain, 0);
  };
  reward_surroundings s = two_nodes();
  s.miss_rate = 0.1;
  s.heat = 0;
  const double home = points(s, {0, 0, 1e6, 1});
  CHECK(points(s, {0, 1, 1e6, 1}) == doctest::Approx(home - 1));
  CHECK(points(s, {0, 0, 1e6, 1, TACTUS_RECORD_DEADLINE}) == doctest::Approx(home + 5));
  CHECK(points(s, {0, 0, 1e6, 1, TACTUS_RECORD_DEADLINE | TACTUS_RECORD_MISSED}) == doctest::Approx(home));
  s.urgent[5] = false;
  CHECK(points(s, {0, 0, 1e6, 1, TACTUS_RECORD_DEADLINE}) == doctest::Approx(home));
  s.heat = 1;
  CHECK(points(s, {0, 0, 1e6, 1}) == doctest::Approx(home - 0.5));
  s.miss_rate = 0.6;
  CHECK(points(s, {0, 0, 1e6, 1}) == doctest::Approx(home - 0.5 - 1.5));
}

TEST_CASE("with the cost alone nothing is credited") {
  reward_ledger ledger(learn::rewards_of({}));
  CHECK_FALSE(ledger.on());
  const event_of e(0, 0, 1e6, 1);
  ledger.credit(e.event, e.split, 0);
  CHECK(ledger.figures_now().tasks == 0);
  CHECK(ledger.points(0, 0) == 0);
}
