// SPDX-License-Identifier: Apache-2.0
// A fingerprint is the same in two processes whose addresses differ: this program runs itself
// three times and compares what each says.
#include <tactus/tactus.hpp>

#include <array>
#include <cstdio>
#include <set>
#include <string>

namespace {

std::string text(const tactus::fingerprint& f) {
  std::array<char, 40> out;
  std::snprintf(out.data(), out.size(), "%016llx%016llx", static_cast<unsigned long long>(f.high),
                static_cast<unsigned long long>(f.low));
  return out.data();
}

int print() {
  tactus::pool pool({.workers = 1, .spares = 0, .register_with_agent = false, .watch_memory = false});
  tactus::task_class named("audio", {.priority = 3, .features = {.vectorization = 1.0f}});
  pool.submit(named, [] {}).get();
  pool.submit([] {}).get();
  std::atomic<long> sum{0};
  pool.parallel_for(0, 5000, [&](int i) { sum += i; });
  std::printf("%p", reinterpret_cast<void*>(&print));
  for (const auto& s : pool.stats().classes) std::printf(" %s=%s", s.name.c_str(), text(s.id).c_str());
  std::printf("\n");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) return print();
  std::set<std::string> addresses, fingerprints;
  for (int i = 0; i < 3; ++i) {
    FILE* child = popen((std::string("'") + argv[0] + "' print").c_str(), "r");
    std::string line;
    if (child)
      for (int c; (c = std::fgetc(child)) != EOF && c != '\n';) line += static_cast<char>(c);
    if (!child || pclose(child) != 0 || line.find("audio=") == std::string::npos) {
      std::printf("a child failed: '%s'\n", line.c_str());
      return 1;
    }
    addresses.insert(line.substr(0, line.find(' ')));
    fingerprints.insert(line.substr(line.find(' ')));
  }
  std::printf("%zu different addresses of a function;%s\n", addresses.size(), fingerprints.begin()->c_str());
  if (fingerprints.size() != 1) {
    for (const std::string& f : fingerprints) std::printf("differs:%s\n", f.c_str());
    return 1;
  }
  return 0;
}
