// SPDX-License-Identifier: Apache-2.0
//
// One pool's connection, as a state machine:
//
//   hello -> naming -> mapping -> registered
//     (HELLO)  (WORKERS until all are named; PAGES goes out)  (MAPPED: seals, uptrs, REGISTERED)
//
// CLASSES may come at any time after HELLO. Whatever else comes, or fails, is answered by REFUSED
// and the end of the connection; the end of a connection takes the pool's workers out of the task
// storage and frees its index. Nothing here blocks: the socket is non-blocking and an answer that
// does not fit its buffer ends the connection.
// Used by one thread (the registry's).
#pragma once

#include "agent/publish/scheduler_maps.h"
#include "agent/publish/unique_fd.h"
#include "agent/serve/class_slots.h"
#include "agent/serve/fd_disposal.h"
#include "agent/serve/log.h"
#include "agent/serve/message.h"
#include "agent/serve/peer.h"
#include "agent/serve/pool_table.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace tactus::agent {

struct registration_limits {
  unsigned pools_per_uid = 32;
  unsigned workers_per_uid = 2048;
  unsigned workers_total = 8192;
  unsigned messages_per_s = 500;
  std::uint64_t handshake_ns = 5'000'000'000;
};

// What sessions share. All calls from the registry's thread.
struct session_host {
  class_slots& slots;
  pool_table& pools;
  registration_limits limits;
  std::function<bool(std::uint32_t uid)> trusted;
  std::function<bool()> partial;  // is the scheduler loaded with --partial?
  std::shared_ptr<scheduler_maps> maps;  // null: no scheduler now
  fd_disposal disposal;
  limited_log log;

  struct usage {
    unsigned pools = 0, workers = 0;
  };
  std::map<std::uint32_t, usage> used;  // by uid, half-open pools too
  unsigned workers_used = 0;
  std::uint64_t refused = 0, registered = 0;
};

class session {
 public:
  session(unique_fd socket, peer who, session_host& host);
  ~session();
  session(const session&) = delete;
  session& operator=(const session&) = delete;

  int fd() const { return socket_.get(); }
  std::uint32_t uid() const { return peer_.uid; }
  // Takes one message off the socket. False: the connection is over.
  bool receive();
  // False when the handshake has taken too long.
  bool in_time(std::uint64_t now) const;
  // Tells the pool why and ends it; the caller destroys the session.
  void refuse(tactus_refusal reason, const std::string& text, std::uint32_t retry_ms);

 private:
  enum class state { hello, naming, mapping, registered, over };

  bool handle(message m, std::vector<unique_fd> fds);
  bool on_workers(const message_workers& m, std::vector<unique_fd> fds);
  bool on_classes(const message_classes& m);
  bool on_mapped();
  bool send_pages();
  bool store_workers(std::string& why);
  std::uint32_t choose_home_domain() const;
  void set_conf(tactus_pool_conf& conf) const;
  bool send_class_map(tactus_message_type type);
  bool send(const void* data, std::size_t bytes, const int* fds, std::size_t nr_fds);
  bool fail(tactus_refusal reason, const std::string& text, std::uint32_t retry_ms = 0);
  void end();

  unique_fd socket_;
  peer peer_;
  session_host& host_;
  state state_ = state::hello;
  std::uint64_t opened_ns_;
  std::uint64_t window_s_ = 0;
  unsigned window_messages_ = 0;
  std::shared_ptr<scheduler_maps> maps_;  // those that its workers were stored in
  std::shared_ptr<pool> pool_;
  std::vector<unique_fd> workers_;
  std::uint32_t stored_ = 0;  // workers in the task storage
  bool index_reserved_ = false;
  bool counted_ = false;
};

}  // namespace tactus::agent
