// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>

#include "../common/machine.h"

namespace tactus::frame {
namespace {

constexpr const char* k_footer = R"(
Sizes: --scale multiplies the work of every task; 1 gives tasks of about 0.1 ms on a current CPU and
1 to 2 ms in an emulated one. Nothing adapts while it runs: the same options are the same load.

--serve keeps the load running and measures on request. It prints {"ready":true}, then reads lines:
  measure SECONDS [LABEL]   prints one line of JSON, with "label"
  quit                      ends (so does the end of the input)

examples:
  tactus-frame --seconds 10
  tactus-frame --seconds 5 --json result.json --audio-period-ms 20
  tactus-frame --scale 4 --load-from /usr/share/doc --json -
  printf 'measure 4 warm\nquit\n' | tactus-frame --serve

exit codes: 0 done, 1 a result was wrong or the load could not run, 2 wrong use)";

struct sizes {
  double scale = 1;
  unsigned rooms = 0, bodies = 0, side = 0, piece_kib = 0;  // 0: by scale
};

unsigned scaled(double base, double factor, unsigned least) {
  return std::max(least, static_cast<unsigned>(std::lround(base * factor)));
}

std::int64_t ns(double ms) { return std::llround(ms * 1e6); }

}  // namespace

int parse_options(int argc, char** argv, options& out) {
  CLI::App app(
      "A game-like load on libtactus: audio mixing, physics, path-finding and background loading, each a\n"
      "task class of its own. Measures latency, deadlines missed, throughput and tasks present by itself.");
  app.footer(k_footer);
  sizes size;
  double audio_ms = 5, frame_ms = 0, think_ms = -1;
  double load_mib = 8;
  std::vector<unsigned> weights{4, 2, 1, 1};
  game_config& g = out.game;
  g.load_streams = 0;
  g.assets.directories = {"/usr/share", "/usr/bin", "/usr/lib"};

  const auto positive = CLI::Range(1e-6, 1e6);
  app.add_option("--seconds", out.seconds, "time measured, s")->check(CLI::Range(0.1, 86400.0))->capture_default_str();
  app.add_option("--warmup", out.warmup_s, "time run before, s")->check(CLI::Range(0.0, 3600.0))->capture_default_str();
  app.add_option("--seed", g.seed, "of inputs")->capture_default_str();
  app.add_option("--workers", out.workers, "threads of the pool; 0: its own choice")->check(CLI::Range(0, 1024));
  app.add_option("--json", out.json_file, "write the result there; -: to standard output, instead of the table");
  app.add_flag("--serve", out.serve, "measure on request, see below");
  app.add_flag("-q,--quiet", out.quiet, "no progress on standard error");

  app.add_option("--scale", size.scale, "work per task")->check(positive)->capture_default_str();
  app.add_option("--audio-period-ms", audio_ms, "one block per period")->check(CLI::Range(0.5, 1000.0))->capture_default_str();
  app.add_option("--audio-streams", g.audio_streams, "tasks per period; 0: no audio")->check(CLI::Range(0, 32))->capture_default_str();
  app.add_option("--audio-rooms", size.rooms, "convolutions per task (default 1 x scale)");
  app.add_option("--audio-voices", g.audio_voices, "mixed per room")->check(CLI::Range(1, 1024))->capture_default_str();
  app.add_option("--frame-period-ms", frame_ms, "physics and path-finding (default 10/3 of the audio period: 60 per s)")
      ->check(CLI::Range(0.5, 1000.0));
  app.add_option("--physics-bodies", size.bodies, "(default 256 x square root of scale)");
  app.add_option("--physics-tasks", g.physics_tasks, "tasks per step")->capture_default_str();
  app.add_option("--path-queries", g.path_queries, "per frame")->check(CLI::Range(0, 64))->capture_default_str();
  app.add_option("--path-side", size.side, "of the grid, cells (default 80 x square root of scale)");
  app.add_option("--load-streams", g.load_streams, "loading tasks at any time, at most (default: CPUs)");
  app.add_option("--load-think-ms", think_ms, "of a stream, from the end of one task to the next, as if its data had to come (default: the audio period)")
      ->check(CLI::Range(0.0, 10000.0));
  app.add_option("--load-piece-kib", size.piece_kib, "uncompressed (default 64 x scale)");
  app.add_option("--load-mib", load_mib, "work set, in memory")->check(CLI::Range(0.1, 4096.0))->capture_default_str();
  app.add_option("--load-from", g.assets.directories, "files or directories to read")->capture_default_str();
  app.add_option("--weights", weights, "of audio, physics, path, loading in the cost")
      ->expected(k_task_kinds)->delimiter(',')->check(CLI::Range(1, 255))->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }

  const double root = std::sqrt(size.scale);
  g.audio_period_ns = ns(audio_ms);
  g.frame_period_ns = ns(frame_ms != 0 ? frame_ms : audio_ms * 10 / 3);
  g.load_think_ns = ns(think_ms >= 0 ? think_ms : audio_ms);
  g.audio_rooms = size.rooms != 0 ? size.rooms : scaled(1, size.scale, 1);
  g.physics_bodies = size.bodies != 0 ? size.bodies : scaled(256, root, 16);
  g.path_side = size.side != 0 ? size.side : scaled(80, root, 8);
  g.assets.piece_bytes = std::size_t{size.piece_kib != 0 ? size.piece_kib : scaled(64, size.scale, 1)} << 10;
  g.assets.total_bytes = std::max(g.assets.piece_bytes, static_cast<std::size_t>(load_mib * 1048576));
  g.assets.seed = g.seed;
  if (g.load_streams == 0) g.load_streams = examples::allowed_cpus();
  g.classes[index_of(task_kind::audio)] = {3, weights[0], g.audio_period_ns};
  g.classes[index_of(task_kind::physics)] = {2, weights[1], g.frame_period_ns};
  g.classes[index_of(task_kind::path)] = {1, weights[2], 0};
  g.classes[index_of(task_kind::loading)] = {0, weights[3], 0};
  return -1;
}

}  // namespace tactus::frame
