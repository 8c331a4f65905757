// SPDX-License-Identifier: Apache-2.0
// tactus-bench infer: what the policy's evaluation costs, one decision and whole tables of rows.
//
// One decision starts from the raw features of machine, class and places: encode, then the forward pass.
// Inputs change from decision to decision (64 sets, random situations). "tactus" is what the agent chooses
// on this machine; peers are our other instruction sets and Eigen with fixed dimensions, per instruction set.
// A check before measuring: all arms give the same logits.
// Does not: include the drawing of an action (see `decision`), publish rows.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "agent/learn/inference.h"
#include "bench.h"
#include "eigen_forward.h"
#include "learn_world.h"
#include "statistics.h"

namespace tactus::bench {
namespace {

using namespace learn;

constexpr int k_inputs = 64;
constexpr unsigned k_rounds = 100, k_per_round = 256;
constexpr unsigned k_singles = 4000;  // decisions timed one by one, for the 99th percentile
constexpr int k_row_classes = 32;     // x 128 situations = 4096 rows

struct infer_world {
  int places;
  learner_config config;
  weights<float> theta;
  std::vector<std::shared_ptr<policy_inputs>> inputs;
  std::vector<unsigned> situations;
  std::shared_ptr<policy_inputs> table;  // the inputs of 32 classes
  std::vector<context> contexts;         // of the table

