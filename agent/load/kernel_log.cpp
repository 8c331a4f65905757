// SPDX-License-Identifier: Apache-2.0
#include "agent/load/kernel_log.h"

#include <bpf/libbpf.h>
#include <sys/klog.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <sstream>

namespace tactus::load {
namespace {

constexpr int k_read_all = 3;  // SYSLOG_ACTION_READ_ALL
constexpr std::size_t k_log_limit = 4 << 20;

std::string g_text;
bool g_verbose = false;
libbpf_print_fn_t g_before = nullptr;

__attribute__((format(printf, 2, 0))) int collect(enum libbpf_print_level level, const char* format, va_list args) {
  if (level == LIBBPF_DEBUG) return 0;
  va_list again;
  va_copy(again, args);
  const int n = std::vsnprintf(nullptr, 0, format, again);
  va_end(again);
  if (n <= 0 || g_text.size() > k_log_limit) return 0;
  std::string line(static_cast<std::size_t>(n) + 1, '\0');
  std::vsnprintf(line.data(), line.size(), format, args);
  line.pop_back();
  if (g_verbose) std::fputs(line.c_str(), stderr);
  g_text += line;
  return n;
}

// What stands between two marks on one line of text; empty when there is no such line.
std::string between(const std::string& text, const std::string& before, const std::string& after) {
  for (std::size_t at = text.find(before); at != std::string::npos; at = text.find(before, at + 1)) {
    const std::size_t from = at + before.size(), line_end = std::min(text.find('\n', from), text.size());
    const std::size_t to = after == "\n" ? line_end : text.find(after, from);
    if (to != std::string::npos && to <= line_end) return text.substr(from, to - from);
  }
  return "";
}

}  // namespace

libbpf_log::libbpf_log(bool verbose) {
  g_text.clear();
  g_verbose = verbose;
  g_before = libbpf_set_print(collect);
}

libbpf_log::~libbpf_log() { libbpf_set_print(g_before); }

const std::string& libbpf_log::text() const { return g_text; }

std::string telling_line(const std::string& log) {
  const std::string unresolved = between(log, "kfunc '", "' is referenced but wasn't resolved");
  if (!unresolved.empty()) return "the kernel has no function " + unresolved;
  // "extern (func ksym) 'NAME': not found in kernel ..." or ".. func_proto [n] incompatible with vmlinux [m]"
  const std::string symbol = between(log, "extern (func ksym) '", "': ");
  if (!symbol.empty()) return symbol + ": " + between(log, "extern (func ksym) '" + symbol + "': ", "\n");
  std::istringstream lines(log);
  std::string line, last, complaint;
  bool in_verifier = false;
  while (std::getline(lines, line)) {
    if (line.find("BEGIN PROG LOAD LOG") != std::string::npos) in_verifier = true;
    if (line.find("END PROG LOAD LOG") != std::string::npos) in_verifier = false;
    if (line.empty() || line.find("processed ") == 0 || line.find("--") == 0) continue;
    // The verifier closes with its statistics; what it minds stands on the line before them.
    if (in_verifier) complaint = line;
    else if (line.find("libbpf:") == 0) last = line.substr(8);
  }
  return complaint.empty() ? last : complaint;
}

std::vector<std::string> kernel_lines(std::size_t most) {
  std::string buffer(1 << 20, '\0');
  const int n = klogctl(k_read_all, buffer.data(), static_cast<int>(buffer.size()));
  std::vector<std::string> found;
  if (n <= 0) return found;
  buffer.resize(static_cast<std::size_t>(n));
  std::istringstream lines(buffer);
  std::string line;
  while (std::getline(lines, line)) {
    const auto at = line.find("sched_ext");
    if (at != std::string::npos) found.push_back(line.substr(at));
  }
  if (found.size() > most) found.erase(found.begin(), found.end() - static_cast<std::ptrdiff_t>(most));
  return found;
}

}  // namespace tactus::load
