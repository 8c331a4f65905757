// SPDX-License-Identifier: Apache-2.0
// Task classes: fingerprints, local numbers, the bound of 63, descriptions.
#include "class_table.h"

#include <algorithm>
#include <chrono>
#include <doctest/doctest.h>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace tactus;
using detail::class_table;

TEST_CASE("a fingerprint depends on the name alone and is the published FNV-1a") {
  CHECK(fingerprint_of_name("audio") == fingerprint_of_name(std::string("aud") + "io"));
  CHECK_FALSE(fingerprint_of_name("audio") == fingerprint_of_name("audi0"));
  // Fixed: stored by agents across runs, so it may not change silently. The upper 96 bits
  // are those of FNV-1a 128 of "name:audio", computed independently.
  const fingerprint audio = fingerprint_of_name("audio");
  CHECK(audio.key().high == 0xdd0a5743b439faf8ull);
  CHECK(audio.key().low == 0x30e261d780000000ull);
}

TEST_CASE("call sites differ by line and by size bucket, not by folder") {
  const auto a = std::source_location::current();
  const auto b = std::source_location::current();
  CHECK_FALSE(fingerprint_of_site(a) == fingerprint_of_site(b));
  CHECK(fingerprint_of_site(a) == fingerprint_of_site(a, 0));
  CHECK_FALSE(fingerprint_of_site(a, 1) == fingerprint_of_site(a, 2));
}

TEST_CASE("each field of a fingerprint says how it is known") {
  const fingerprint bare = fingerprint_of_name("x");
  CHECK(bare.is_named());
  CHECK(bare.size_bucket() == 0);
  CHECK(bare.origin_of(feature::loop_depth) == origin::unknown);
  CHECK(bare.origin_of(feature::run_time) == origin::measured);
  const task_class c("x", {.priority = 2, .deadline = std::chrono::milliseconds(1), .features = {.loop_depth = 0.5f}});
  CHECK(c.id().origin_of(feature::loop_depth) == origin::declared);
  CHECK(c.id().origin_of(feature::priority) == origin::declared);
  CHECK(c.id().origin_of(feature::deadline_pressure) == origin::measured);
  CHECK(c.id().origin_of(feature::vectorization) == origin::unknown);
  CHECK(c.id().key() == bare.key());  // to declare more does not make it another class
  CHECK_FALSE(c.id() == bare);
  const fingerprint site = fingerprint_of_site(std::source_location::current(), 3);
  CHECK_FALSE(site.is_named());
  CHECK(site.size_bucket() == 3);
}

TEST_CASE("all thirteen features can be declared, and are described as declared") {
  const task_class all("all", {.features = {.compute_intensity = 0.1f, .sequential_access = 0.1f, .data_size_log2 = 0.1f,
                                            .cache_locality = 0.1f, .loop_depth = 0.1f, .dependencies = 0.1f,
                                            .branch_divergence = 0.1f, .vectorization = 0.1f, .latency_sensitivity = 0.1f,
                                            .preferred_node = 0.1f, .deadline_pressure = 0.1f, .run_time = 0.1f}});
  class_table table;
  table.named(all);
  CHECK(class_table::describe(table.entry(1)).declared == (1u << k_features) - 1);
  for (unsigned f = 0; f < k_features; ++f) CHECK(all.id().origin_of(static_cast<feature>(f)) == origin::declared);
}

TEST_CASE("options are clamped") {
  task_class wild("wild", {.priority = 99, .weight = -5, .deadline = std::chrono::nanoseconds(-1)});
  CHECK(wild.options().priority == 3);
  CHECK(wild.options().weight == 1);
  CHECK(wild.options().deadline.count() == 0);
  CHECK(task_class(std::string(100, 'x')).name().size() == 31);
}

TEST_CASE("a class keeps its number; objects of one name share it") {
  class_table table;
  task_class a("a", {.priority = 2, .weight = 7}), again("a"), b("b");
  const auto& entry = table.named(a);
  CHECK(entry.local == 1);
  CHECK(&table.named(a) == &entry);
  CHECK(&table.named(again) == &entry);
  CHECK(table.named(b).local == 2);
  CHECK(entry.priority == 2);
  CHECK(entry.weight == 7);
  CHECK(tactus_tag_class(entry.tag) == 1);
  CHECK(tactus_tag_priority(entry.tag) == 2);
  CHECK(table.of_priority(2) == 0b010);
  CHECK(table.of_priority(1) == 0b101);
}

