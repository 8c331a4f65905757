/* SPDX-License-Identifier: GPL-2.0 */
/*
 * kfunc declarations, and what differs between kernels 6.16 and 7.3.
 *
 * One object loads on all of them: every kfunc is weak, and what a kernel
 * lacks is chosen at load time by bpf_ksym_exists() or CO-RE; the verifier
 * drops the dead branch. Names end in ___v1/___v2___compat only to tell libbpf
 * which kernel symbol is meant (it strips the last ___suffix).
 * Enum values are taken from the running kernel (K()), never compiled in,
 * but for ops flags, which are part of the struct_ops value and stable.
 */
#ifndef TACTUS_KERNEL_BPF_H
#define TACTUS_KERNEL_BPF_H

#define BPF_NO_KFUNC_PROTOTYPES
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

#ifndef __weak
#define __weak __attribute__((weak))
#endif
#define READ_ONCE(x) (*(volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile typeof(x) *)&(x) = (v))
#ifndef __uptr
#define __uptr __attribute__((btf_type_tag("uptr")))
#endif
#ifndef __kptr
#define __kptr __attribute__((btf_type_tag("kptr")))
#endif
#define PF_KTHREAD 0x00200000 /* a macro in the kernel, so not in its BTF; stable since 2.6 */
#define BPF_STRUCT_OPS(name, args...) SEC("struct_ops/" #name) BPF_PROG(name, ##args)
#define BPF_STRUCT_OPS_SLEEPABLE(name, args...) SEC("struct_ops.s/" #name) BPF_PROG(name, ##args)
#define BPF_FOR_EACH_ITER (&___it) /* the iterator that bpf_for_each() hides */
#define K(type, name) bpf_core_enum_value(enum type, name)

/*
 * Loops. bpf_for() calls the kernel three times and once a round. Where a round is short that is most of
 * its cost: may_goto (6.9) is one decrement, and the verifier need not know the bound.
 */
#define can_loop                                                                                   \
	({                                                                                         \
		__label__ out, on;                                                                 \
		bool go = true;                                                                    \
		asm volatile goto("may_goto %l[out]" : : : : out);                                 \
		goto on;                                                                           \
	out:                                                                                       \
		go = false;                                                                        \
	on:;                                                                                       \
		go;                                                                                \
	})
#define tactus_for(i, n) for ((i) = 0; (i) < (n) && (i) < TACTUS_MAX_PLACES && can_loop; (i)++)

/* iterators */
extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __weak __ksym;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __weak __ksym;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __weak __ksym;
extern int bpf_iter_scx_dsq_new(struct bpf_iter_scx_dsq *it, u64 dsq_id, u64 flags) __weak __ksym;
extern struct task_struct *bpf_iter_scx_dsq_next(struct bpf_iter_scx_dsq *it) __weak __ksym;
extern void bpf_iter_scx_dsq_destroy(struct bpf_iter_scx_dsq *it) __weak __ksym;
extern void bpf_rcu_read_lock(void) __weak __ksym;
extern void bpf_rcu_read_unlock(void) __weak __ksym;

/* tasks */
extern struct task_struct *bpf_task_from_pid(s32 pid) __weak __ksym;
extern void bpf_task_release(struct task_struct *p) __weak __ksym;

/* cpumasks */
extern struct bpf_cpumask *bpf_cpumask_create(void) __weak __ksym;
extern void bpf_cpumask_release(struct bpf_cpumask *mask) __weak __ksym;
extern void bpf_cpumask_set_cpu(u32 cpu, struct bpf_cpumask *mask) __weak __ksym;
extern bool bpf_cpumask_test_cpu(u32 cpu, const struct cpumask *mask) __weak __ksym;
extern bool bpf_cpumask_intersects(const struct cpumask *a, const struct cpumask *b) __weak __ksym;
extern bool bpf_cpumask_and(struct bpf_cpumask *dst, const struct cpumask *a,
			    const struct cpumask *b) __weak __ksym;
#define cast_mask(m) ((const struct cpumask *)(m))

/* sched_ext: the same on every kernel from 6.16 to 7.3 */
extern s32 scx_bpf_create_dsq(u64 dsq_id, s32 node) __weak __ksym;
extern s32 scx_bpf_dsq_nr_queued(u64 dsq_id) __weak __ksym;
extern bool scx_bpf_dsq_move(struct bpf_iter_scx_dsq *it, struct task_struct *p, u64 dsq_id,
			     u64 enq_flags) __weak __ksym;
extern void scx_bpf_dsq_move_set_slice(struct bpf_iter_scx_dsq *it, u64 slice) __weak __ksym;
extern s32 scx_bpf_select_cpu_dfl(struct task_struct *p, s32 prev_cpu, u64 wake_flags,
				  bool *is_idle) __weak __ksym;
