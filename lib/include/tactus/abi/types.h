/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Fixed-width types and the limits that every contract of Tactus shares.
 *
 * The files of this folder are C, included by the BPF scheduler (after
 * vmlinux.h), the agent, the library, the simulator and tests. They describe
 * memory that crosses a boundary (process to kernel, kernel to agent), so a
 * change of layout is a change of TACTUS_ABI_VERSION and an entry in
 * docs/design.md. Everything a pool writes is untrusted for whoever reads it.
 */
#ifndef TACTUS_ABI_TYPES_H
#define TACTUS_ABI_TYPES_H

#if defined(__bpf__)
/* vmlinux.h has defined __u8 ... __s64 */
#elif defined(__cplusplus)
#include <cstddef>
#include <linux/types.h>
#else
#include <linux/types.h>
#include <stddef.h>
#endif

#define TACTUS_ABI_VERSION 1u
#define TACTUS_MAGIC 0x54414354u /* "TACT" */

enum tactus_limits {
	TACTUS_MAX_CPUS = 1024,
	TACTUS_MAX_PLACES = 64,
	TACTUS_MAX_DOMAINS = 64,
	TACTUS_MAX_TIERS = 4,
	TACTUS_MAX_SLOTS = 64,	       /* global row slots; slot 0 = unknown class */
	TACTUS_MAX_LOCAL_CLASSES = 64, /* of one pool; class 0 = unknown */
	TACTUS_MAX_POOLS = 256,
	TACTUS_MAX_WORKERS = 1024, /* of one pool, spares included */
	TACTUS_NR_SITUATIONS = 128,
	TACTUS_PAGE_BYTES = 4096,
	TACTUS_HOLD = TACTUS_MAX_PLACES,      /* the action "hold" */
	TACTUS_NR_ACTIONS = TACTUS_MAX_PLACES + 1,
	TACTUS_NO_PLACE = 255,
};

#ifdef __cplusplus
#define TACTUS_STATIC_ASSERT(cond, msg) static_assert(cond, msg)
#else
#define TACTUS_STATIC_ASSERT(cond, msg) _Static_assert(cond, msg)
#endif

#endif
