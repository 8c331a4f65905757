// SPDX-License-Identifier: Apache-2.0
// tactus-frame: runs the frame example's load on libtactus and reports what it measured.
//
// Works with no agent and no scheduler; where they run, the pool registers by itself and nothing here
// changes. Relies on game.h for the load, report.h for the result.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <sstream>

#include "executor.h"
#include "game.h"
#include "options.h"
#include "report.h"

namespace {

using namespace tactus::frame;

// Progress on standard error: one line that is rewritten on a terminal, else a line every 5 s.
class progress_line {
 public:
  explicit progress_line(bool quiet) : quiet_(quiet), terminal_(isatty(STDERR_FILENO) != 0) {}
  ~progress_line() { finish(); }

  void phase(const std::string& what) {
    if (quiet_) return;
    if (terminal_) rewrite(what);
    else fmt::print(stderr, "tactus-frame: {}\n", what);
  }
  void tick(const char* what, double done_s, double of_s) {
    if (quiet_ || of_s < 2) return;
    if (terminal_) {
      rewrite(fmt::format("{} {:.1f} of {:.1f} s", what, done_s, of_s));
    } else if (done_s - last_s_ >= 5 || done_s < last_s_) {
      last_s_ = done_s;
      fmt::print(stderr, "tactus-frame: {} {:.0f} of {:.0f} s\n", what, done_s, of_s);
    }
  }
  void finish() {
    if (open_) fmt::print(stderr, "\r\033[K");
    open_ = false;
  }

 private:
  void rewrite(const std::string& what) {
    fmt::print(stderr, "\r\033[Ktactus-frame: {}", what);
    open_ = true;
  }
  const bool quiet_, terminal_;
  bool open_ = false;
  double last_s_ = 0;
};

void measure_once(game& load, const executor& pool, const options& opt, progress_line& progress) {
  if (opt.warmup_s > 0)
    load.measure(opt.warmup_s, [&](double s) { progress.tick("warming up", s, opt.warmup_s); });
  const window_summary window =
      load.measure(opt.seconds, [&](double s) { progress.tick("measuring", s, opt.seconds); });
  load.stop();
  progress.finish();
  const auto json = to_json(load, window, pool.name(), pool.workers());
  if (opt.json_file == "-") {
    std::cout << json.dump(2) << '\n';
    return;
  }
  std::cout << to_table(load, window);
  if (opt.json_file.empty()) return;
  std::ofstream file(opt.json_file);
  file << json.dump(2) << '\n';
  if (!file.flush()) throw std::runtime_error("cannot write " + opt.json_file + "; give --json another path");
}

void serve(game& load, const executor& pool, progress_line& progress) {
  progress.finish();
  std::cout << R"({"ready":true})" << std::endl;
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream words(line);
    std::string verb, label;
    double seconds = 0;
    words >> verb;
    if (verb == "quit") break;
    if (verb != "measure" || !(words >> seconds) || seconds <= 0 || seconds > 86400) {
      std::cout << R"({"error":"expected: measure SECONDS [LABEL], or quit"})" << std::endl;
      continue;
    }
    words >> label;
    auto json = to_json(load, load.measure(seconds), pool.name(), pool.workers());
    json["label"] = label;
    std::cout << json.dump() << std::endl;
  }
  load.stop();
}

}  // namespace

int main(int argc, char** argv) {
  options opt;
  if (const int code = parse_options(argc, argv, opt); code >= 0) return code;
  try {
    progress_line progress(opt.quiet);
    game load(opt.game, [&](const std::string& what) { progress.phase(what); });
    const auto pool = make_tactus_executor(opt.workers, opt.game.classes);
    load.start(*pool);
    if (opt.serve) serve(load, *pool, progress);
    else measure_once(load, *pool, opt, progress);
    if (load.wrong_results() != 0) {
      progress.finish();
      fmt::print(stderr, "tactus-frame: {} tasks gave a wrong result; memory or the pool is at fault\n",
                 load.wrong_results());
      return 1;
    }
  } catch (const std::invalid_argument& error) {
    fmt::print(stderr, "tactus-frame: {}; see --help\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    fmt::print(stderr, "tactus-frame: {}\n", error.what());
    return 1;
  }
  return 0;
}
