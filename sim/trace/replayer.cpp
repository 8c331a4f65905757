// SPDX-License-Identifier: Apache-2.0
#include "sim/trace/replayer.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "agent/trace/lines.h"
#include "sim/scheduler/scheduler.h"
#include "sim/trace/event_check.h"
#include "sim/trace/trace_writer.h"

namespace tactus::sim {
namespace {

using nlohmann::json;
using op = op_record::kind;

void read_mask(const std::string& hex, __u64* word) {
  const std::size_t words = hex.size() / 16;
  for (std::size_t w = 0; w < words && w < cpu_mask::k_words; ++w)
    word[w] = std::stoull(hex.substr(hex.size() - 16 * (w + 1), 16), nullptr, 16);
}

// Only the random numbers come from outside; kicks and timers are in the trace as what followed.
struct replayed_thread : kernel_thread {
  cpu_mask mask;
};

struct scripted_host final : kernel_host {
  void kick_cpu(unsigned, bool) override {}
  void timer_start(unsigned, std::uint64_t) override {}
  void local_inserted(unsigned, bool) override {}
  kernel_thread* task_from_pid(std::uint32_t tid) override {
    const auto t = threads.find(tid);
    return t != threads.end() ? &t->second : nullptr;
  }
  std::uint32_t prandom_u32() override {
    if (next < numbers.size()) return numbers[next++];
    ++missing;
    return 0;
  }
  std::map<std::uint32_t, replayed_thread> threads;
  std::vector<std::uint32_t> numbers;
  std::size_t next = 0, missing = 0;
};

class replayer {
 public:
  explicit replayer(const std::string& name) : name_(name), scheduler_(host_), events_(scheduler_) {
    for (const op k : {op::select_cpu, op::enqueue, op::dispatch, op::running, op::stopping, op::tick, op::timer, op::init, op::enable})
      ops_[op_name(k)] = k;
  }

  // false: a difference was found.
  bool line(const json& l, replay_result& out) {
    if (l.contains("op")) return repeat(l, out);
    if (l.contains("event")) return add_event(l), true;
    if (l.contains("tactus_trace")) {
      if (l["tactus_trace"] != trace::k_version) throw description_error(name_ + ": a trace of another version");
      begun_ = true;
      out.of_events = l.at("kind") == "events";
      tactus_control& c = scheduler_.control;
      c.confidence_threshold = l.at("confidence_threshold");
      c.explore_ppm = l.at("explore_ppm");
      c.hold_limit_ns = l.at("hold_limit_ns");
      c.heartbeat_limit_ns = l.at("heartbeat_limit_ns");
    } else if (!begun_) {
      throw description_error(name_ + ": no trace; its first line has no \"tactus_trace\"");
    } else if (l.contains("topology")) {
      topology(l);
    } else if (l.contains("slot_of")) {
      tactus_pool_conf& p = scheduler_.pools.at(l["pool"].get<std::size_t>());
      p.in_use = 1;
      p.nr_workers = l.at("nr_workers");
      p.home_domain = l.at("home_domain");
      p.serial = l.at("serial");
      for (std::size_t i = 0; i < TACTUS_MAX_LOCAL_CLASSES; ++i) p.slot_of[i] = l.at("slot_of").at(i);
    } else if (l.contains("rows")) {
      rows(l, out.of_events);
    } else if (l.contains("page")) {
      const auto p = threads_.find(l["page"].get<std::uint32_t>());
      if (p == threads_.end()) throw description_error(fmt::format("{}: thread {} was not described", name_, l["page"].dump()));
      p->second.page.tag = l.at("tag");
    } else if (l.contains("thread")) {
      replayed_thread& p = threads_[l["thread"].get<std::uint32_t>()];
      p.tid = l["thread"];
      p.managed = l.at("managed");
      p.t.pool = l.at("pool");
      p.weight = l.at("weight");
      p.cpu = l.at("cpu");
      p.nr_cpus_allowed = l.at("nr_allowed");
      if (const std::string allowed = l.at("allowed"); !allowed.empty()) {
        read_mask(allowed, p.mask.word);
        p.allowed = &p.mask;
      }
    }
    return true;
  }

  // At the end: a trace of events is checked as a whole.
  void end(replay_result& out) {
    if (out.of_events) out.difference = events_.check(out.events);
  }

