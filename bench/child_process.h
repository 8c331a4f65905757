// SPDX-License-Identifier: Apache-2.0
// A program that a benchmark starts, speaks to in lines, and ends. Never leaves one behind.
// Thread-safety: one thread uses an object.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace tactus::bench {

class child_process {
 public:
  // Starts argv[0], found on PATH. pipes: its standard input and output are ours; else the input is
  // /dev/null and the output goes to log_file. So does standard error; without a log_file it is ours.
  // Throws std::system_error.
  child_process(std::vector<std::string> argv, bool pipes, const std::string& log_file = {});
  ~child_process();  // kills it where it still runs
  child_process(const child_process&) = delete;
  child_process& operator=(const child_process&) = delete;

  void send(const std::string& line);
  // One line of its output. Throws std::runtime_error after timeout_s, or when it has ended.
  std::string receive(double timeout_s);
  bool running();
  // Sends the signal and waits; kills it after timeout_s. Returns the wait status.
  int end(int signal, double timeout_s = 10);

 private:
  std::string name_;
  pid_t pid_ = -1;
  int to_ = -1, from_ = -1;
  int status_ = 0;
  std::string buffer_;
};

// Runs a program to its end; returns its exit code (128 + signal when killed). Output as above.
int run_to_end(std::vector<std::string> argv, const std::string& log_file, double timeout_s);

}  // namespace tactus::bench
