// SPDX-License-Identifier: Apache-2.0
//
// Small readers for /proc and /sys text. Every function copes with a missing,
// empty or garbled file by returning nothing; none throws on content.
#ifndef TACTUS_AGENT_SENSE_FILES_H
#define TACTUS_AGENT_SENSE_FILES_H

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tactus::sense {

/// Whole content, at most limit bytes; nothing when it cannot be read.
std::optional<std::string> read_text(const std::filesystem::path &file, std::size_t limit = 1 << 20);

/// First line without trailing white space.
std::optional<std::string> read_line(const std::filesystem::path &file);

/// First number of the file; nothing when there is none or it is out of range.
std::optional<std::int64_t> read_integer(const std::filesystem::path &file);

/// The finite number a text starts with (blanks skipped).
std::optional<double> parse_number(std::string_view text);

/// Kernel CPU list, "0-3,8,10-11", to ids below limit, ascending, each once.
std::vector<unsigned> parse_cpu_list(std::string_view text, unsigned limit);

/// Entries of a directory whose names start with prefix followed by a digit,
/// sorted by that number; empty when there is no such directory.
std::vector<std::filesystem::path> numbered_entries(const std::filesystem::path &dir, std::string_view prefix);

}  // namespace tactus::sense

#endif
