// SPDX-License-Identifier: Apache-2.0
// The kernels, NEON. See network_kernels.h.
#define TACTUS_LANES 4
#include "inference_kernel.inc"
#include "network_kernel.inc"

namespace tactus::learn::kernel {

constinit table const neon = {encode, decide, prepare, rows, tanh_all, {forward_pass, backward_pass, rmsprop}};

} // namespace tactus::learn::kernel
