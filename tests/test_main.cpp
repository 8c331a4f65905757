// SPDX-License-Identifier: Apache-2.0
// main() of every doctest program, compiled once; see tactus_add_test in cmake/tactus_test.cmake.
// A program without a single test case fails: an empty test must not count as passed.
#define DOCTEST_CONFIG_IMPLEMENT
#include "tests/hang_report.h"

#include <doctest/doctest.h>

#include <cstdio>

namespace {

// Learns from doctest how many cases ran, and which one runs.
struct case_counter : doctest::IReporter {
  static inline unsigned cases_run = 0;
  static inline bool queried = false;

  explicit case_counter(const doctest::ContextOptions&) {}
  void report_query(const doctest::QueryData&) override { queried = true; }
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats& stats) override { cases_run = stats.numTestCasesPassingFilters; }
  void test_case_start(const doctest::TestCaseData& data) override { tactus::test::now_running(data.m_name); }
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_end(const doctest::CurrentTestCaseStats&) override {}
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData&) override {}
  void log_message(const doctest::MessageData&) override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}
};

REGISTER_LISTENER("case_counter", 0, case_counter);

}  // namespace

int main(int argc, char** argv) {
  tactus::test::report_hang_in_time();
  doctest::Context context(argc, argv);
  int result = context.run();
  if (!case_counter::queried && !context.shouldExit() && case_counter::cases_run == 0) {
    std::fputs("no test case ran: the filter matches none, or the program has none\n", stderr);
    return 2;
  }
  return result;
}