extern bool scx_bpf_test_and_clear_cpu_idle(s32 cpu) __weak __ksym;
extern s32 scx_bpf_pick_idle_cpu(const struct cpumask *cpus, u64 flags) __weak __ksym;
extern const struct cpumask *scx_bpf_get_idle_cpumask(void) __weak __ksym;
extern const struct cpumask *scx_bpf_get_idle_smtmask(void) __weak __ksym;
extern void scx_bpf_put_idle_cpumask(const struct cpumask *mask) __weak __ksym;
extern void scx_bpf_kick_cpu(s32 cpu, u64 flags) __weak __ksym;
extern s32 scx_bpf_task_cpu(const struct task_struct *p) __weak __ksym;
extern u32 scx_bpf_nr_cpu_ids(void) __weak __ksym;
extern void scx_bpf_dump_bstr(char *fmt, unsigned long long *data, u32 data__sz) __weak __ksym;
extern void scx_bpf_error_bstr(char *fmt, unsigned long long *data, u32 data__sz) __weak __ksym;

/* What differs. */
extern void scx_bpf_dsq_insert___v1(struct task_struct *p, u64 dsq_id, u64 slice,
				    u64 enq_flags) __weak __ksym;
extern bool scx_bpf_dsq_insert___v2___compat(struct task_struct *p, u64 dsq_id, u64 slice,
					     u64 enq_flags) __weak __ksym;
extern void scx_bpf_dsq_insert_vtime___v1(struct task_struct *p, u64 dsq_id, u64 slice, u64 vtime,
					  u64 enq_flags) __weak __ksym;
extern bool __scx_bpf_dsq_insert_vtime(struct task_struct *p,
				       struct scx_bpf_dsq_insert_vtime_args *args) __weak __ksym;
extern bool scx_bpf_dsq_move_to_local___v1(u64 dsq_id) __weak __ksym;
extern bool scx_bpf_dsq_move_to_local___v2___compat(u64 dsq_id, u64 enq_flags) __weak __ksym;
extern bool scx_bpf_task_set_dsq_vtime(struct task_struct *p, u64 vtime) __weak __ksym;
extern bool scx_bpf_task_set_slice(struct task_struct *p, u64 slice) __weak __ksym;

/* 6.19 has it, but until 7.1, which knows SCX_DEQ_SCHED_CHANGE, it may return a task that has gone. */
extern struct task_struct *scx_bpf_dsq_peek(u64 dsq_id) __weak __ksym;
static __always_inline bool kernel_can_peek(void)
{
	return bpf_ksym_exists(scx_bpf_dsq_peek) &&
	       bpf_core_enum_value_exists(enum scx_deq_flags, SCX_DEQ_SCHED_CHANGE);
}

/* 6.19 tells whether it inserted; before, insertion cannot fail visibly. */
static __always_inline bool kernel_insert(struct task_struct *p, u64 dsq_id, u64 slice, u64 enq_flags)
{
	if (bpf_ksym_exists(scx_bpf_dsq_insert___v2___compat))
		return scx_bpf_dsq_insert___v2___compat(p, dsq_id, slice, enq_flags);
	scx_bpf_dsq_insert___v1(p, dsq_id, slice, enq_flags);
	return true;
}

/* 6.19 packs the arguments; the old form is carried until 7.3. */
static __always_inline bool kernel_insert_vtime(struct task_struct *p, u64 dsq_id, u64 slice,
						u64 vtime, u64 enq_flags)
{
	if (bpf_core_type_exists(struct scx_bpf_dsq_insert_vtime_args)) {
		struct scx_bpf_dsq_insert_vtime_args args = {
			.dsq_id = dsq_id,
			.slice = slice,
			.vtime = vtime,
			.enq_flags = enq_flags,
		};

		return __scx_bpf_dsq_insert_vtime(p, &args);
	}
	scx_bpf_dsq_insert_vtime___v1(p, dsq_id, slice, vtime, enq_flags);
	return true;
}

/* 7.1 takes enqueue flags. */
static __always_inline bool kernel_move_to_local(u64 dsq_id)
{
	if (bpf_ksym_exists(scx_bpf_dsq_move_to_local___v2___compat))
		return scx_bpf_dsq_move_to_local___v2___compat(dsq_id, 0);
	return scx_bpf_dsq_move_to_local___v1(dsq_id);
}

/* As scx_bpf_task_cpu(), without a call where the kernel keeps it in the task. */
static __always_inline s32 kernel_task_cpu(struct task_struct *p)
{
	if (bpf_core_field_exists(p->thread_info.cpu))
		return p->thread_info.cpu;
	return scx_bpf_task_cpu(p);
}

/* 6.19 replaces the direct writes. */
static __always_inline void kernel_set_vtime(struct task_struct *p, u64 vtime)
{
	if (bpf_ksym_exists(scx_bpf_task_set_dsq_vtime))
		scx_bpf_task_set_dsq_vtime(p, vtime);
	else
		p->scx.dsq_vtime = vtime;
}

static __always_inline void kernel_set_slice(struct task_struct *p, u64 slice)
{
	if (bpf_ksym_exists(scx_bpf_task_set_slice))
		scx_bpf_task_set_slice(p, slice);
	else
		p->scx.slice = slice;
}

#define kernel_dump(fmt, args...)                                                                  \
	({                                                                                         \
		static char ___fmt[] = fmt;                                                        \
		unsigned long long ___data[] = { args };                                           \
		scx_bpf_dump_bstr(___fmt, ___data, sizeof(___data));                               \
	})

#endif
