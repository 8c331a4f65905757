// SPDX-License-Identifier: Apache-2.0
// The kernels, AVX2 with FMA. See network_kernels.h.
#define TACTUS_LANES 8
#if defined(__GNUC__) && !defined(__clang__)
#define TACTUS_MIN(a, b) __builtin_ia32_minps256(a, b)
#define TACTUS_MAX(a, b) __builtin_ia32_maxps256(a, b)
#define TACTUS_SQRT(x) __builtin_ia32_sqrtps256(x)
#endif
#include "inference_kernel.inc"
#include "network_kernel.inc"

namespace tactus::learn::kernel {

constinit table const avx2 = {encode, decide, prepare, rows, tanh_all, {forward_pass, backward_pass, rmsprop}};

} // namespace tactus::learn::kernel
