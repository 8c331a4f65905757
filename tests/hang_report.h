// SPDX-License-Identifier: Apache-2.0
// What a test program that hangs says before ctest kills it: the test case, the main thread's stack
// and, of every thread, its state and the system call in which it sleeps.
#ifndef TACTUS_TESTS_HANG_REPORT_H
#define TACTUS_TESTS_HANG_REPORT_H

namespace tactus::test {

// Reports on standard error after TACTUS_TEST_SECONDS (environment; nothing happens without it), once.
// Call it from main() before the first test. A forked child has no such timer.
void report_hang_in_time();

// The name of the test case that runs; must live until the next call.
void now_running(const char* test_case);

}  // namespace tactus::test

#endif
