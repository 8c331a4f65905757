// SPDX-License-Identifier: Apache-2.0
//
// The control socket: SEQPACKET, one JSON request per message, one JSON reply. Everybody may ask,
// only root and the agent's own user may change anything (SO_PEERCRED). One thread; a client that
// does not read its reply loses its connection. What requests mean is the handler's.
#pragma once

#include "agent/publish/unique_fd.h"

#include <functional>
#include <string>
#include <thread>

namespace tactus::agent {

class control_server {
 public:
  // Text of a request and whether its sender may change things, to the text of the reply. Called
  // from the server's thread; must not throw.
  using handler = std::function<std::string(const std::string& request, bool privileged)>;

  control_server(std::string path, handler handle);
  ~control_server();
  control_server(const control_server&) = delete;
  control_server& operator=(const control_server&) = delete;

  void start();  // throws socket_error (registry.h)
  void stop();

 private:
  void loop();

  std::string path_;
  handler handle_;
  unique_fd listener_, wake_;
  std::thread thread_;
};

}  // namespace tactus::agent
