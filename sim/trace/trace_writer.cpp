// SPDX-License-Identifier: Apache-2.0
#include "sim/trace/trace_writer.h"

#include <iterator>

namespace tactus::sim {
namespace {

std::string hex(const __u64* word, unsigned nr_cpus) {
  std::string out;
  for (unsigned w = (nr_cpus + 63) / 64; w-- > 0;) out += fmt::format("{:016x}", word[w]);
  return out;
}

}  // namespace

const char* op_name(op_record::kind op) {
  static constexpr const char* names[] = {"select_cpu", "enqueue", "dispatch", "running", "stopping", "tick", "timer", "init", "enable"};
  return names[static_cast<std::size_t>(op)];
}

trace_writer::trace_writer(const simulation& s, line_sink out, const std::string& about) : simulation_(s), out_(std::move(out)) {
  const scheduler& k = s.sched();
  out_(fmt::format("{{\"tactus_trace\":1,\"about\":\"{}\",\"confidence_threshold\":{},\"explore_ppm\":{},\"hold_limit_ns\":{},"
                   "\"heartbeat_limit_ns\":{}}}\n",
                   about, k.control.confidence_threshold, k.control.explore_ppm, k.control.hold_limit_ns, k.control.heartbeat_limit_ns));
  write_topology(k);
  for (unsigned i = 0; i < k.pools.size(); ++i) {
    const tactus_pool_conf& p = k.pools[i];
    if (p.in_use == 0) continue;
    std::string slots;
    for (const __u8 slot : p.slot_of) slots += fmt::format("{}{}", slots.empty() ? "" : ",", slot);
    out_(fmt::format("{{\"pool\":{},\"nr_workers\":{},\"home_domain\":{},\"serial\":{},\"slot_of\":[{}]}}\n", i, p.nr_workers, p.home_domain,
                     p.serial, slots));
  }
}

void trace_writer::write_topology(const scheduler& s) {
  const machine_topology& t = simulation_.topology();
  std::string cpus, places, domains;
  for (const tactus_cpu& c : t.cpus)
    cpus += fmt::format("{}[{},{},{},{},{},{}]", cpus.empty() ? "" : ",", c.place, c.domain, c.node, c.core, c.capacity, c.present);
  for (const tactus_place& p : t.places)
    places += fmt::format("{}[{},{},{},{},{},{},{},{},\"{}\"]", places.empty() ? "" : ",", p.domain, p.node, p.core_type, p.first_cpu,
                          p.near[0], p.near[1], p.near[2], p.near[3], hex(p.cpus, static_cast<unsigned>(t.cpus.size())));
  for (const std::uint32_t n : t.domain_cpus) domains += fmt::format("{}{}", domains.empty() ? "" : ",", n);
  out_(fmt::format("{{\"topology\":{},\"cpus\":[{}],\"places\":[{}],\"domain_cpus\":[{}]}}\n", s.epoch, cpus, places, domains));
}

void trace_writer::write_rows(const scheduler& s) {
  rows_version_ = s.control.version;
  rows_bank_ = s.control.bank & 1;
  std::string classes;
  fmt::memory_buffer rows;
  for (unsigned slot = 0; slot < TACTUS_MAX_SLOTS; ++slot) {
    const tactus_class_conf& c = s.classes[rows_bank_ * TACTUS_MAX_SLOTS + slot];
    if (c.in_use == 0) continue;
    std::string tiers;
    for (unsigned p = 0; p < s.nr_places; ++p) tiers += static_cast<char>('0' + c.tier[p]);
    classes += fmt::format("{}[{},\"{}\"]", classes.empty() ? "" : ",", slot, tiers);
    for (unsigned i = 0; i < TACTUS_NR_SITUATIONS; ++i) {
      const tactus_row& r = s.rows[tactus_row_index(rows_bank_, slot, i)];
      if (r.version_end == 0 || r.version_end != r.version_begin) continue;
      fmt::format_to(std::back_inserter(rows), "{}[{},{},{},{},{}", rows.size() == 0 ? "" : ",", slot, i, r.version_end, r.confidence, r.slice_10us);
      for (unsigned p = 0; p < s.nr_places; ++p) fmt::format_to(std::back_inserter(rows), ",{}", r.cdf[p]);
      fmt::format_to(std::back_inserter(rows), "]");
    }
  }
  out_(fmt::format("{{\"rows\":{},\"bank\":{},\"mode\":{},\"classes\":[{}],\"table\":[{}]}}\n", s.control.version, rows_bank_, s.control.mode,
                   classes, fmt::to_string(rows)));
}

void trace_writer::write_thread(const kernel_thread& p) {
  out_(fmt::format("{{\"thread\":{},\"managed\":{},\"pool\":{},\"weight\":{},\"cpu\":{},\"allowed\":\"{}\",\"nr_allowed\":{}}}\n", p.tid,
                   p.managed, p.t.pool, p.weight, p.cpu,
                   p.allowed != nullptr ? hex(p.allowed->word, simulation_.sched().nr_cpus) : "", p.nr_cpus_allowed));
}

// What its worker is at, if that is news.
void trace_writer::write_page(const kernel_thread& p) {
  std::uint64_t& before = page_tags_[p.tid];
  if (before == p.page.tag) return;
  before = p.page.tag;
  out_(fmt::format("{{\"page\":{},\"tag\":{}}}\n", p.tid, p.page.tag));
}

void trace_writer::begin(const scheduler& s, op_record::kind op, const kernel_thread* p) {
  if (op == op_record::kind::init) write_topology(s);
  if (s.control.version != rows_version_ || (s.control.bank & 1) != rows_bank_) write_rows(s);
  if (p != nullptr && seen_.insert(p->tid).second) write_thread(*p);
  if (p != nullptr) write_page(*p);
  for (const scheduler::cpu_state& cs : s.cpu_states)
    if (cs.tid != 0) write_page(simulation_.thread(cs.tid));
  idle_.clear();
  drawn_.clear();
  tag_ = 0;
  heartbeat_ns_ = s.control.heartbeat_ns;
  // Only these look at the idle masks.
  if (op != op_record::kind::running && op != op_record::kind::stopping && op != op_record::kind::tick && op != op_record::kind::enable)
    fmt::format_to(std::back_inserter(idle_), "{}", hex(s.idle.cpus().word, s.nr_cpus));
  if (p != nullptr) tag_ = (p->page.tag & TACTUS_TAG_VALID) != 0 ? p->page.tag : p->page.next_tag;
}

void trace_writer::drew(std::uint32_t random) { fmt::format_to(std::back_inserter(drawn_), "{}{}", drawn_.size() == 0 ? "" : ",", random); }

void trace_writer::end(const scheduler&, const op_record& r) {
  fmt::memory_buffer line;
  auto to = std::back_inserter(line);
  fmt::format_to(to, "{{\"op\":\"{}\",\"t\":{},\"cpu\":{}", op_name(r.op), r.time_ns, r.cpu);
  if (r.tid != 0) fmt::format_to(to, ",\"tid\":{}", r.tid);
  if (r.argument != 0) fmt::format_to(to, ",\"arg\":{}", r.argument);
  if (r.result != 0) fmt::format_to(to, ",\"res\":{}", r.result);
  if (tag_ != 0) fmt::format_to(to, ",\"tag\":{}", tag_);
  if (heartbeat_ns_ != r.time_ns) fmt::format_to(to, ",\"beat\":{}", heartbeat_ns_);
  if (idle_.size() != 0) fmt::format_to(to, ",\"idle\":\"{}\"", fmt::to_string(idle_));
  if (drawn_.size() != 0) fmt::format_to(to, ",\"rnd\":[{}]", fmt::to_string(drawn_));
  fmt::format_to(to, "}}\n");
  out_(fmt::to_string(line));
}

}  // namespace tactus::sim