 private:
  void add_event(const json& l) {
    if (!begun_) throw description_error(name_ + ": no trace; its first line has no \"tactus_trace\"");
    tactus_event_head head{};
    const auto read = [&](const char* name, auto& to) { to = l.value(name, std::remove_reference_t<decltype(to)>{}); };
    read("domain", head.domain), read("seq", head.sequence), read("t", head.time_ns), read("area", head.area), read("tid", head.tid);
    if (l["event"] == "completion") {
      tactus_completion_event e{};
      e.head = head;
      read("stint", e.stint), read("stopped", e.stopped);
      events_.add(e);
    } else {
      tactus_decision_event e{};
      e.head = head;
      read("stint", e.stint), read("legal", e.legal), read("version", e.version), read("num", e.prob_num);
      read("den", e.prob_den), read("pool", e.pool), read("slot", e.slot), read("situation", e.situation), read("hold_legal", e.hold_legal);
      read("chosen", e.chosen), read("used", e.used), read("source", e.source), read("moment", e.moment), read("prev_place", e.prev_place);
      read("cpu", e.cpu), read("bank", e.bank), read("priority", e.priority), read("waiting", e.nr_waiting);
      events_.add(e);
    }
  }

  // One row of a "rows" line.
  tactus_row row_of(const json& r) const {
    tactus_row row{};
    row.version_begin = row.version_end = r.at(2);
    row.confidence = r.at(3);
    row.slice_10us = r.at(4);
    for (std::size_t p = 0; p < TACTUS_MAX_PLACES; ++p) row.cdf[p] = p + 5 < r.size() ? r[p + 5].get<__u16>() : row.cdf[p - 1];
    return row;
  }

  // Of a trace of events: the rows of all banks are kept, by time.
  void keep_rows(const json& l, const tactus_class_conf* classes) {
    rows_in_force kept;
    kept.time_ns = l.at("t");
    kept.mode = l.at("mode");
    for (const json& r : l.at("table")) {
      auto& entry = kept.table[tactus_row_index(0, r.at(0), r.at(1))];
      entry.row = row_of(r);
      std::copy_n(classes[r.at(0).get<unsigned>() & (TACTUS_MAX_SLOTS - 1)].tier, TACTUS_MAX_PLACES, entry.tier.begin());
    }
    events_.add(std::move(kept));
  }

  void topology(const json& l) {
    machine_topology t;
    for (const json& c : l.at("cpus")) {
      tactus_cpu cpu{};
      cpu.place = c.at(0), cpu.domain = c.at(1), cpu.node = c.at(2), cpu.core = c.at(3), cpu.capacity = c.at(4), cpu.present = c.at(5);
      t.cpus.push_back(cpu);
    }
    for (const json& p : l.at("places")) {
      tactus_place place{};
      place.domain = p.at(0), place.node = p.at(1), place.core_type = p.at(2), place.first_cpu = p.at(3);
      for (std::size_t i = 0; i < 4; ++i) place.near[i] = p.at(4 + i);
      read_mask(p.at(8).get<std::string>(), place.cpus);
      for (const __u64 w : place.cpus) place.nr_cpus = static_cast<__u16>(place.nr_cpus + std::popcount(w));
      t.places.push_back(place);
    }
    t.domain_cpus = l.at("domain_cpus").get<std::vector<std::uint32_t>>();
    t.nr_places = static_cast<unsigned>(t.places.size());
    t.nr_domains = static_cast<unsigned>(t.domain_cpus.size());
    for (auto& [tid, p] : threads_)
      if (p.queue != nullptr) p.queue->remove(p);
    scheduler_.init(t, 0);
    scheduler_.epoch = l["topology"];
  }

  void rows(const json& l, bool of_events) {
    const unsigned bank = l.at("bank");
    for (unsigned slot = 0; slot < TACTUS_MAX_SLOTS; ++slot) scheduler_.classes[bank * TACTUS_MAX_SLOTS + slot] = {};
    for (const json& c : l.at("classes")) {
      tactus_class_conf& conf = scheduler_.classes[bank * TACTUS_MAX_SLOTS + c.at(0).get<unsigned>()];
      conf.in_use = 1;
      const std::string tiers = c.at(1);
      for (std::size_t p = 0; p < tiers.size() && p < TACTUS_MAX_PLACES; ++p) conf.tier[p] = static_cast<__u8>(tiers[p] - '0');
    }
    if (of_events) return keep_rows(l, &scheduler_.classes[bank * TACTUS_MAX_SLOTS]);
    for (unsigned i = 0; i < TACTUS_NR_ROWS / 2; ++i) scheduler_.rows[bank * (TACTUS_NR_ROWS / 2) + i].version_end = 0;
    for (const json& r : l.at("table")) scheduler_.rows[tactus_row_index(bank, r.at(0), r.at(1))] = row_of(r);
    scheduler_.control.bank = bank;
    scheduler_.control.mode = l.at("mode");
    scheduler_.control.version = l["rows"];
  }

