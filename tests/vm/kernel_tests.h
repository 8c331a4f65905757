// SPDX-License-Identifier: Apache-2.0
//
// The tests of tactus-vm-test, one function each. Each needs a loaded scheduler and returns the exit
// code: 0 passed, 1 failed, 2 could not be made. What each shows stands at the top of its file.
#pragma once

#include <string>
#include <vector>

namespace tactus::vmtest {

using arguments = std::vector<std::string>;

int test_affinity(const arguments&);      // rule 1
int test_waiting(const arguments&);       // rule 2
int test_sources(const arguments&);       // rules 3 and 4
int test_frequencies(const arguments&);   // rule 4: the logged probabilities are true
int test_ejection(const arguments&);      // rule 5
int test_fairness(const arguments&);      // rule 6: shares of CPU time
int test_hostile_pages(const arguments&); // rule 6: random pages, domain counters
int test_ring(const arguments&);          // 20,000 completions per second
int test_small_ring(const arguments&);    // losses are counted
int test_agent(const arguments&);         // rules 3 and 7 with tactusd: see agent.cpp
int run_load(const arguments&);           // a load for scripts
int run_pulse(const arguments&);          // a managed pool that pulses, for scripts
int set_abi(const arguments&);            // writes an ABI version into the pinned maps
int hold_other_scheduler(const arguments&); // loads another scheduler and waits

}  // namespace tactus::vmtest
