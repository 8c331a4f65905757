// SPDX-License-Identifier: Apache-2.0
// tactus-bench decision: what one decision of bpf/policy.h costs when compiled natively.
//
// A decision here is all that policy.h does for it: situation from the idle places and the queue,
// row looked up and checked for a torn write, drawn from among the legal actions with its exact
// probability. Reading queues, idle masks and storage belongs to the kernel and is not in it.
// Rows of four classes in all 128 situations, as a pool of that size touches them.
#include <fmt/format.h>

#include <memory>
#include <vector>

#include "bench.h"
#include "bpf/policy.h"
#include "statistics.h"

namespace tactus::bench {
namespace {

constexpr double k_target_ns = 50;
constexpr unsigned k_classes = 4;
constexpr unsigned k_inputs = 4096;  // a power of two
constexpr unsigned k_rounds = 200, k_per_round = 512;

struct input {
  __u64 idle, legal;
  __s32 waiting;
  __u32 rnd, slot, prev;
  __s32 depth[TACTUS_MAX_PLACES];
};

struct world {
  unsigned places;
  std::vector<tactus_row> rows;
  tactus_class_conf conf[k_classes];
  __u64 near[4];
  std::vector<input> inputs;
};

world make_world(unsigned places, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  world w{};
  w.places = places;
  const __u64 every = places == 64 ? ~0ull : (1ull << places) - 1;
  w.near[0] = every & 0x3333333333333333ull;
  w.near[1] = w.near[0] | (every & 0x00ff00ff00ff00ffull);
  w.near[2] = w.near[3] = every;
  w.rows.resize(k_classes * TACTUS_NR_SITUATIONS);
  for (tactus_row& r : w.rows) {
    r.version_begin = r.version_end = 7;
    r.confidence = 65535;
    // Mass of each place and of hold in proportion to random numbers, cumulated.
    std::vector<double> mass(places + 1);
    double sum = 0;
    for (double& m : mass) sum += m = static_cast<double>(random() % 1000 + 1);
    double so_far = 0;
    for (unsigned p = 0; p < TACTUS_MAX_PLACES; ++p) {
      if (p < places) so_far += mass[p];
      r.cdf[p] = static_cast<__u16>(so_far / sum * TACTUS_CDF_ONE);
    }
  }
  for (auto& c : w.conf)
    for (unsigned p = 0; p < TACTUS_MAX_PLACES; ++p) c.tier[p] = static_cast<__u8>(random() % TACTUS_MAX_TIERS);
  w.inputs.resize(k_inputs);
  for (input& in : w.inputs) {
    in.idle = random() & random() & every;
    in.legal = random() % 8 == 0 ? (random() | 1) & every : every;  // affinity: now and then
    in.waiting = static_cast<__s32>(random() % 12);
    in.rnd = static_cast<__u32>(random());
    in.slot = static_cast<__u32>(random() % k_classes);
    in.prev = static_cast<__u32>(random() % places);
    for (auto& d : in.depth) d = static_cast<__s32>(random() % 4);
  }
  return w;
}

// noinline: the places' number must not become a constant, in the kernel it is none either.
[[gnu::noinline]] __u32 decide(const world& w, const input& in) {
  const __u32 tiers = tactus_idle_tiers(w.conf[in.slot].tier, in.idle, w.places);
  const __u32 situation = tactus_situation(tiers, in.waiting);
  const tactus_row& r = w.rows[in.slot * TACTUS_NR_SITUATIONS + situation];
  tactus_choice choice{};
  if (r.version_begin != r.version_end || r.version_end == 0) return TACTUS_HOLD;
  tactus_sample(r.cdf, w.places, in.legal, tactus_hold_legal(in.waiting, w.places), in.rnd, &choice);
  return choice.action + choice.num + choice.den;
}

[[gnu::noinline]] __u32 fallback(const world& w, const input& in) {
  const tactus_view view{in.legal, in.idle, in.idle & (in.idle >> 1), in.prev, (in.idle >> in.prev & 1) != 0};
  const __u32 place = tactus_fallback_idle(&view, w.near);
  return place != TACTUS_NO_PLACE ? place : tactus_fallback_queue(&view, w.near, in.depth, w.places);
}

// The median over rounds: each is short, so that what the kernel gives to others falls into few.
template <class F>
double ns_per_call(const world& w, F&& f) {
  __u32 sum = 0;
  std::vector<double> rounds_ns;
  for (unsigned round = 0; round < k_rounds; ++round) {
    const std::int64_t begin = now_ns();
    for (unsigned i = 0; i < k_per_round; ++i) sum += f(w, w.inputs[(round * k_per_round + i) % k_inputs]);
    rounds_ns.push_back(static_cast<double>(now_ns() - begin));
  }
  keep(sum);
  return quantile_of(rounds_ns, 0.5) / k_per_round;
}

result run(const settings& set) {
  result out;
  const unsigned reps = set.repetitions(101, 31);
  for (const unsigned places : {4u, 64u}) {
    const auto w = std::make_shared<const world>(make_world(places, set.seed));
    const auto add = [&](const char* what, auto f) {
      out.rows.push_back(interleave(set, fmt::format("{}, {} places", what, places), "ns",
                                    {{"tactus", [w, f] { return ns_per_call(*w, f); }}}, reps));
    };
    add("wake-up decision", decide);
    out.rows.back().target = k_target_ns;
    add("fallback decision", fallback);
  }
  return out;
}

const registration decision{"decision", "one decision of bpf/policy.h, compiled natively, 4 and 64 places", run};

}  // namespace
}  // namespace tactus::bench
