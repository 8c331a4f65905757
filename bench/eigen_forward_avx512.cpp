// SPDX-License-Identifier: Apache-2.0
// See eigen_forward.h.
#define Eigen Eigen_avx512
#define EIGEN_TABLE eigen_avx512
#include "eigen_forward.inc"
