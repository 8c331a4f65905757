// SPDX-License-Identifier: Apache-2.0
// The network's forward pass written plainly in Eigen with fixed dimensions: the peer of agent/learn/inference.h.
//
// eigen_forward.inc is compiled once per instruction set, each time with Eigen's namespace renamed, so that
// no function of Eigen compiled with one set's flags is linked into another's.
#pragma once

namespace tactus::bench {

// The actor's blocks (agent/learn/network.h), column-major; and one class's encoded inputs.
struct eigen_actor {
  const float *trunk_x, *trunk_s, *trunk_b, *head_h, *head_f, *head_i, *head_b, *head_o, *bilinear, *hold_h, *hold_z;
};
struct eigen_inputs {
  const float *x, *task, *place;  // 96, 18, nr_places x 12
  const unsigned char* tier;
  int nr_places;
};

struct eigen_table {
  // nr_places + 1 logits, hold last.
  void (*decide)(const eigen_actor&, const eigen_inputs&, unsigned situation, float* out);
  // All 128 situations of a class: 128 x (nr_places + 1), what is constant computed once.
  void (*rows)(const eigen_actor&, const eigen_inputs&, float* out);
};
extern const eigen_table eigen_sse2, eigen_avx2, eigen_avx512;

}  // namespace tactus::bench
