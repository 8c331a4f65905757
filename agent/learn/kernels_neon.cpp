// SPDX-License-Identifier: Apache-2.0
// The policy's forward pass, NEON. See inference_kernels.h.
#define TACTUS_LANES 4
#include "inference_kernel.inc"

namespace tactus::learn::kernel {

constinit table const neon = {encode, decide, prepare, rows, tanh_all};

} // namespace tactus::learn::kernel