  bool repeat(const json& l, replay_result& out) {
    const auto known = ops_.find(l["op"].get<std::string>());
    if (known == ops_.end()) throw description_error(fmt::format("{}: unknown op {}", name_, l["op"].dump()));
    const std::int32_t cpu = l.at("cpu");
    const std::uint32_t tid = l.value("tid", 0u), argument = l.value("arg", 0u);
    const std::int64_t expected = l.value("res", std::int64_t{0});
    if (cpu < -1 || cpu >= static_cast<std::int32_t>(scheduler_.nr_cpus)) throw description_error(fmt::format("{}: CPU {} is not of the topology", name_, cpu));
    kernel_thread* p = nullptr;
    if (tid != 0) {
      const auto t = threads_.find(tid);
      if (t == threads_.end()) throw description_error(fmt::format("{}: thread {} was not described", name_, tid));
      p = &t->second;
      p->page.next_tag = l.value("tag", std::uint64_t{0});
    }
    scheduler& s = scheduler_;
    s.now = l.at("t");
    s.control.heartbeat_ns = l.value("beat", s.now);
    host_.numbers = l.value("rnd", std::vector<std::uint32_t>{});
    host_.next = host_.missing = 0;
    if (l.contains("idle")) {
      cpu_mask idle;
      read_mask(l["idle"].get<std::string>(), idle.word);
      s.idle.assign(idle);
    }
    const auto at = static_cast<unsigned>(cpu);
    std::int64_t result = 0;
    switch (known->second) {
      case op::select_cpu:
        p->queued = true;
        result = s.select_cpu(*p, static_cast<std::int32_t>(argument), true);
        if (p->queue != nullptr) result += 65536;
        else p->cpu = static_cast<std::int32_t>(result);
        ++out.choices;
        break;
      case op::enqueue:
        p->cpu = cpu;
        s.enqueue(*p, argument != 0);
        result = p->managed ? p->t.queued : 0;
        ++out.choices;
        break;
      case op::dispatch:
        if (p != nullptr) {
          p->queued = argument != 0;
          p->slice_ns = 0;
        }
        s.dispatch(cpu, p);
        result = s.local[at].first != nullptr ? s.local[at].first->tid : 0;
        ++out.choices;
        break;
      case op::running:
        if (p->queue != nullptr) {
          if (p->queue != &s.local[at]) return differs(l, "the thread waits in another queue", out);
          p->queue->remove(*p);
        }
        p->cpu = cpu;
        s.running(*p);
        break;
      case op::stopping:
        p->queued = argument != 0;
        s.stopping(*p, argument != 0);
        break;
      case op::tick: s.tick(*p); break;
      case op::timer: s.domain_timer(at); break;
      case op::init: break;  // the topology before it did it
      case op::enable:
        p->cpu = cpu;
        if (argument != 0) {
          p->allowed = nullptr;
          p->nr_cpus_allowed = s.nr_cpus;
        }
        s.enable(*p);
        break;
    }
    if (result != expected) return differs(l, fmt::format("the scheduler here chose {}", result), out);
    if (host_.missing != 0 || host_.next != host_.numbers.size())
      return differs(l, fmt::format("it drew {} random numbers", host_.next + host_.missing), out);
    ++out.ops;
    return true;
  }

  static bool differs(const json& l, const std::string& what, replay_result& out) {
    out.difference = fmt::format("{}: {}", l.dump(), what);
    return false;
  }

  std::string name_;
  scripted_host host_;
  scheduler scheduler_;
  event_check events_;
  std::map<std::uint32_t, replayed_thread>& threads_ = host_.threads;
  std::unordered_map<std::string, op> ops_;
  bool begun_ = false;
};

}  // namespace

replay_result replay(std::istream& trace, const std::string& name) {
  replayer r(name);
  replay_result out;
  std::string text;
  std::size_t nr = 0;
  try {
    while (std::getline(trace, text)) {
      ++nr;
      if (text.empty()) continue;
      if (!r.line(json::parse(text), out)) {
        out.difference = fmt::format("line {}: {}", nr, out.difference);
        return out;
      }
    }
  } catch (const json::exception& e) {
    throw description_error(fmt::format("{}: line {}: {}", name, nr, e.what()));
  } catch (const std::out_of_range&) {
    throw description_error(fmt::format("{}: line {}: an index is out of range", name, nr));
  }
  if (nr == 0) throw description_error(name + ": empty");
  r.end(out);
  return out;
}

}  // namespace tactus::sim
