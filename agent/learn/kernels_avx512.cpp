// SPDX-License-Identifier: Apache-2.0
// The kernels, AVX-512 (F, VL, DQ, BW). See network_kernels.h.
#define TACTUS_LANES 16
#if defined(__GNUC__) && !defined(__clang__)
#define TACTUS_MIN(a, b) __builtin_ia32_minps512_mask(a, b, a, 0xffff, 4)
#define TACTUS_MAX(a, b) __builtin_ia32_maxps512_mask(a, b, a, 0xffff, 4)
#define TACTUS_SQRT(x) __builtin_ia32_sqrtps512_mask(x, x, 0xffff, 4)
#define TACTUS_REPEAT(v) __builtin_ia32_broadcastf32x4_512(v, lanes{}, 0xffff)
#endif
#include "inference_kernel.inc"
#include "network_kernel.inc"

namespace tactus::learn::kernel {

constinit table const avx512 = {encode, decide, prepare, rows, tanh_all, {forward_pass, backward_pass, rmsprop}};

} // namespace tactus::learn::kernel
