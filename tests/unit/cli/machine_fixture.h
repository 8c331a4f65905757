// SPDX-License-Identifier: Apache-2.0
//
// Fixture machines for the loader's checks: a good one, to be spoilt file by
// file; kernel type information made with libbpf; a real bpf file system where
// the test may mount one.
#pragma once

#include <bpf/btf.h>
#include <sys/mount.h>

#include <filesystem>
#include <string>
#include <vector>

#include "../sense/fixture_tree.h"
#include "agent/load/checks.h"

namespace tactus::test {

struct btf_wishes {
  bool wide_enums = true;
  bool hidden_argument = false;
  std::string leave_out;  // a kernel function
};

inline std::string make_btf(const btf_wishes& wishes = {}) {
  btf* types = btf__new_empty();
  const int number = btf__add_int(types, "int", 4, BTF_INT_SIGNED);
  const int pointer = btf__add_ptr(types, 0);
  btf__add_struct(types, "sched_ext_ops", 8);
  btf__add_field(types, "flags", number, 0, 0);
  if (wishes.wide_enums) {
    btf__add_enum64(types, "scx_ops_flags", 8, false);
    btf__add_enum64_value(types, "SCX_OPS_KEEP_BUILTIN_IDLE", 1);
    btf__add_enum64_value(types, "SCX_OPS_SWITCH_PARTIAL", 8);
  } else {
    btf__add_enum(types, "scx_ops_flags", 4);
    btf__add_enum_value(types, "SCX_OPS_SWITCH_PARTIAL", 8);
  }
  const int plain = btf__add_func_proto(types, number);
  btf__add_func_param(types, "p", pointer);
  const int hidden = btf__add_func_proto(types, number);
  btf__add_func_param(types, "p", pointer);
  btf__add_func_param(types, "aux", pointer);
  for (const char* name : {"scx_bpf_create_dsq", "scx_bpf_dsq_insert", "scx_bpf_dsq_move", "scx_bpf_dsq_move_to_local",
                           "scx_bpf_dsq_nr_queued", "scx_bpf_pick_idle_cpu", "scx_bpf_kick_cpu", "scx_bpf_select_cpu_dfl",
                           "bpf_iter_scx_dsq_new", "scx_bpf_task_cpu"})
    if (wishes.leave_out != name)
      btf__add_func(types, name, BTF_FUNC_GLOBAL,
                    wishes.hidden_argument && std::string(name) == "scx_bpf_kick_cpu" ? hidden : plain);
  btf__add_func(types, "scx_bpf_kick_cpu_impl", BTF_FUNC_GLOBAL, hidden);  // allowed to show it
  __u32 bytes = 0;
  const void* data = btf__raw_data(types, &bytes);
  std::string out(static_cast<const char*>(data), bytes);
  btf__free(types);
  return out;
}

// A machine on which the scheduler could be loaded.
inline void put_good_machine(const fixture_tree& tree, const std::string& mount_point = "/sys/fs/bpf") {
  tree.put("proc/sys/kernel/osrelease", "6.18.0-fixture\n");
  tree.put("proc/self/mounts", "sysfs /sys sysfs rw 0 0\nbpf " + mount_point + " bpf rw 0 0\n");
  tree.put("proc/self/status", "Name:\ttest\nCapEff:\t000000c000000000\n");
  tree.put("sys/kernel/sched_ext/state", "disabled\n");
  tree.put("sys/kernel/sched_ext/hotplug_seq", "3\n");
  tree.put("sys/kernel/sched_ext/switch_all", "0\n");
  tree.put("sys/kernel/btf/vmlinux", make_btf());
  tree.put("sys/devices/system/cpu/possible", "0-3\n");
}

// A bpf file system of its own; mounted() is false where the test may not mount.
class bpf_mount {
 public:
  bpf_mount() { mounted_ = ::mount("bpf", tree_.root().c_str(), "bpf", 0, nullptr) == 0; }
  ~bpf_mount() {
    if (mounted_) ::umount2(tree_.root().c_str(), MNT_DETACH);
  }
  bool mounted() const { return mounted_; }
  const std::filesystem::path& root() const { return tree_.root(); }
  std::filesystem::path pins() const { return tree_.root() / "tactus"; }

 private:
  fixture_tree tree_;
  bool mounted_ = false;
};

// Output and exit code of the command under test.
struct run_result {
  int code = -1;
  std::string out, err;
};
run_result run_tactus(const std::string& arguments);

}  // namespace tactus::test
