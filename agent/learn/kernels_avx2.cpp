// SPDX-License-Identifier: Apache-2.0
// The policy's forward pass, AVX2 with FMA. See inference_kernels.h.
#define TACTUS_LANES 8
#if defined(__GNUC__) && !defined(__clang__)
#define TACTUS_MIN(a, b) __builtin_ia32_minps256(a, b)
#define TACTUS_MAX(a, b) __builtin_ia32_maxps256(a, b)
#endif
#include "inference_kernel.inc"

namespace tactus::learn::kernel {

constinit table const avx2 = {encode, decide, prepare, rows, tanh_all};

} // namespace tactus::learn::kernel
