// SPDX-License-Identifier: Apache-2.0
#include "sim/trace/trace_writer.h"

#include <iterator>

#include "agent/trace/lines.h"

namespace tactus::sim {

const char* op_name(op_record::kind op) {
  static constexpr const char* names[] = {"select_cpu", "enqueue", "dispatch", "running", "stopping", "tick", "timer", "init", "enable"};
  return names[static_cast<std::size_t>(op)];
}

trace_writer::trace_writer(const simulation& s, line_sink out, const std::string& about) : simulation_(s), out_(std::move(out)) {
  const scheduler& k = s.sched();
  out_(trace::header(trace::kind::ops, about, k.control));
  write_topology(k);
  for (unsigned i = 0; i < k.pools.size(); ++i)
    if (k.pools[i].in_use != 0) out_(trace::pool(i, k.pools[i]));
}

void trace_writer::write_topology(const scheduler& s) {
  const machine_topology& t = simulation_.topology();
  out_(trace::topology(s.epoch, t.cpus, t.places, t.domain_cpus));
}

void trace_writer::write_rows(const scheduler& s) {
  rows_version_ = s.control.version;
  rows_bank_ = s.control.bank & 1;
  out_(trace::rows(s.now, rows_bank_, s.control, s.nr_places, &s.classes[rows_bank_ * TACTUS_MAX_SLOTS], &s.rows[tactus_row_index(rows_bank_, 0, 0)]));
}

void trace_writer::write_thread(const kernel_thread& p) {
  out_(fmt::format("{{\"thread\":{},\"managed\":{},\"pool\":{},\"weight\":{},\"cpu\":{},\"allowed\":\"{}\",\"nr_allowed\":{}}}\n", p.tid,
                   p.managed, p.t.pool, p.weight, p.cpu,
                   p.allowed != nullptr ? trace::hex(p.allowed->word, simulation_.sched().nr_cpus) : "", p.nr_cpus_allowed));
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
    fmt::format_to(std::back_inserter(idle_), "{}", trace::hex(s.idle.cpus().word, s.nr_cpus));
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
