// SPDX-License-Identifier: Apache-2.0
// Champion and challenger on synthetic judgements: equal ones are hardly ever promoted, better ones
// are, clearly worse ones and broken ones are taken back.
#include "agent/learn/validation.h"
#include "agent/models/champion.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <random>

using namespace tactus::agent;
namespace learn = tactus::learn;

namespace {

learn::held_out_report report_of(double difference, double error) {
  learn::held_out_report r;
  r.segments = 40;
  r.current.judged = r.champion.judged = true;
  r.difference = difference;
  r.difference_error = error;
  return r;
}

// Judgements with difference `effect` standard errors until a trial ends.
verdict trial(champion_judge& judge, double effect, std::mt19937_64& random) {
  std::normal_distribution<double> noise;
  for (;;) {
    const verdict v = judge.judge(report_of(0.02 * (effect + noise(random)), 0.02), 0.5, 10000);
    if (v != verdict::wait) return v;
  }
}

struct shares {
  double promoted = 0, restored = 0;
};

shares trials(double effect, int n) {
  std::mt19937_64 random(11);
  champion_judge judge;
  shares s;
  for (int i = 0; i < n; i++) {
    const verdict v = trial(judge, effect, random);
    s.promoted += v == verdict::promote ? 1.0 / n : 0;
    s.restored += v == verdict::restore ? 1.0 / n : 0;
  }
  return s;
}

}  // namespace

TEST_CASE("equal arms: at most 5 % of trials promote, and hardly one goes back") {
  const shares s = trials(0, 4000);
  MESSAGE("A/A: promoted " << s.promoted << ", restored " << s.restored);
  CHECK(s.promoted <= 0.05);
  CHECK(s.restored <= 0.003);
}

TEST_CASE("equal arms with the weights of importance sampling, which are far from normal: still at most 5 %") {
  // Two policies that differ from the one that decided as much as each other, equally good: what they
  // make of a segment differs, its mean does not.
  for (const double spread : {0.3, 0.7, 1.0}) {
    std::mt19937_64 random(5);
    std::normal_distribution<double> normal;
    champion_judge judge;
    int promoted = 0, restored = 0, ended = 0;
    for (int judgement = 0; judgement < 8000; judgement++) {
      std::vector<learn::segment_value> a(32), b(32);
      for (std::size_t i = 0; i < a.size(); i++) {
        const double error_of_critic = normal(random);
        for (auto* v : {&a[i], &b[i]}) {
          v->weight = std::exp(spread * normal(random) - spread * spread / 2);
          v->robust = v->weight * error_of_critic;
        }
      }
      learn::held_out_report r;
      r.segments = 32;
      r.current = learn::estimate(a);
      r.champion = learn::estimate(b);
      const auto d = learn::difference(a, b);
      r.difference = d.mean;
      r.difference_error = d.error;
      const verdict v = judge.judge(r, 0.5, 10000);
      ended += v != verdict::wait;
      promoted += v == verdict::promote;
      restored += v == verdict::restore;
    }
    const auto f = judge.figures_now();
    MESSAGE("spread " << spread << ": " << ended << " trials, promoted " << promoted << ", restored " << restored << ", refused "
                      << f.refused << " judgements");
    if (ended == 0) continue;  // all refused: too far from what was done
    CHECK(promoted <= 0.05 * ended);
    CHECK(restored <= 0.01 * ended + 1);
  }
}

TEST_CASE("a better challenger is promoted, one that is a little worse is not, a clearly worse one is taken back") {
  CHECK(trials(-1, 500).promoted > 0.8);
  CHECK(trials(-1, 500).restored == 0);
  CHECK(trials(0.2, 500).promoted < 0.02);
  const shares worse = trials(1.5, 500);
  CHECK(worse.restored > 0.95);
  CHECK(worse.promoted < 0.005);
}

TEST_CASE("a trial without a decision ends with the champion kept, and the next starts from nothing") {
  champion_judge judge;
  for (int round = 0; round < 3; round++) {
    for (int i = 1; i < champion_judge::k_trial; i++) REQUIRE(judge.judge(report_of(-0.001, 0.01), 0.5, 10000) == verdict::wait);
    CHECK(judge.judge(report_of(-0.001, 0.01), 0.5, 10000) == verdict::keep);
  }
  CHECK(judge.figures_now().kept == 3);
  CHECK(judge.figures_now().judgements == 3 * champion_judge::k_trial);
}

TEST_CASE("the same weights on both sides are no evidence") {
  champion_judge judge;
  for (int i = 0; i < 3 * champion_judge::k_trial; i++) {
    const verdict v = judge.judge(report_of(0, 0), 0.5, 10000);
    CHECK((v == verdict::wait || v == verdict::keep));
  }
}

TEST_CASE("without enough effective segments nothing is judged, however large the difference") {
  champion_judge judge;
  auto r = report_of(-10, 0.01);
  r.current.judged = false;
  CHECK(judge.judge(r, 0.5, 10000) == verdict::wait);
  r = report_of(10, 0.01);
  r.champion.judged = false;
  CHECK(judge.judge(r, 0.5, 10000) == verdict::wait);
  CHECK(judge.judge(report_of(std::nan(""), 0.01), 0.5, 10000) == verdict::wait);
  CHECK(judge.figures_now().refused == 3);
  r = report_of(10, 0.01);
  r.segments = champion_judge::k_least_segments - 1;
  CHECK_FALSE(champion_judge::ready(r));
  CHECK(judge.judge(r, 0.5, 10000) == verdict::wait);
  CHECK(judge.figures_now().judgements == 0);
}

TEST_CASE("weights that are no numbers go back at once; a critic worse than none too, but not twice in a row") {
  champion_judge judge;
  learn::held_out_report broken;
  broken.finite = false;
  CHECK(champion_judge::ready(broken));
  CHECK(judge.judge(broken, 0.5, 10) == verdict::restore);
  for (int i = 0; i < champion_judge::k_trial; i++) CHECK(judge.judge(report_of(0, 0), -5, 10000) != verdict::restore);
  CHECK(judge.judge(report_of(0, 0), -5, 10000) == verdict::restore);
  CHECK(judge.judge(report_of(0, 0), -5, 10000) == verdict::wait);  // its mean takes a while to follow
  champion_judge early;
  CHECK(early.judge(report_of(0, 0), -5, 100) == verdict::wait);
}
