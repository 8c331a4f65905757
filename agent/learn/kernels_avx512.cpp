// SPDX-License-Identifier: Apache-2.0
// The policy's forward pass, AVX-512 (F, VL, DQ, BW). See inference_kernels.h.
#define TACTUS_LANES 16
#if defined(__GNUC__) && !defined(__clang__)
#define TACTUS_MIN(a, b) __builtin_ia32_minps512_mask(a, b, a, 0xffff, 4)
#define TACTUS_MAX(a, b) __builtin_ia32_maxps512_mask(a, b, a, 0xffff, 4)
#endif
#include "inference_kernel.inc"

namespace tactus::learn::kernel {

constinit table const avx512 = {encode, decide, prepare, rows, tanh_all};

} // namespace tactus::learn::kernel
