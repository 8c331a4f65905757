// SPDX-License-Identifier: Apache-2.0
#include "agent/sense/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdlib>

namespace tactus::sense {

std::optional<std::string> read_text(const std::filesystem::path &file, std::size_t limit) {
  const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return std::nullopt;
  std::string text;
  char buffer[4096];
  while (text.size() < limit) {
    const ssize_t n = read(fd, buffer, std::min(sizeof(buffer), limit - text.size()));
    if (n < 0) {  // a sysfs attribute may exist and still refuse to be read
      close(fd);
      return std::nullopt;
    }
    if (n == 0) break;
    text.append(buffer, static_cast<std::size_t>(n));
  }
  close(fd);
  return text;
}

std::optional<std::string> read_line(const std::filesystem::path &file) {
  auto text = read_text(file, 4096);
  if (!text) return std::nullopt;
  if (const auto end = text->find('\n'); end != std::string::npos) text->resize(end);
  while (!text->empty() && std::isspace(static_cast<unsigned char>(text->back()))) text->pop_back();
  return text;
}

std::optional<std::int64_t> read_integer(const std::filesystem::path &file) {
  const auto line = read_line(file);
  if (!line) return std::nullopt;
  std::string_view view = *line;
  while (!view.empty() && std::isspace(static_cast<unsigned char>(view.front()))) view.remove_prefix(1);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(view.data(), view.data() + view.size(), value);
  if (error != std::errc()) return std::nullopt;
  return value;
}

std::optional<double> parse_number(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc() || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::vector<unsigned> parse_cpu_list(std::string_view text, unsigned limit) {
  std::vector<bool> seen(limit, false);
  const char *at = text.data(), *const end = at + text.size();
  while (at < end) {
    if (!std::isdigit(static_cast<unsigned char>(*at))) {
      ++at;
      continue;
    }
    unsigned first = 0;
    auto step = std::from_chars(at, end, first);
    if (step.ec != std::errc())  // a number beyond 32 bits: no such CPU
      break;
    unsigned last = first;
    if (step.ptr < end && *step.ptr == '-') {
      step = std::from_chars(step.ptr + 1, end, last);
      if (step.ec != std::errc()) break;
    }
    for (unsigned cpu = first; cpu <= last && cpu < limit; ++cpu) seen[cpu] = true;
    at = step.ptr;
  }
  std::vector<unsigned> cpus;
  for (unsigned cpu = 0; cpu < limit; ++cpu)
    if (seen[cpu]) cpus.push_back(cpu);
  return cpus;
}

std::vector<std::filesystem::path> numbered_entries(const std::filesystem::path &dir, std::string_view prefix) {
  std::vector<std::pair<unsigned, std::filesystem::path>> found;
  std::error_code error;
  for (std::filesystem::directory_iterator it(dir, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.size() <= prefix.size() || name.compare(0, prefix.size(), prefix) != 0) continue;
    unsigned number = 0;
    const char *const last = name.data() + name.size();
    const auto step = std::from_chars(name.data() + prefix.size(), last, number);
    if (step.ec == std::errc() && step.ptr == last) found.emplace_back(number, it->path());
  }
  std::sort(found.begin(), found.end());
  std::vector<std::filesystem::path> paths;
  for (auto &[number, path] : found) paths.push_back(std::move(path));
  return paths;
}

}  // namespace tactus::sense
