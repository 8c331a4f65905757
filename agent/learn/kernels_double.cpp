// SPDX-License-Identifier: Apache-2.0
// The learner's passes in double, for the check of gradients. See network_kernels.h.
#define TACTUS_LANES 1
#define TACTUS_DOUBLE
#include "network_kernel.inc"

namespace tactus::learn::kernel {

constinit network_table<double> const in_double = {forward_pass, backward_pass, rmsprop};

} // namespace tactus::learn::kernel
