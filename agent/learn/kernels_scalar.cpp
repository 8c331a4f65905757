// SPDX-License-Identifier: Apache-2.0
// The policy's forward pass, no vectors: the reference of the others. See inference_kernels.h.
#define TACTUS_LANES 1
#include "inference_kernel.inc"

namespace tactus::learn::kernel {

constinit table const scalar = {encode, decide, prepare, rows, tanh_all};

} // namespace tactus::learn::kernel