TEST_CASE("declared again with other options: they count from then on, under the same number and for all objects") {
  class_table table;
  int told = 0;
  table.on_new_class = [&] { ++told; };
  const task_class first("a", {.priority = 3, .weight = 7}), second("a", {.priority = 0, .weight = 2}), bare("a");
  const auto& before = table.named(first);
  CHECK(told == 1);
  CHECK(&table.named(bare) == &before);  // says nothing, changes nothing
  const auto& after = table.named(second);
  CHECK(told == 2);
  CHECK(after.local == before.local);
  CHECK(after.priority == 0);
  CHECK(after.weight == 2);
  CHECK(before.priority == 3);  // who holds the record goes on with it
  for (const task_class* c : {&first, &second, &bare}) CHECK(&table.named(*c) == &after);
  CHECK(class_table::describe(table.entry(1)).weight == 2);
  CHECK(table.of_priority(0) == 0b10);
  CHECK(table.of_priority(3) == 0b10);  // tasks of before may be queued
  table.forget_other_priorities(1, [] { return false; });
  CHECK(table.of_priority(3) == 0b10);
  table.forget_other_priorities(1, [] { return true; });
  CHECK(table.of_priority(3) == 0);
  CHECK(table.of_priority(0) == 0b10);
  table.has_task_of(1, 3);
  CHECK(table.of_priority(3) == 0b10);
  const task_class same("a", {.priority = 0, .weight = 2}), deadline("a", {.priority = 0, .weight = 2, .deadline = std::chrono::seconds(1)}),
      feature("a", {.priority = 0, .weight = 2, .features = {.loop_depth = 0.5f}});
  CHECK(&table.named(same) == &after);
  CHECK(told == 2);
  CHECK(table.named(deadline).deadline_ns == 1'000'000'000);
  CHECK(table.named(feature).deadline_ns == 0);
  CHECK(class_table::describe(table.entry(1)).declared == ((1u << TACTUS_FEATURE_LOOP_DEPTH) | (1u << TACTUS_FEATURE_PRIORITY)));
  CHECK(told == 4);
}

TEST_CASE("while all numbers are in use the 64th class and later ones are class 0") {
  class_table table;
  int added = 0;
  table.on_new_class = [&] { ++added; };
  std::vector<std::unique_ptr<task_class>> classes;
  for (int i = 0; i < 80; ++i) {
    classes.push_back(std::make_unique<task_class>("class " + std::to_string(i)));
    CHECK(table.named(*classes.back()).local == (i < 63 ? i + 1 : 0));
  }
  CHECK(table.size() == 64);
  CHECK(added == 63);
  CHECK(table.at_site(std::source_location::current(), 0).local == 0);
}

TEST_CASE("a call site is found again and carries file and line") {
  class_table table;
  const auto here = std::source_location::current();
  const auto& first = table.at_site(here, 0);
  CHECK(first.local == 1);
  CHECK(&table.at_site(here, 0) == &first);
  CHECK(table.at_site(here, 3).local == 2);
  CHECK(table.entry(1).name == "class_table_test.cpp:" + std::to_string(here.line()));
}

TEST_CASE("threads that add the same classes at once agree") {
  class_table table;
  std::vector<std::unique_ptr<task_class>> classes;
  for (int i = 0; i < 40; ++i) classes.push_back(std::make_unique<task_class>("c" + std::to_string(i)));
  std::vector<std::vector<int>> seen(4);
  std::vector<std::thread> threads;
  for (auto& mine : seen)
    threads.emplace_back([&] {
      for (const auto& c : classes) mine.push_back(table.named(*c).local);
    });
  for (auto& t : threads) t.join();
  for (const auto& mine : seen) CHECK(mine == seen[0]);
  CHECK(table.size() == 41);
}

TEST_CASE("a description says what was declared and nothing else") {
  class_table table;
  task_class c("audio", {.priority = 3, .weight = 4, .deadline = std::chrono::milliseconds(5),
                         .features = {.latency_sensitivity = 1.0f, .preferred_node = 0.5f}});
  const auto& e = table.named(c);
  const tactus_class_desc d = class_table::describe(table.entry(e.local));
  CHECK(std::string(d.name) == "audio");
  CHECK(d.priority == 3);
  CHECK(d.weight == 4);
  CHECK(d.deadline_us == 5000);
  CHECK(d.fingerprint[0] == c.id().high);
  CHECK(d.fingerprint[1] == c.id().key().low);
  CHECK(d.declared == ((1u << TACTUS_FEATURE_LATENCY_SENSITIVITY) | (1u << TACTUS_FEATURE_PREFERRED_NODE) |
                       (1u << TACTUS_FEATURE_PRIORITY)));
  CHECK(d.features[TACTUS_FEATURE_LATENCY_SENSITIVITY] == 255);
  CHECK(d.features[TACTUS_FEATURE_PREFERRED_NODE] == 128);
  CHECK(d.features[TACTUS_FEATURE_LOOP_DEPTH] == 0);
}

namespace {

// A table that evicts at once what is not in use, and counts that the test sets.
struct evicting_table {
  class_table table;
  detail::class_counts of[TACTUS_MAX_LOCAL_CLASSES];
  std::vector<std::unique_ptr<task_class>> classes;
  evicting_table() {
    table.limits = {.retry_ms = 0, .unused_ms = 0};
    table.count_local = [this](unsigned local) { return of[local]; };
  }
  const task_class& make(const std::string& name, const class_options& options = {}) {
    classes.push_back(std::make_unique<task_class>(name, options));
    return *classes.back();
  }
  void use(unsigned local, std::uint64_t tasks = 1) { of[local].submitted += tasks, of[local].finished += tasks; }
};

}  // namespace

TEST_CASE("the class unused for longest gives its number to a new one; one in use does not") {
  evicting_table t;
  for (int i = 1; i <= 63; ++i) t.table.named(t.make("class " + std::to_string(i)));
  for (unsigned i = 1; i <= 63; ++i) t.of[i].submitted = 1;  // a task of each is outstanding
  const task_class& late = t.make("late", {.priority = 3, .deadline = std::chrono::seconds(1)});
  CHECK(t.table.named(late).local == 0);
  t.of[7].finished = 1;
  const auto& old = t.table.named(*t.classes[6]);
  CHECK(t.table.named(late).local == 7);
  CHECK(t.table.entry(7).name == "late");
  CHECK(t.table.of_priority(3) == 1u << 7);
  CHECK((t.table.of_priority(1) >> 7 & 1) == 0);
  CHECK(t.table.evictions() == 1);
  // Who holds the old one still has its description.
  CHECK(detail::record_of(old).name == "class 7");
  CHECK(old.priority == 1);
  // And when it comes back it is looked up anew: all are in use.
  CHECK(t.table.named(*t.classes[6]).local == 7);  // "late" has no task outstanding
  CHECK(t.table.entry(7).name == "class 7");
}

TEST_CASE("the longer unused goes first, and a call site before a named class") {
  evicting_table t;
  t.table.limits.unused_ms = 30;
  for (int i = 1; i <= 62; ++i) t.table.named(t.make("class " + std::to_string(i)));
  CHECK(t.table.at_site(std::source_location::current(), 0).local == 63);
  const task_class& first = t.make("first");
  CHECK(t.table.named(first).local == 0);  // everything was made just now
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  for (unsigned i = 1; i <= 63; ++i)
    if (i != 5 && i != 63) t.use(i);
  CHECK(t.table.named(first).local == 63);
  CHECK(t.table.named(t.make("second")).local == 5);
  CHECK(t.table.named(t.make("third")).local == 0);  // the others ran a moment ago
}

TEST_CASE("counts go with the class and not with the number") {
  evicting_table t;
  const task_class& a = t.make("a");
  t.table.named(a);
  t.use(1, 10);
  for (int i = 2; i <= 63; ++i) {
    t.table.named(t.make("class " + std::to_string(i)));
    t.of[i].submitted = 1;
  }
  const task_class& b = t.make("b");
  CHECK(t.table.named(b).local == 1);
  CHECK(t.table.counts(1).submitted == 0);
  CHECK(t.table.evicted_counts().finished == 10);
  t.use(1, 3);
  CHECK(t.table.counts(1).finished == 3);
  CHECK(t.table.named(a).local == 1);
  CHECK(t.table.counts(1).finished == 10);
  CHECK(t.table.evicted_counts().finished == 3);
  t.use(1, 1);
  CHECK(t.table.counts(1).submitted == 11);
}

TEST_CASE("many call sites, one after the other: each gets a number") {
  evicting_table t;
  for (unsigned bucket = 0; bucket < 32; ++bucket) {
    t.table.at_site(std::source_location::current(), bucket);
    t.table.at_site(std::source_location::current(), bucket);
    const auto& again = t.table.at_site(std::source_location::current(), bucket);
    CHECK(again.local != 0);
  }
  CHECK(t.table.size() == 64);
  CHECK(t.table.evictions() >= 32);
}

TEST_CASE("look-ups from many threads while classes are evicted return the class asked for, or class 0") {
  class_table table;
  table.limits = {.retry_ms = 0, .unused_ms = 0};
  std::vector<std::unique_ptr<task_class>> classes;
  for (int i = 0; i < 80; ++i)
    classes.push_back(std::make_unique<task_class>("c" + std::to_string(i), class_options{.priority = i % 4}));
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (unsigned n = 0; n < 3; ++n)
    threads.emplace_back([&, n] {
      for (unsigned i = 0; i < 1200; ++i) {
        const task_class& c = *classes[(i * 7 + n * 13) % classes.size()];
        const auto& e = table.named(c);
        if (e.local != 0 && (detail::record_of(e).name != c.name() || e.priority != c.options().priority)) ++wrong;
        if (table.entry(1 + i % 60 % std::max(1u, table.size() - 1)).name.empty()) ++wrong;
        if (table.at_site(std::source_location::current(), 0).priority != 1) ++wrong;
      }
    });
  for (auto& t : threads) t.join();
  CHECK(wrong == 0);
  CHECK(table.evictions() > 0);
}
