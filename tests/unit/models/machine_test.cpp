// SPDX-License-Identifier: Apache-2.0
// The machine's fingerprint: what changes it, and what must not.
#include "agent/models/machine.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <string>

using namespace tactus::agent;
namespace fs = std::filesystem;

namespace {

struct tree {
  fs::path root;
  tree() {
    std::string pattern = (fs::temp_directory_path() / "tactus-machine-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    root = pattern;
    write("proc/cpuinfo", "processor\t: 0\nvendor_id\t: A\nmodel name\t: B 1\ncpu MHz\t\t: 1234.5\n\nprocessor\t: 1\n");
    write("sys/devices/system/cpu/present", "0-1\n");
    write("sys/devices/system/cpu/online", "0-1\n");
    write("sys/devices/system/node/possible", "0\n");
    write("sys/devices/system/cpu/cpu0/cache/index0/level", "1\n");
    write("sys/devices/system/cpu/cpu0/cache/index0/size", "32K\n");
  }
  ~tree() { fs::remove_all(root); }
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((root / name).parent_path());
    std::ofstream(root / name) << text;
  }
  std::uint64_t fingerprint() const { return machine_fingerprint(root); }
};

}  // namespace

TEST_CASE("other CPUs, more of them, other nodes or caches are another machine") {
  const tree t;
  std::uint64_t before = t.fingerprint();
  CHECK(before == tree().fingerprint());
  for (const auto& [file, text] : std::initializer_list<std::pair<const char*, const char*>>{
           {"proc/cpuinfo", "processor\t: 0\nvendor_id\t: A\nmodel name\t: B 2\n\n"},
           {"sys/devices/system/cpu/present", "0-3\n"},
           {"sys/devices/system/node/possible", "0-1\n"},
           {"sys/devices/system/cpu/cpu0/cache/index0/size", "48K\n"}}) {
    INFO(file);
    t.write(file, text);
    const std::uint64_t after = t.fingerprint();
    CHECK(after != before);
    before = after;
  }
}

TEST_CASE("clock rates and CPUs taken offline leave it the same machine") {
  const tree t;
  const std::uint64_t before = t.fingerprint();
  t.write("proc/cpuinfo", "processor\t: 0\nvendor_id\t: A\nmodel name\t: B 1\ncpu MHz\t\t: 800.0\n\n");
  t.write("sys/devices/system/cpu/online", "0\n");
  CHECK(t.fingerprint() == before);
}

TEST_CASE("where nothing can be read there is a fingerprint all the same, and this machine has one") {
  CHECK(machine_fingerprint("/nonexistent") != 0);
  CHECK(machine_fingerprint() == machine_fingerprint());
  CHECK(machine_fingerprint() != machine_fingerprint("/nonexistent"));
}
