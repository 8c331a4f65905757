// SPDX-License-Identifier: Apache-2.0
//
// config.h's implementation: one table of keys; toml++ does the grammar.
#include "agent/config/config.h"

#include "agent/learn/reward.h"

#include <fmt/format.h>
#include <toml++/toml.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <set>
#include <sstream>

namespace tactus::agent {
namespace {

// Reads the keys of one section and complains about those it does not know.
class section {
 public:
  section(const toml::table& root, const char* name, const std::string& file) : file_(file), name_(name) {
    const toml::node* node = root.get(name);
    if (node == nullptr) return;
    table_ = node->as_table();
    if (table_ == nullptr) fail(*node, fmt::format("[{}] must be a table", name));
  }

  [[noreturn]] void fail(const toml::node& at, const std::string& what) const {
    throw config_file_error(fmt::format("{}:{}: {}", file_, at.source().begin.line, what));
  }

  const toml::node* find(const char* key) {
    known_.insert(key);
    return table_ != nullptr ? table_->get(key) : nullptr;
  }

  void text(const char* key, std::string& out, bool absolute_path) {
    const toml::node* n = find(key);
    if (n == nullptr) return;
    const auto v = n->value_exact<std::string>();
    if (!v) fail(*n, fmt::format("{}.{} must be a string", name_, key));
    if (absolute_path && (v->empty() || v->front() != '/')) {
      fail(*n, fmt::format("{}.{} must be an absolute path, not \"{}\"", name_, key, *v));
    }
    out = *v;
  }

  void flag(const char* key, bool& out) {
    const toml::node* n = find(key);
    if (n == nullptr) return;
    const auto v = n->value_exact<bool>();
    if (!v) fail(*n, fmt::format("{}.{} must be true or false", name_, key));
    out = *v;
  }

  template <typename T>
  void whole(const char* key, T& out, std::int64_t least, std::int64_t most) {
    const toml::node* n = find(key);
    if (n == nullptr) return;
    const auto v = n->value_exact<std::int64_t>();
    if (!v || *v < least || *v > most) {
      fail(*n, fmt::format("{}.{} must be a whole number from {} to {}", name_, key, least, most));
    }
    out = static_cast<T>(*v);
  }

  void real(const char* key, double& out, double least, double most) {
    const toml::node* n = find(key);
    if (n == nullptr) return;
    const auto v = n->value<double>();
    if (!n->is_number() || !v || !std::isfinite(*v) || *v < least || *v > most) {
      fail(*n, fmt::format("{}.{} must be a number from {} to {}", name_, key, least, most));
    }
    out = *v;
  }

  void finish() const {
    if (table_ == nullptr) return;
    for (const auto& [key, node] : *table_) {
      if (known_.count(std::string(key.str())) == 0) {
        std::string all;
        for (const auto& k : known_) all += (all.empty() ? "" : ", ") + k;
        fail(node, fmt::format("{}.{} is not known; known are: {}", name_, key.str(), all));
      }
    }
  }

