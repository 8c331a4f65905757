// SPDX-License-Identifier: Apache-2.0
// Every field of the machine state has one provider, and a provider writes its own fields only.
#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "agent/sense/provider.h"
#include "machines.h"

using namespace tactus::sense;
using namespace tactus::test;

namespace {

// Counters of a machine with a PMU: 2 % of the loads miss the first level, half of those the
// second, a tenth of those the last.
struct fake_counters final : cache_counter_source {
  std::optional<cache_counts> read() override {
    if (!there) return std::nullopt;
    now.l1_loads += 1e6;
    now.l1_misses += 2e4;
    now.llc_loads += 1e4;
    now.llc_misses += 1e3;
    return now;
  }
  cache_counts now;
  bool there = true;
};

std::uint32_t slots_of(const std::vector<field> &fields) {
  std::uint32_t mask = 0;
  for (unsigned i = 0; i < k_nr_state; ++i)
    for (field f : fields)
      if (state_slots()[i].of == f) mask |= 1u << i;
  return mask;
}

// A machine with every source at once.
sampler_options everything(const fixture_tree &tree, int step) {
  laptop(tree, step);
  server(tree, step);
  sampler_options options = of(tree);
  options.counters = std::make_shared<fake_counters>();
  return options;
}

}  // namespace

TEST_CASE("every field has exactly one provider and at least one index") {
  fixture_tree tree;
  std::map<field, int> providers;
  std::set<std::string> names;
  for (const auto &p : make_providers(of(tree))) {
    CHECK(names.insert(p->name()).second);
    for (field f : p->fields()) ++providers[f];
  }
  CHECK(providers.size() == k_nr_fields);
  for (const auto &[f, count] : providers) {
    CHECK(count == 1);
    CHECK(slots_of({f}) != 0);
  }
}

TEST_CASE("a provider writes the indices of its own fields, all of them, and no other") {
  fixture_tree tree;
  const sampler_options options = everything(tree, 1);
  // Shares per CPU need the CPUs: all others are looked at on top of them.
  raw_state cpus;
  const auto cpu_time = make_cpu_time(options);
  const auto all = make_providers(options);
  cpu_time->sample({{10, 6}, 1}, cpus);
  std::vector<raw_state> raws(all.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i]->sample({{10, 6}, 1}, raws[i]);
  everything(tree, 2);
  cpu_time->sample({{10.1, 6}, 2}, cpus);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::string name = all[i]->name();
    CAPTURE(name);
    all[i]->sample({{10.1, 6}, 2}, raws[i]);
    const bool is_cpus = !raws[i].cpus.empty();
    raw_state on_top = raws[i];
    if (!is_cpus) on_top.cpus = cpus.cpus;
    raw_state below;
    if (!is_cpus) below.cpus = cpus.cpus;
    CHECK((encode(on_top).present & ~encode(below).present) == slots_of(all[i]->fields()));
  }
  sampler s(options);
  s.sample({10, 6});
  everything(tree, 3);
  CHECK(s.sample({10.1, 6}).present == 0xffffffffu);
}

TEST_CASE("without its files a provider writes nothing") {
  fixture_tree tree;
  for (const auto &p : make_providers(of(tree))) {
    const std::string name = p->name();
    CAPTURE(name);
    raw_state raw;
    p->sample({{}, 1}, raw);
    p->sample({{}, 2}, raw);
    CHECK(encode(raw).present == 0);
  }
}

TEST_CASE("cache misses come from the counters, and are absent once those cannot be read") {
  fixture_tree tree;
  sampler_options options = of(tree);
  const auto counters = std::make_shared<fake_counters>();
  options.counters = counters;
  sampler s(options);
  CHECK(s.sample().present == 0);  // rates need two readings
  const auto state = s.sample();
  CHECK(state.value[k_l1_miss_rate] == doctest::Approx(0.02));
  CHECK(state.value[k_l2_miss_rate] == doctest::Approx(0.5));
  CHECK(state.value[k_l3_miss_rate] == doctest::Approx(0.1));
  counters->there = false;
  CHECK(s.sample().present == 0);
}

TEST_CASE("this machine's counters: read where they may be, else none, and never a crash") {
  const auto counters = open_cache_counters();
  if (!counters) return;
  const auto before = counters->read();
  const auto after = counters->read();
  if (before && after) CHECK(after->l1_loads >= before->l1_loads);
}

TEST_CASE("the sampler tells of each source when and how long it was read") {
  fixture_tree tree;
  sampler s(of(tree));
  s.sample();
  s.sample();
  const auto sources = s.sources();
  CHECK(sources.size() == make_providers(of(tree)).size());
  for (const source_report &r : sources) {
    CHECK(r.samples == 2);
    CHECK_FALSE(r.fields.empty());
  }
}

TEST_CASE("docs/machine-state.md says of each index what the code says") {
  const char *const root = std::getenv("TACTUS_SOURCE_DIR");
  if (!root) return;
  std::ifstream in(std::string(root) + "/docs/machine-state.md");
  REQUIRE(in);
  std::stringstream page;
  page << in.rdbuf();
  fixture_tree tree;
  std::map<field, std::string> source;
  for (const auto &p : make_providers(of(tree)))
    for (field f : p->fields()) source[f] = p->name();
  for (unsigned i = 0; i < k_nr_state; ++i) {
    const state_slot &slot = state_slots()[i];
    const std::string row = "| " + std::to_string(i) + " | `" + slot.name + "` | " + slot.meaning + " | " + source[slot.of] + " |";
    CAPTURE(row);
    CHECK(page.str().find(row) != std::string::npos);
  }
}
