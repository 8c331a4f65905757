// SPDX-License-Identifier: Apache-2.0
// Task classes: fingerprints, local numbers, the bound of 63, descriptions.
#include "class_table.h"

#include <doctest/doctest.h>
#include <string>
#include <thread>
#include <vector>

using namespace tactus;
using detail::class_table;

TEST_CASE("a fingerprint depends on the name alone and is the published FNV-1a") {
  CHECK(fingerprint_of_name("audio") == fingerprint_of_name(std::string("aud") + "io"));
  CHECK_FALSE(fingerprint_of_name("audio") == fingerprint_of_name("audi0"));
  // Fixed: stored by agents across runs, so it may not change silently.
  // FNV-1a 128 of "name:audio", computed independently.
  const fingerprint audio = fingerprint_of_name("audio");
  CHECK(audio.high == 0xdd0a5743b439faf8ull);
  CHECK(audio.low == 0x30e261d7ade20bb6ull);
}

TEST_CASE("call sites differ by line and by size bucket, not by folder") {
  const auto a = std::source_location::current();
  const auto b = std::source_location::current();
  CHECK_FALSE(fingerprint_of_site(a) == fingerprint_of_site(b));
  CHECK(fingerprint_of_site(a) == fingerprint_of_site(a, 0));
  CHECK_FALSE(fingerprint_of_site(a, 1) == fingerprint_of_site(a, 2));
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

TEST_CASE("the 64th class and later ones are class 0") {
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
  CHECK(table.name(1) == "class_table_test.cpp:" + std::to_string(here.line()));
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
  const tactus_class_desc d = table.describe(e.local);
  CHECK(std::string(d.name) == "audio");
  CHECK(d.priority == 3);
  CHECK(d.weight == 4);
  CHECK(d.deadline_us == 5000);
  CHECK(d.fingerprint[0] == c.id().high);
  CHECK(d.declared == ((1u << TACTUS_FEATURE_LATENCY_SENSITIVITY) | (1u << TACTUS_FEATURE_PREFERRED_NODE) |
                       (1u << TACTUS_FEATURE_PRIORITY)));
  CHECK(d.features[TACTUS_FEATURE_LATENCY_SENSITIVITY] == 255);
  CHECK(d.features[TACTUS_FEATURE_PREFERRED_NODE] == 128);
  CHECK(d.features[TACTUS_FEATURE_LOOP_DEPTH] == 0);
}