  eigen_actor actor() const {
    const auto at = [&](block_id b) { return theta.data() + k_blocks[b].offset; };
    return {at(b_trunk_x), at(b_trunk_s), at(b_trunk_b), at(b_head_h), at(b_head_f), at(b_head_i),
            at(b_head_b),  at(b_head_o),  at(b_bilinear), at(b_hold_h), at(b_hold_z)};
  }
};
using world_ptr = std::shared_ptr<const infer_world>;

world_ptr make_world(int places, std::uint64_t seed) {
  auto w = std::make_shared<infer_world>();
  w->places = places;
  std::mt19937_64 random(seed);
  initial_weights(seed, w->theta.data());
  for (float& x : w->theta) x += 0.1f * (static_cast<float>(random() % 2001) / 1000 - 1);
  for (int i = 0; i < k_inputs; ++i) w->inputs.push_back(make_inputs(1, places, random()));
  for (unsigned i = 0; i < 4096; ++i) w->situations.push_back(static_cast<unsigned>(random() % TACTUS_NR_SITUATIONS));
  w->table = make_inputs(k_row_classes, places, seed);
  for (unsigned slot = 0; slot < k_row_classes; ++slot) w->contexts.push_back(encode(*w->table, slot, w->config));
  return w;
}

eigen_inputs view_of(const context& c) { return {c.x.data(), c.task.data(), c.place.data(), c.tier.data(), c.nr_places}; }

// An implementation: one decision, and all situations of one class.
struct contender {
  std::string name;
  std::function<void(const context&, unsigned, std::span<float>)> decide;
  std::function<void(const context&, std::span<float>)> rows;
};

contender ours(const world_ptr& w, instruction_set which, std::string name) {
  auto pi = std::make_shared<inference>(which);
  pi->set_weights(w->theta.data(), false);
  std::vector<std::uint8_t> all(TACTUS_NR_SITUATIONS);
  for (std::size_t s = 0; s < all.size(); ++s) all[s] = static_cast<std::uint8_t>(s);
  return {std::move(name),
          [pi](const context& c, unsigned s, std::span<float> out) { pi->decide(c, s, out); },
          [pi, all](const context& c, std::span<float> out) {
            pi->set_context(c);
            pi->logits(all, out);
          }};
}

contender eigen(const world_ptr& w, const eigen_table& table, std::string name) {
  const eigen_actor actor = w->actor();
  return {std::move(name),
          [w, actor, &table](const context& c, unsigned s, std::span<float> out) {
            table.decide(actor, view_of(c), s, out.data());
          },
          [w, actor, &table](const context& c, std::span<float> out) { table.rows(actor, view_of(c), out.data()); }};
}

std::vector<contender> contenders(const world_ptr& w) {
  std::vector<contender> out{ours(w, chosen_instruction_set(), "tactus")};
  out.push_back(eigen(w, eigen_sse2, "Eigen"));
  for (const instruction_set set : instruction_sets()) {
    if (set != chosen_instruction_set()) out.push_back(ours(w, set, std::string(name_of(set))));
#if defined(__x86_64__)
    if (set == instruction_set::avx2) out.push_back(eigen(w, eigen_avx2, "Eigen AVX2"));
    if (set == instruction_set::avx512) out.push_back(eigen(w, eigen_avx512, "Eigen AVX-512"));
#endif
  }
  return out;
}

// Throws unless all agree on every row of a class and on single decisions.
void check_agreement(const infer_world& w, const std::vector<contender>& all) {
  const std::size_t width = static_cast<std::size_t>(w.places) + 1;
  std::vector<float> expected(TACTUS_NR_SITUATIONS * width), rows(expected.size()), one(width);
  all.front().rows(w.contexts[0], expected);
  for (const contender& c : all) {
    c.rows(w.contexts[0], rows);
    double worst = 0;
    for (std::size_t s = 0; s < TACTUS_NR_SITUATIONS; ++s) {
      c.decide(w.contexts[0], static_cast<unsigned>(s), one);
      for (std::size_t i = 0; i < width; ++i) {
        const float e = expected[s * width + i];
        for (const float x : {rows[s * width + i], one[i]})
          worst = std::max(worst, static_cast<double>(std::abs(x - e) / (1 + std::abs(e))));
      }
    }
    if (!(worst < k_inference_tolerance)) throw std::runtime_error(fmt::format("{}: logits differ by {}", c.name, worst));
  }
}

template <class F>
double ns_per_decision(const infer_world& w, F&& one) {
  std::vector<double> rounds_ns;
  for (unsigned round = 0; round < k_rounds; ++round) {
    const std::int64_t begin = now_ns();
    for (unsigned i = 0; i < k_per_round; ++i)
      one(*w.inputs[i % k_inputs], w.situations[(round * k_per_round + i) % w.situations.size()]);
    rounds_ns.push_back(static_cast<double>(now_ns() - begin));
  }
  return quantile_of(rounds_ns, 0.5) / k_per_round;
}

// With the two readings of the clock.
template <class F>
double p99_ns(const infer_world& w, F&& one) {
  std::vector<double> singles_ns;
  for (unsigned i = 0; i < k_singles; ++i) {
    const std::int64_t begin = now_ns();
    one(*w.inputs[i % k_inputs], w.situations[i % w.situations.size()]);
    singles_ns.push_back(static_cast<double>(now_ns() - begin));
  }
  return quantile_of(singles_ns, 0.99);
}

double rows_us(const infer_world& w, const contender& c) {
  std::vector<float> out(TACTUS_NR_SITUATIONS * (static_cast<std::size_t>(w.places) + 1));
  std::vector<double> passes_ns;
  for (int pass = 0; pass < 10; ++pass) {
    const std::int64_t begin = now_ns();
    for (const context& x : w.contexts) c.rows(x, out);
    passes_ns.push_back(static_cast<double>(now_ns() - begin));
  }
  keep(out[0]);
  return quantile_of(passes_ns, 0.5) * 1e-3;
}

// The whole of learner_set::compile: encode, logits, softmax with floor, quantised rows to the sink.
double compile_us(const infer_world& w) {
  struct bank : row_sink {
    std::vector<tactus_row> rows = std::vector<tactus_row>(k_row_classes * TACTUS_NR_SITUATIONS);
    void put(unsigned slot, unsigned situation, const tactus_row& row) override {
      rows[slot * TACTUS_NR_SITUATIONS + situation] = row;
    }
  } sink;
  learner_config config = w.config;
  config.clone_steps = 0;
  static learner_set learner(config);
  static std::uint32_t version = 0;
  std::vector<double> passes_ns;
  for (int pass = 0; pass < 10; ++pass) {
    auto inputs = std::make_shared<policy_inputs>(*w.table);
    inputs->version = ++version;
    const std::int64_t begin = now_ns();
    learner.compile(inputs, sink);
    passes_ns.push_back(static_cast<double>(now_ns() - begin));
  }
  return quantile_of(passes_ns, 0.5) * 1e-3;
}

result run(const settings& set) {
  result out;
  const unsigned reps = set.repetitions(41, 11);
  const auto add = [&](std::string name, const char* unit, const std::vector<contender>& all, double target,
                       std::function<double(const contender&)> measure) {
    std::vector<arm> arms;
    for (const contender& c : all) arms.push_back({c.name, [&c, measure] { return measure(c); }});
    out.rows.push_back(interleave(set, std::move(name), unit, std::move(arms), reps));
    if (target > 0) out.rows.back().target = target;
  };
  for (const int places : {4, 16}) {
    const world_ptr w = make_world(places, set.seed);
    const auto all = contenders(w);
    check_agreement(*w, all);
    const auto whole = [w](const contender& c) {
      return [w, &c, x = context{}, logits = std::vector<float>(k_max_places + 1)](const policy_inputs& in,
                                                                                   unsigned s) mutable {
        encode(in, 0, w->config, x);
        c.decide(x, s, logits);
        keep(logits[0]);
      };
    };
    add(fmt::format("one decision, {} places: encode and forward", places), "ns", all, places == 4 ? 150 : 500,
        [&](const contender& c) { return ns_per_decision(*w, whole(c)); });
    add(fmt::format("one decision, {} places: 99th percentile", places), "ns", all, 1000,
        [&](const contender& c) { return p99_ns(*w, whole(c)); });
    add(fmt::format("one decision, {} places: forward of encoded features", places), "ns", all, 0,
        [&](const contender& c) {
          return ns_per_decision(*w, [&, i = 0u, logits = std::vector<float>(k_max_places + 1)](const policy_inputs&,
                                                                                                unsigned s) mutable {
            c.decide(w->contexts[i++ % k_row_classes], s, logits);
            keep(logits[0]);
          });
        });
    add(fmt::format("logits of 4096 rows, {} places", places), "us", all, places == 4 ? 1000 : 0,
        [&](const contender& c) { return rows_us(*w, c); });
  }
  const world_ptr w = make_world(4, set.seed);
  out.rows.push_back(interleave(set, "4096 rows of 4 places compiled and stored", "us",
                                {{"tactus", [w] { return compile_us(*w); }}}, reps));
  out.notes.push_back(fmt::format("tactus uses {}; Eigen without a name of instructions is SSE2, the compiler's default",
                                  name_of(chosen_instruction_set())));
  return out;
}

const registration infer{"infer", "the policy's evaluation: one decision, 4096 rows; beside Eigen", run};

}  // namespace
}  // namespace tactus::bench
