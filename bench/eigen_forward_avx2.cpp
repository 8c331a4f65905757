// SPDX-License-Identifier: Apache-2.0
// See eigen_forward.h.
#define Eigen Eigen_avx2
#define EIGEN_TABLE eigen_avx2
#include "eigen_forward.inc"
