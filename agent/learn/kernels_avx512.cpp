// SPDX-License-Identifier: Apache-2.0
// The policy's forward pass, AVX-512 (F, VL, DQ, BW). See inference_kernels.h.
#define TACTUS_LANES 16
#include "inference_kernel.inc"

namespace tactus::learn::kernel {

constinit table const avx512 = {encode, decide, prepare, rows, tanh_all};

} // namespace tactus::learn::kernel