 private:
  const std::string& file_;
  const char* name_;
  const toml::table* table_ = nullptr;
  std::set<std::string> known_;
};

void read_trust(section& s, config& c) {
  const toml::node* n = s.find("uids");
  if (n == nullptr) return;
  const toml::array* list = n->as_array();
  if (n->value_exact<std::string>() == "all") {
    c.trust_all = true;
    return;
  }
  if (list == nullptr) s.fail(*n, "trust.uids must be \"all\" or a list of user ids");
  c.trust_all = false;
  for (const toml::node& e : *list) {
    const auto v = e.value_exact<std::int64_t>();
    if (!v || *v < 0 || *v > std::numeric_limits<std::uint32_t>::max()) s.fail(e, "trust.uids: a user id is a whole number");
    c.trusted_uids.push_back(static_cast<std::uint32_t>(*v));
  }
}

// Ranges here only keep types sane; learner_config::validate knows the real ones.
void read_learning(section& s, learn::learner_config& l) {
  // The preset first, so that single weights change it.
  if (const toml::node* n = s.find("reward")) {
    try {
      learn::set_reward_preset(l, n->value_or(std::string()));
    } catch (const learn::config_error&) {
      s.fail(*n, "learning.reward must be \"cost\" or \"seed\"");
    }
  }
  constexpr std::int64_t k_int = std::numeric_limits<int>::max();
  s.whole("seed", l.seed, 0, std::numeric_limits<std::int64_t>::max());
  for (const auto& [key, field] : std::initializer_list<std::pair<const char*, int learn::learner_config::*>>{
           {"segment_length", &learn::learner_config::segment_length},
           {"accumulate", &learn::learner_config::accumulate},
           {"target", &learn::learner_config::target},
           {"weight_init", &learn::learner_config::weight_init},
           {"layer_norm", &learn::learner_config::layer_norm},
           {"exploration", &learn::learner_config::exploration},
           {"learning_rate_shape", &learn::learner_config::learning_rate_shape},
           {"converged_publishes", &learn::learner_config::converged_publishes},
           {"transfer_updates", &learn::learner_config::transfer_updates},
           {"clone_steps", &learn::learner_config::clone_steps},
           {"kept_versions", &learn::learner_config::kept_versions},
           {"queue_segments", &learn::learner_config::queue_segments},
           {"reorder_window", &learn::learner_config::reorder_window}}) {
    s.whole(key, l.*field, 0, k_int);
  }
  for (const auto& [key, field] : std::initializer_list<std::pair<const char*, double learn::learner_config::*>>{
           {"discount_beta", &learn::learner_config::discount_beta},
           {"service_time_ns", &learn::learner_config::service_time_ns},
           {"trace_factor", &learn::learner_config::trace_factor},
           {"ratio_clip", &learn::learner_config::ratio_clip},
           {"trace_clip", &learn::learner_config::trace_clip},
           {"value_weight", &learn::learner_config::value_weight},
           {"entropy_start", &learn::learner_config::entropy_start},
           {"entropy_end", &learn::learner_config::entropy_end},
           {"entropy_decisions", &learn::learner_config::entropy_decisions},
           {"prior_start", &learn::learner_config::prior_start},
           {"prior_half_life", &learn::learner_config::prior_half_life},
           {"prior_bound", &learn::learner_config::prior_bound},
           {"reward_clip", &learn::learner_config::reward_clip},
           {"reward_cost", &learn::learner_config::reward_cost},
           {"reward_efficiency", &learn::learner_config::reward_efficiency},
           {"reward_utilisation", &learn::learner_config::reward_utilisation},
           {"reward_cache", &learn::learner_config::reward_cache},
           {"reward_cross_node", &learn::learner_config::reward_cross_node},
           {"reward_thermal", &learn::learner_config::reward_thermal},
           {"reward_deadline", &learn::learner_config::reward_deadline},
           {"centring_step", &learn::learner_config::centring_step},
           {"advantage_step", &learn::learner_config::advantage_step},
           {"max_cost_rate", &learn::learner_config::max_cost_rate},
           {"learning_rate_start", &learn::learner_config::learning_rate_start},
           {"learning_rate_end", &learn::learner_config::learning_rate_end},
           {"learning_rate_decisions", &learn::learner_config::learning_rate_decisions},
           {"gradient_clip", &learn::learner_config::gradient_clip},
           {"rms_decay", &learn::learner_config::rms_decay},
           {"rms_epsilon", &learn::learner_config::rms_epsilon},
           {"kl_target", &learn::learner_config::kl_target},
           {"converged_kl", &learn::learner_config::converged_kl},
           {"explore_start", &learn::learner_config::explore_start},
           {"explore_decay", &learn::learner_config::explore_decay},
           {"held_out", &learn::learner_config::held_out},
           {"floor", &learn::learner_config::floor},
           {"floor_deadline", &learn::learner_config::floor_deadline},
           {"still_power", &learn::learner_config::still_power},
           {"clone_smoothing", &learn::learner_config::clone_smoothing}}) {
    s.real(key, l.*field, -1e18, 1e18);
  }
}

}  // namespace

const char* mode_name(policy_mode mode) {
  switch (mode) {
    case policy_mode::learned: return "learned";
    case policy_mode::fallback: return "fallback";
    case policy_mode::random: return "random";
  }
  return "?";
}

bool parse_mode(const std::string& text, policy_mode& out) {
  for (const auto m : {policy_mode::learned, policy_mode::fallback, policy_mode::random}) {
    if (text == mode_name(m)) {
      out = m;
      return true;
    }
  }
  return false;
}

double config::cpu_share() const {
  if (cpu_percent != 0) return cpu_percent / 100.0;
  return std::clamp(::sysconf(_SC_NPROCESSORS_ONLN) / 10.0, 0.2, 1.0);
}

bool config::trusts(std::uint32_t uid) const {
  return trust_all || std::find(trusted_uids.begin(), trusted_uids.end(), uid) != trusted_uids.end();
}

config parse_config(const std::string& text, const std::string& name) {
  toml::table root;
  try {
    root = toml::parse(text);
  } catch (const toml::parse_error& e) {
    throw config_file_error(fmt::format("{}:{}: {}", name, e.source().begin.line, e.description()));
  }
  config c;
  for (const auto& [key, node] : root) {
    static const std::set<std::string> sections{"agent", "publish", "kernel", "limits", "sense", "trust", "learning"};
    if (sections.count(std::string(key.str())) == 0) {
      throw config_file_error(fmt::format("{}:{}: section [{}] is not known; known are: agent, publish, kernel, limits, "
                                          "sense, trust, learning", name, node.source().begin.line, key.str()));
    }
  }

  section agent(root, "agent", name);
  agent.text("socket", c.socket, true);
  agent.text("control", c.control, true);
  agent.text("pins", c.pins, true);
  agent.text("state", c.state, true);
  agent.text("model", c.model, true);
  agent.whole("learners", c.learners, 1, 64);
  agent.flag("learning", c.learning);
  agent.whole("checkpoint_period_s", c.checkpoint_period_s, 1, 86400);
  agent.flag("champion", c.champion);
  if (const toml::node* n = agent.find("mode")) {
    if (!parse_mode(n->value_or(std::string()), c.mode)) agent.fail(*n, "agent.mode must be \"learned\", \"fallback\" or \"random\"");
  }
  agent.finish();

  section publish(root, "publish", name);
  publish.whole("period_ms", c.period_ms, 10, 10000);
  publish.whole("idle_period_ms", c.idle_period_ms, 10, 60000);
  publish.finish();

  section kernel(root, "kernel", name);
  kernel.real("confidence_threshold", c.confidence_threshold, 0, 1);
  kernel.real("explore_share", c.explore_share, 0, 1);
  kernel.whole("hold_limit_us", c.hold_limit_us, 1, 10000);
  kernel.whole("heartbeat_limit_ms", c.heartbeat_limit_ms, 100, 500);
  kernel.finish();

  section limits(root, "limits", name);
  limits.whole("cpu_percent", c.cpu_percent, 0, 6400);
  limits.whole("memory_mib", c.memory_mib, 64, 65536);
  limits.whole("pools_per_uid", c.pools_per_uid, 1, TACTUS_MAX_POOLS - 1);
  limits.whole("workers_per_uid", c.workers_per_uid, 1, 65536);
  limits.whole("workers_total", c.workers_total, 1, 65536);
  limits.whole("slots_per_uid", c.slots_per_uid, 1, TACTUS_MAX_SLOTS - 1);
  limits.finish();

  section sense(root, "sense", name);
  sense.text("cgroup", c.cgroup, false);
  sense.finish();

  section trust(root, "trust", name);
  read_trust(trust, c);
  trust.finish();

  section learning(root, "learning", name);
  read_learning(learning, c.learner);
  learning.finish();
  try {
    c.learner.validate();
  } catch (const learn::config_error& e) {
    const toml::node* n = root.get("learning");
    throw config_file_error(fmt::format("{}:{}: learning: {}", name, n != nullptr ? n->source().begin.line : 1u, e.what()));
  }
  return c;
}

config read_config(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  if (in) text << in.rdbuf();
  if (!in || in.bad()) {
    throw config_file_error(fmt::format("{}:0: cannot be read: {}", path, std::strerror(errno)));
  }
  return parse_config(text.str(), path);
}

}  // namespace tactus::agent
