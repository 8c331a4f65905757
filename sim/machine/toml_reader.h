// SPDX-License-Identifier: Apache-2.0
// Reading a table of a TOML file strictly: every key has a range, a key that nobody asked for is an
// error, and every error names file, key and what would be right. For machines and work loads.
#pragma once

#include <fmt/format.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#define TOML_ENABLE_WINDOWS_COMPAT 0
#include <toml++/toml.h>

#include "sim/machine/machine.h"

namespace tactus::sim {

// One table. REQUIRES: the document outlives it. end() must be called last.
class toml_reader {
 public:
  toml_reader(std::string where, const toml::table* table) : where_(std::move(where)), table_(table) {}

  [[noreturn]] void fail(const std::string& key, const std::string& wanted) const {
    throw description_error(fmt::format("{}: {}: expected {}", where_, key, wanted));
  }
  bool has(const std::string& key) const { return table_->contains(key); }

  double number(const std::string& key, double usual, double least, double most) {
    asked_.insert(key);
    if (!has(key)) return usual;
    const auto v = (*table_)[key].value<double>();
    if (!v || !(*v >= least && *v <= most)) fail(key, fmt::format("a number from {} to {}", least, most));
    return *v;
  }
  // A number or a list of them; empty when absent.
  std::vector<double> numbers(const std::string& key, double least, double most) {
    asked_.insert(key);
    std::vector<double> out;
    if (!has(key)) return out;
    const auto add = [&](const auto& node) {
      const auto v = node.template value<double>();
      if (!v || !(*v >= least && *v <= most)) fail(key, fmt::format("numbers from {} to {}", least, most));
      out.push_back(*v);
    };
    if (const toml::array* list = (*table_)[key].as_array())
      for (const auto& node : *list) add(node);
    else
      add((*table_)[key]);
    return out;
  }
  std::string text(const std::string& key, const std::string& usual) {
    asked_.insert(key);
    if (!has(key)) return usual;
    const auto v = (*table_)[key].value<std::string>();
    if (!v) fail(key, "a text");
    return *v;
  }
  bool flag(const std::string& key, bool usual) {
    asked_.insert(key);
    if (!has(key)) return usual;
    const auto v = (*table_)[key].value<bool>();
    if (!v) fail(key, "true or false");
    return *v;
  }
  toml_reader table(const std::string& key) {
    asked_.insert(key);
    const toml::table* t = (*table_)[key].as_table();
    if (t == nullptr) fail(key, "a table");
    return {where_ + ": " + key, t};
  }
  std::vector<toml_reader> tables(const std::string& key) {
    asked_.insert(key);
    std::vector<toml_reader> out;
    if (!has(key)) return out;
    const toml::array* list = (*table_)[key].as_array();
    if (list == nullptr) fail(key, "a list of tables ([[" + key + "]])");
    for (const auto& node : *list) {
      if (node.as_table() == nullptr) fail(key, "a list of tables ([[" + key + "]])");
      out.emplace_back(fmt::format("{}: {} {}", where_, key, out.size() + 1), node.as_table());
    }
    return out;
  }
  std::vector<std::string> keys() const {
    std::vector<std::string> out;
    for (const auto& [k, v] : *table_) out.emplace_back(k.str());
    return out;
  }
  // No key may be left that was not asked for.
  void end() const {
    for (const std::string& k : keys())
      if (asked_.count(k) == 0) throw description_error(fmt::format("{}: unknown key '{}'; see docs/simulator.md", where_, k));
  }

 private:
  std::string where_;
  const toml::table* table_;
  std::set<std::string> asked_;
};

class toml_document {
 public:
  toml_document(const std::string& name, const std::string& text) : name_(name) {
    try {
      table_ = toml::parse(text, name);
    } catch (const toml::parse_error& e) {
      throw description_error(fmt::format("{}: line {}: {}", name, e.source().begin.line, e.description()));
    }
  }
  toml_reader root() const { return {name_, &table_}; }

 private:
  std::string name_;
  toml::table table_;
};

}  // namespace tactus::sim
