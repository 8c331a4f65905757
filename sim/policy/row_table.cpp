// SPDX-License-Identifier: Apache-2.0
// policy.h: rows that do not change: uniform ones, and those of a file.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "sim/policy/policy.h"

namespace tactus::sim {
namespace {

using nlohmann::json;

// Mass of each place, hold last, in any unit; cumulated so that the whole is exactly 65535.
tactus_row make_row(const std::vector<double>& mass) {
  tactus_row row{};
  double total = 0, so_far = 0;
  for (const double m : mass) total += m;
  for (unsigned p = 0; p < TACTUS_MAX_PLACES; ++p) {
    if (p + 1 < mass.size()) so_far += mass[p];
    row.cdf[p] = static_cast<__u16>(std::lround(so_far / total * TACTUS_CDF_ONE));
  }
  row.confidence = 65535;
  row.version_begin = row.version_end = 1;
  return row;
}

class fixed_rows : public policy {
 public:
  void attach(simulation& s) override {
    publish_true_tiers(s);
    s.sched().control.mode = TACTUS_MODE_LEARNED;
    s.sched().control.version = 1;
    simulation_ = &s;
    fill();
    s.on_topology([this] {
      publish_true_tiers(*simulation_);
      ++simulation_->sched().control.version;
      fill();
    });
  }

 protected:
  virtual void fill() = 0;
  void put(unsigned slot, unsigned situation, const tactus_row& row) {
    for (unsigned bank = 0; bank < 2; ++bank) simulation_->sched().rows[tactus_row_index(bank, slot, situation)] = row;
  }
  simulation* simulation_ = nullptr;
};

class random_rows final : public fixed_rows {
  void fill() override {
    std::vector<double> mass(simulation_->topology().nr_places + 1, 1.0);
    mass.back() = 0;
    const tactus_row row = make_row(mass);
    for (unsigned slot = 0; slot < TACTUS_MAX_SLOTS; ++slot)
      for (unsigned i = 0; i < TACTUS_NR_SITUATIONS; ++i) put(slot, i, row);
  }
};

class table_rows final : public fixed_rows {
 public:
  explicit table_rows(std::string file) : file_(std::move(file)) {
    std::ifstream in(file_);
    if (!in) throw description_error(fmt::format("rows {}: cannot be read", file_));
    try {
      table_ = json::parse(in, nullptr, true, true);
    } catch (const json::exception& e) {
      throw description_error(fmt::format("rows {}: {}", file_, e.what()));
    }
    if (!table_.contains("rows") || !table_["rows"].is_array())
      throw description_error(fmt::format("rows {}: no list 'rows'; see docs/simulator.md", file_));
  }

 private:
  [[noreturn]] void fail(std::size_t nr, const std::string& what) const {
    throw description_error(fmt::format("rows {}: row {}: {}", file_, nr, what));
  }
  // A key that is absent means every value; else it is one number or a list.
  static bool meant(const json& row, const char* key, unsigned value) {
    if (!row.contains(key)) return true;
    const json& wanted = row[key];
    if (!wanted.is_array()) return wanted.get<unsigned>() == value;
    return std::find(wanted.begin(), wanted.end(), value) != wanted.end();
  }
  void fill() override {
    const workload& load = simulation_->load();
    const unsigned places = simulation_->topology().nr_places;
    std::size_t nr = 0;
    for (const json& r : table_["rows"]) {
      ++nr;
      const std::string name = r.value("class", "*");
      std::vector<double> mass = r.at("places").get<std::vector<double>>();
      if (mass.size() != places) fail(nr, fmt::format("{} places, but the machine has {}", mass.size(), places));
      mass.push_back(r.value("hold", 0.0));
      double total = 0;
      for (const double m : mass) {
        if (!(m >= 0)) fail(nr, "a negative mass");
        total += m;
      }
      if (!(total > 0)) fail(nr, "no mass at all");
      tactus_row row = make_row(mass);
      row.slice_10us = static_cast<__u16>(r.value("slice_us", 0) / 10);
      bool any = false;
      for (unsigned c = 0; c < load.classes.size(); ++c) {
        if (name != "*" && load.classes[c].name != name) continue;
        any = true;
        for (unsigned i = 0; i < TACTUS_NR_SITUATIONS; ++i) {
          if (!meant(r, "idle_tiers", i & 15) || !meant(r, "waiting_step", i >> 4)) continue;
          put(simulation::slot_of(c), i, row);
        }
      }
      if (!any) fail(nr, fmt::format("the work load has no class '{}'", name));
    }
  }
  std::string file_;
  json table_;
};

}  // namespace

std::unique_ptr<policy> make_random_rows() { return std::make_unique<random_rows>(); }
std::unique_ptr<policy> make_row_table(const std::string& file) { return std::make_unique<table_rows>(file); }

}  // namespace tactus::sim
