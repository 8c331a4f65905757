// SPDX-License-Identifier: Apache-2.0
//
// tactus-vm-test NAME [ARG...]: the tests that look at the scheduler from within a VM, and the tools
// of the guest scripts. Run them with scripts/vm.sh, by way of tests/vm/with_scheduler.sh.
#include <cstdio>
#include <cstring>

#include "kernel_tests.h"

namespace {

struct command {
  const char* name;
  int (*run)(const tactus::vmtest::arguments&);
  const char* what;
};

constexpr command k_commands[] = {
    {"affinity", tactus::vmtest::test_affinity, "rule 1: affinity and cpusets"},
    {"waiting", tactus::vmtest::test_waiting, "rule 2: bounds of waiting under harmful rows"},
    {"sources", tactus::vmtest::test_sources, "rules 3 and 4: heartbeat, missing and torn rows, confidence"},
    {"frequencies", tactus::vmtest::test_frequencies, "rule 4: logged probabilities against what was drawn"},
    {"ejection", tactus::vmtest::test_ejection, "rule 5: thrown out with work in flight, loaded again"},
    {"fairness", tactus::vmtest::test_fairness, "rule 6: shares of CPU time"},
    {"hostile-pages", tactus::vmtest::test_hostile_pages, "rule 6: random bytes in the shared pages"},
    {"ring", tactus::vmtest::test_ring, "20,000 completions per second, none lost"},
    {"small-ring", tactus::vmtest::test_small_ring, "losses of a small ring are counted (load with --ring-bytes 4096)"},
    {"agent", tactus::vmtest::test_agent, "rules 3 and 7 with the real agent and a real pool"},
    {"load", tactus::vmtest::run_load, "FILE SECONDS: a load, its progress in FILE"},
    {"pulse", tactus::vmtest::run_pulse, "SECONDS: a managed pool that pulses"},
    {"abi", tactus::vmtest::set_abi, "VERSION: writes an ABI version into the pinned maps"},
    {"other-scheduler", tactus::vmtest::hold_other_scheduler, "OBJECT: loads another scheduler and waits"},
};

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "--help") != 0)
    for (const command& c : k_commands)
      if (std::strcmp(argv[1], c.name) == 0) return c.run({argv + 2, argv + argc});
  std::puts("usage: tactus-vm-test NAME [ARG...]   (in a VM, as root; most need `tactus load` first)\n");
  for (const command& c : k_commands) std::printf("  %-16s %s\n", c.name, c.what);
  std::puts("\nexample: scripts/vm.sh tests/vm/with_scheduler.sh tactus-vm-test affinity\n"
            "exit codes: 0 passed, 1 failed, 2 could not be made, 64 wrong use");
  return argc > 1 && std::strcmp(argv[1], "--help") == 0 ? 0 : 64;
}
