// SPDX-License-Identifier: Apache-2.0
#include "agent/load/stay.h"

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <ctime>

#include "agent/load/pins.h"
#include "agent/load/run_files.h"

namespace tactus::load {
namespace {

using namespace std::chrono_literals;

constexpr auto k_look_every = 200ms;

// Tells systemd (Type=notify) how we are; nothing where no one asked.
void notify(const std::string& text) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (!path || (*path != '/' && *path != '@')) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::size_t length = std::strlen(path);
  if (length >= sizeof(address.sun_path)) return;
  std::memcpy(address.sun_path, path, length);
  if (*path == '@') address.sun_path[0] = '\0';
  const unique_fd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (fd)
    (void)!sendto(fd.get(), text.data(), text.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address),
                  static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length));
}

exit_reason last_exit(const host& where) {
  tactus_exit left{};
  const std::uint32_t zero = 0;
  try {
    const unique_fd fd = open_pinned(where, "tactus_exit", true);
    if (bpf_map_lookup_elem(fd.get(), &zero, &left) == 0) return describe(left);
  } catch (const load_error&) {
  }
  return {};
}

// Sleeps one look; true when SIGTERM or SIGINT came.
bool asked_to_end(const sigset_t& signals) {
  timespec span{0, std::chrono::nanoseconds(k_look_every).count()};
  return sigtimedwait(&signals, nullptr, &span) > 0;
}

}  // namespace

void reload_budget::forget_old(clock::time_point now) {
  while (!times_.empty() && now - times_.front() >= within_) times_.pop_front();
}

bool reload_budget::take(clock::time_point now) {
  forget_old(now);
  if (times_.size() >= most_) return false;
  times_.push_back(now);
  return true;
}

unsigned reload_budget::taken(clock::time_point now) {
  forget_old(now);
  return static_cast<unsigned>(times_.size());
}

after_exit decide_after_exit(const exit_reason& reason, bool hotplug_seen) {
  if (reason.by_hand) return after_exit::end;
  return reason.hotplug || (!reason.kind && hotplug_seen) ? after_exit::reload : after_exit::reload_counted;
}

exit_code stay(const load_options& options, const std::function<void(const std::string&)>& say) {
  const host& where = options.where;
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  load_options again = options;
  load_report report = load(again);
  again.reload = true;
  reload_budget budget;
  say(fmt::format("loaded (generation {}); watching", report.generation));
  notify("READY=1\nSTATUS=scheduler loaded");
  std::string hotplug_seq = read_scheduler_state(where).hotplug_seq;

  for (;;) {
    if (asked_to_end(signals)) {
      say("asked to end; the scheduler stays loaded (sudo tactus unload takes it out)");
      return exit_code::ok;
    }
    scheduler_state now = read_scheduler_state(where);
    if (now.running() || now.state == "enabling" || now.state == "disabling") continue;
    {
      // Another loader may be at work, with the scheduler out for a moment: judge when it is done.
      const pin_lock alone(where);
      now = read_scheduler_state(where);
    }
    if (now.running()) continue;
    if (!pin_exists(where, k_link_pin)) {
      say("unloaded by hand; ending");
      return exit_code::ok;
    }
    const exit_reason reason = last_exit(where);
    const bool hotplug_seen = now.hotplug_seq != hotplug_seq;
    ejection last{static_cast<std::int64_t>(std::time(nullptr)), reason.kind ? reason.text() : "no reason was recorded", false, 0};
    const after_exit todo = decide_after_exit(reason, hotplug_seen);
    if (todo == after_exit::end) {
      last.stays_out = true;
      write_ejection(where, last);
      say(fmt::format("taken out by hand ({}); ending", last.reason));
      return exit_code::ok;
    }
    say(fmt::format("the scheduler left: {}", last.reason));
    bool counted = todo == after_exit::reload_counted;
    for (bool loaded = false; !loaded;) {
      const auto time = reload_budget::clock::now();
      if (counted && !budget.take(time)) {
        last.stays_out = true;
        last.reloads = budget.taken(time);
        write_ejection(where, last);
        notify("STATUS=gave up: " + last.reason);
        say(fmt::format("left again after {} reloads in 30 s; the machine stays on the kernel's own scheduler "
                        "(look at tactus status, then: sudo tactus load)",
                        last.reloads));
        return exit_code::gave_up;
      }
      try {
        report = load(again);
        loaded = true;
      } catch (const load_error& error) {
        last.reason = error.what();
        say(last.reason);
        counted = true;  // a reload that fails is an error, whatever made it necessary
        if (asked_to_end(signals)) return exit_code::ok;
      }
    }
    last.reloads = budget.taken(reload_budget::clock::now());
    write_ejection(where, last);
    hotplug_seq = read_scheduler_state(where).hotplug_seq;
    say(fmt::format("loaded again (generation {})", report.generation));
  }
}

}  // namespace tactus::load
