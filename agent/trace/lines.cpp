// SPDX-License-Identifier: Apache-2.0
#include "agent/trace/lines.h"

#include <fmt/format.h>

#include <iterator>

namespace tactus::trace {
namespace {

// Appends ,"name":value unless the value is zero.
class object {
 public:
  explicit object(const char* first, std::uint64_t value) { fmt::format_to(to(), "{{\"{}\":{}", first, value); }
  explicit object(const char* event) { fmt::format_to(to(), "{{\"event\":\"{}\"", event); }
  object& put(const char* name, std::uint64_t value) {
    if (value != 0) fmt::format_to(to(), ",\"{}\":{}", name, value);
    return *this;
  }
  object& head(const tactus_event_head& h) {
    return put("domain", h.domain).put("seq", h.sequence).put("t", h.time_ns).put("area", h.area).put("tid", h.tid);
  }
  std::string end() { return fmt::to_string(text_) + "}\n"; }

 private:
  std::back_insert_iterator<fmt::memory_buffer> to() { return std::back_inserter(text_); }
  fmt::memory_buffer text_;
};

template <class List, class Text>
std::string joined(const List& list, Text text) {
  std::string out;
  for (const auto& item : list) {
    if (!out.empty()) out += ',';
    out += text(item);
  }
  return out;
}

}  // namespace

std::string hex(const __u64* word, unsigned nr_cpus) {
  std::string out;
  for (unsigned w = (nr_cpus + 63) / 64; w-- > 0;) out += fmt::format("{:016x}", word[w]);
  return out;
}

std::string header(kind k, std::string_view about, const tactus_control& c) {
  return fmt::format("{{\"tactus_trace\":{},\"kind\":\"{}\",\"about\":\"{}\",\"confidence_threshold\":{},\"explore_ppm\":{},"
                     "\"hold_limit_ns\":{},\"heartbeat_limit_ns\":{}}}\n",
                     k_version, k == kind::ops ? "ops" : "events", about, c.confidence_threshold, c.explore_ppm, c.hold_limit_ns,
                     c.heartbeat_limit_ns);
}

std::string topology(std::uint64_t epoch, const std::vector<tactus_cpu>& cpus, const std::vector<tactus_place>& places,
                     const std::vector<std::uint32_t>& domain_cpus) {
  const auto n = static_cast<unsigned>(cpus.size());
  return fmt::format(
      "{{\"topology\":{},\"cpus\":[{}],\"places\":[{}],\"domain_cpus\":[{}]}}\n", epoch,
      joined(cpus, [](const tactus_cpu& c) { return fmt::format("[{},{},{},{},{},{}]", c.place, c.domain, c.node, c.core, c.capacity, c.present); }),
      joined(places,
             [&](const tactus_place& p) {
               return fmt::format("[{},{},{},{},{},{},{},{},\"{}\"]", p.domain, p.node, p.core_type, p.first_cpu, p.near[0], p.near[1],
                                  p.near[2], p.near[3], hex(p.cpus, n));
             }),
      joined(domain_cpus, [](std::uint32_t d) { return fmt::to_string(d); }));
}

std::string pool(unsigned index, const tactus_pool_conf& p) {
  return fmt::format("{{\"pool\":{},\"nr_workers\":{},\"home_domain\":{},\"serial\":{},\"slot_of\":[{}]}}\n", index, p.nr_workers,
                     p.home_domain, p.serial, joined(p.slot_of, [](__u8 slot) { return fmt::to_string(static_cast<unsigned>(slot)); }));
}

std::string rows(std::uint64_t time_ns, unsigned bank, const tactus_control& control, unsigned nr_places,
                 const tactus_class_conf* classes, const tactus_row* rows) {
  std::string confs;
  fmt::memory_buffer table;
  for (unsigned slot = 0; slot < TACTUS_MAX_SLOTS; ++slot) {
    const tactus_class_conf& c = classes[slot];
    if (c.in_use == 0) continue;
    std::string tiers;
    for (unsigned p = 0; p < nr_places; ++p) tiers += static_cast<char>('0' + (c.tier[p] & (TACTUS_MAX_TIERS - 1)));
    confs += fmt::format("{}[{},\"{}\"]", confs.empty() ? "" : ",", slot, tiers);
    for (unsigned i = 0; i < TACTUS_NR_SITUATIONS; ++i) {
      const tactus_row& r = rows[slot * TACTUS_NR_SITUATIONS + i];
      if (r.version_end == 0 || r.version_end != r.version_begin) continue;
      fmt::format_to(std::back_inserter(table), "{}[{},{},{},{},{}", table.size() == 0 ? "" : ",", slot, i, r.version_end, r.confidence,
                     r.slice_10us);
      for (unsigned p = 0; p < nr_places; ++p) fmt::format_to(std::back_inserter(table), ",{}", r.cdf[p]);
      table.push_back(']');
    }
  }
  return fmt::format("{{\"rows\":{},\"t\":{},\"bank\":{},\"mode\":{},\"classes\":[{}],\"table\":[{}]}}\n", control.version, time_ns, bank,
                     control.mode, confs, fmt::to_string(table));
}

std::string decision(const tactus_decision_event& e) {
  return object("decision")
      .head(e.head)
      .put("stint", e.stint)
      .put("legal", e.legal)
      .put("version", e.version)
      .put("num", e.prob_num)
      .put("den", e.prob_den)
      .put("pool", e.pool)
      .put("slot", e.slot)
      .put("situation", e.situation)
      .put("hold_legal", e.hold_legal)
      .put("chosen", e.chosen)
      .put("used", e.used)
      .put("source", e.source)
      .put("moment", e.moment)
      .put("prev_place", e.prev_place)
      .put("cpu", e.cpu)
      .put("bank", e.bank)
      .put("priority", e.priority)
      .put("waiting", e.nr_waiting)
      .end();
}

std::string completion(const tactus_completion_event& e) {
  return object("completion")
      .head(e.head)
      .put("stint", e.stint)
      .put("run_ns", e.stint_run_ns)
      .put("wait_ns", e.stint_wait_ns)
      .put("pool", e.pool)
      .put("cpu", e.cpu)
      .put("place", e.place)
      .put("records", e.nr_records)
      .put("stopped", e.stopped)
      .put("preemptions", e.preemptions)
      .put("migrations", e.migrations)
      .put("slot", e.slot)
      .end();
}

std::string lost(std::uint64_t events) { return object("lost", events).end(); }

}  // namespace tactus::trace
