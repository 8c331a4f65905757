// SPDX-License-Identifier: Apache-2.0
#include "agent/load/run_files.h"

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "agent/sense/files.h"

namespace fs = std::filesystem;
using nlohmann::json;

namespace tactus::load {
namespace {

// The kernel's numbers (enum scx_exit_kind, scx_exit_code), the same from 6.12 on.
constexpr std::uint32_t k_unreg = 64, k_unreg_bpf = 65, k_sysrq = 67;
constexpr std::uint64_t k_reason_hotplug = 1ull << 32;

fs::path hint_file(const host& where) { return where.run / "loaded.json"; }
fs::path ejection_file(const host& where) { return where.run / "ejected.json"; }

json read_json(const fs::path& file) {
  const auto text = sense::read_text(file, 64 << 10);
  return text ? json::parse(*text, nullptr, false) : json();
}

// A reader never sees half a file: written aside, then renamed.
void write_json(const fs::path& file, const json& value) {
  std::error_code error;
  fs::create_directories(file.parent_path(), error);
  const fs::path aside = file.string() + ".new";
  {
    std::ofstream out(aside);
    out << value.dump(2) << '\n';
    if (!out.flush()) return;
  }
  fs::rename(aside, file, error);
}

std::string text_of(const char* chars, std::size_t most) { return std::string(chars, strnlen(chars, most)); }

}  // namespace

std::optional<load_hint> read_hint(const host& where) {
  const json value = read_json(hint_file(where));
  if (!value.is_object()) return std::nullopt;
  try {
    return load_hint{value.at("partial").get<bool>(), value.at("fallback_only").get<bool>(),
                     value.at("object").get<std::string>()};
  } catch (const json::exception&) {
    return std::nullopt;
  }
}

void write_hint(const host& where, const load_hint& hint) {
  write_json(hint_file(where), {{"partial", hint.partial}, {"fallback_only", hint.fallback_only}, {"object", hint.object}});
}

void forget_hint(const host& where) {
  std::error_code ignored;
  fs::remove(hint_file(where), ignored);
}

std::string exit_reason::text() const {
  if (!kind) return "it has not left";
  if (message.empty()) return name.empty() ? "reason " + std::to_string(kind) : name;
  return name.empty() ? message : name + ": " + message;
}

exit_reason describe(const tactus_exit& left) {
  exit_reason r;
  r.kind = left.kind;
  r.name = text_of(left.reason, sizeof(left.reason));
  r.message = text_of(left.message, sizeof(left.message));
  r.hotplug = (static_cast<std::uint64_t>(left.code) & k_reason_hotplug) != 0;
  r.by_hand = left.kind == k_unreg || left.kind == k_unreg_bpf || left.kind == k_sysrq;
  return r;
}

std::optional<ejection> read_ejection(const host& where) {
  const json value = read_json(ejection_file(where));
  if (!value.is_object()) return std::nullopt;
  try {
    return ejection{value.at("unix_seconds").get<std::int64_t>(), value.at("reason").get<std::string>(),
                    value.at("stays_out").get<bool>(), value.at("reloads").get<unsigned>()};
  } catch (const json::exception&) {
    return std::nullopt;
  }
}

void write_ejection(const host& where, const ejection& last) {
  write_json(ejection_file(where), {{"unix_seconds", last.unix_seconds},
                                    {"reason", last.reason},
                                    {"stays_out", last.stays_out},
                                    {"reloads", last.reloads}});
}

void forget_ejection(const host& where) {
  std::error_code ignored;
  fs::remove(ejection_file(where), ignored);
}

}  // namespace tactus::load
