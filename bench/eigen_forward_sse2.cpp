// SPDX-License-Identifier: Apache-2.0
// See eigen_forward.h.
#define Eigen Eigen_sse2
#define EIGEN_TABLE eigen_sse2
#include "eigen_forward.inc"
