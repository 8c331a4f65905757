/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Another sched_ext scheduler, the smallest there is: a name, and the kernel's defaults for all
 * else. For the test that `tactus load` does not push another one out.
 */
#define BPF_NO_KFUNC_PROTOTYPES
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

SEC(".struct_ops.link")
struct sched_ext_ops other_ops = {
	.name = "other",
};
