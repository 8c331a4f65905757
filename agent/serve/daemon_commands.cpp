// SPDX-License-Identifier: Apache-2.0
//
// What the control socket answers. Requests: {"cmd": "status" | "mode" | "learning" | "checkpoint" |
// "weights" | "record", ...}. Replies: {"ok": true, "text": "..", ...} or {"ok": false, "error": ".."}.
#include "agent/serve/clock.h"
#include "agent/serve/daemon.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <cmath>

namespace tactus::agent {
namespace {

using nlohmann::json;

constexpr unsigned k_apply_ms = 2000;
constexpr std::size_t k_record_bytes = 384 << 10;  // escaped, it must fit into an answer

json failure(const std::string& why) { return {{"ok", false}, {"error", why}}; }

// JSON has no infinities; a figure that is none is said as such.
json number(double v) { return std::isfinite(v) ? json(v) : json(nullptr); }

const char* source_name(unsigned source) {
  static constexpr std::array<const char*, TACTUS_NR_SOURCES> names{
      "row", "mixed", "fallback_mode", "fallback_heartbeat", "fallback_missing", "fallback_torn",
      "fallback_illegal", "forced_bound", "forced_slice", "forced_affinity", "forced_steal"};
  return names[source];
}

json learner_json(const learn::learner_stats& s) {
  json layers = json::array();
  for (const auto& l : s.layers) layers.push_back({{"name", l.name}, {"norm", number(l.norm)}, {"change", number(l.change)}});
  return {{"decisions_seen", s.decisions_seen},
          {"decisions_trained", s.decisions_trained},
          {"updates", s.updates},
          {"segments_dropped", s.segments_dropped},
          {"sequence_gaps", s.sequence_gaps},
          {"unknown_versions", s.unknown_versions},
          {"bad_costs", s.bad_costs},
          {"untrusted", s.untrusted},
          {"bad_updates", s.bad_updates},
          {"compiles", s.compiles},
          {"frozen_updates", s.frozen_updates},
          {"eta", number(s.eta)},
          {"scale", number(s.scale)},
          {"mean_gap_ns", number(s.mean_gap_ns)},
          {"learning_rate", number(s.learning_rate)},
          {"entropy_weight", number(s.entropy_weight)},
          {"prior_weight", number(s.prior_weight)},
          {"entropy", number(s.entropy)},
          {"kl_rows", number(s.kl_rows)},
          {"converged", s.converged},
          {"steady_publishes", s.steady_publishes},
          {"exploration", number(s.exploration)},
          {"held_out", s.held_out},
          {"kl_prior", number(s.kl_prior)},
          {"explained_variance", number(s.explained_variance)},
          {"clipped_ratio", number(s.clipped_ratio)},
          {"mean_ratio", number(s.mean_ratio)},
          {"hold_ratio", number(s.hold_ratio)},
          {"gradient_norm", number(s.gradient_norm)},
          {"value_loss", number(s.value_loss)},
          {"advantage_rms", number(s.advantage_rms)},
          {"layers", layers}};
}

// Costs in units of rewards, less is better: learn/validation.h.
json estimate_json(const learn::policy_estimate& e) {
  return {{"snips", number(e.snips)},
          {"dr", number(e.dr)},
          {"dr_error", number(e.dr_error)},
          {"effective_segments", number(e.effective_segments)},
          {"judged", e.judged}};
}

json held_out_json(const learn::held_out_report& r, const champion_judge::figures& f) {
  return {{"segments", r.segments},
          {"logged", number(r.logged)},
          {"current", estimate_json(r.current)},
          {"champion", estimate_json(r.champion)},
          {"difference", number(r.difference)},
          {"difference_error", number(r.difference_error)},
          {"judgements", f.judgements},
          {"refused", f.refused},
          {"promotions", f.promotions},
          {"kept", f.kept},
          {"restorations", f.restorations},
          {"last_z", number(f.last_z)}};
}

json features_json(const learn::task_features& t) {
  json out = json::object();
  for (unsigned i = 0; i <= TACTUS_FEATURE_PREFERRED_NODE; i++)
    out[feature_name(i)] = (t.present >> i & 1) != 0 ? json(t.value[i]) : json(nullptr);
  return out;
}

// The vector by name, null where the source is absent, and what each source took.
json machine_json(const publisher::machine& m) {
  json state = json::object(), sources = json::array();
  for (unsigned i = 0; i < sense::k_nr_state; i++)
    state[sense::state_name(i)] = (m.state.present >> i & 1) != 0 ? json(m.state.value[i]) : json(nullptr);
  for (const auto& s : m.sources) sources.push_back({{"source", s.name}, {"took_us", number(s.took_us)}, {"samples", s.samples}});
  return {{"state", state}, {"sources", sources}};
}

json reward_json(const reward_ledger& ledger) {
  const auto f = ledger.figures_now();
  json terms = json::object();
  for (std::size_t t = 0; t < f.sum.size(); t++)
    terms[learn::reward_term_name(static_cast<int>(t))] = {{"weight", ledger.weights().term[t]}, {"points", number(f.sum[t])}, {"tasks", f.tasks_of[t]}};
  return {{"cost_weight", ledger.weights().cost}, {"terms", terms}, {"tasks", f.tasks}, {"points", number(f.total)}};
}

}  // namespace

json agent_daemon::class_status(const std::array<slot_class, TACTUS_MAX_SLOTS>& slots) {
  const auto pub = publisher_;
  const std::size_t places = maps_ ? maps_->places().size() : 0;
  json out = json::array();
  auto figures = std::make_unique<std::array<class_figures, TACTUS_MAX_SLOTS>>();
  stats_.read([&](const auto& all, const auto&, const auto&) { *figures = all; });
  for (unsigned s = 0; s < TACTUS_MAX_SLOTS; s++) {
    if (!slots[s].taken) continue;
    const class_figures& f = (*figures)[s];
    json at = json::array();
    const auto speeds = pub ? pub->speeds(s) : speed_estimate{};
    const auto tiers = pub ? pub->tiers(s) : std::array<std::uint8_t, TACTUS_MAX_PLACES>{};
    for (std::size_t p = 0; p < places; p++) {
      const class_at_place& c = f.place[p];
      at.push_back({{"place", p},
                    {"tasks", c.tasks_total},
                    {"run_us", number(c.tasks > 0 ? c.run_ns / c.tasks / 1000 : 0)},
                    {"speed", number(speeds.speed[p])},
                    {"tier", tiers[p]}});
    }
    const std::vector<tactus_place> none;
    const auto& all_places = maps_ ? maps_->places() : none;
    const node_preference node = preferred_node(f, all_places);
    out.push_back({{"slot", s},
                   {"name", slots[s].name},
                   {"uid", slots[s].uid},
                   {"users", slots[s].users},
                   {"priority", slots[s].priority},
                   {"weight", slots[s].weight},
                   {"deadline_us", slots[s].deadline_us},
                   {"completions", f.completions},
                   {"folded", f.folded},
                   {"missed", f.missed},
                   {"failed", f.failed},
                   {"decisions", f.decisions},
                   {"run_us", number(f.mean_run_ns() / 1000)},
                   {"features", features_json(task_features_of(slots[s], f, all_places))},
                   {"preferred_node", {{"node", node.node}, {"confidence", number(node.confidence)}}},
                   {"places", at}});
  }
  return out;
}

json agent_daemon::status() {
  const std::uint64_t now = now_ns();
  const auto slots = slots_.snapshot();
  const auto learner = learner_.stats();
  const auto reg = registry_.figures_now();
  json held_out;
  {
    const std::lock_guard lock(checkpoint_mutex_);
    held_out = held_out_json(learner_.validate(), judge_.figures_now());
  }
  const std::lock_guard lock(mutex_);
  json pools = json::array();
  for (const auto& p : pools_.all()) {
    json entry{{"pool", p->index}, {"name", p->name},       {"uid", p->uid},
               {"pid", p->pid},    {"workers", p->nr_workers}, {"home_domain", p->home_domain},
               {"trusted", p->trusted}, {"age_s", static_cast<double>(now - p->registered_ns) * 1e-9}};
    if (maps_) entry["present"] = static_cast<std::int64_t>(maps_->pool_states()[p->index].present);
    pools.push_back(entry);
  }
  const auto events = stats_.read([](const auto&, const auto&, const auto& e) { return e; });
  json sources = json::object();
  for (unsigned i = 0; i < TACTUS_NR_SOURCES; i++) sources[source_name(i)] = events.by_source[i];
  json event_json{{"decisions", events.decisions},   {"completion_events", events.completion_events},
                  {"tasks", events.tasks},           {"malformed", events.malformed},
                  {"joined", events.joined},         {"unjoined", events.unjoined},
                  {"by_source", sources}};
  std::uint64_t lost = 0, missing = 0;
  if (maps_) {
    for (std::uint32_t d = 0; d < maps_->nr_domains(); d++) lost += maps_->domains()[d].lost;
  }
  json rows = nullptr;
  if (reader_) {
    const auto r = reader_->figures_now();
    missing = r.missing;
    event_json["read"] = r.events;
    event_json["fed"] = r.fed;
    event_json["held_back"] = r.held_back;
    event_json["foreign"] = r.foreign;
    event_json["bad_area"] = r.bad_area;
  }
  event_json["gaps"] = missing;
  event_json["lost"] = lost;
  std::uint32_t version = 0;
  if (publisher_) {
    const auto f = publisher_->figures_now();
    version = f.version;
    rows = {{"version", f.version}, {"flips", f.flips}, {"rows", f.rows}, {"compile_ms", number(f.compile_ms)},
            {"period_ms", number(f.period_ms)},
            {"active_classes", f.active_classes}, {"novelty", number(f.novelty)}, {"bank", __atomic_load_n(&maps_->control()->bank, __ATOMIC_RELAXED) & 1}};
  }
  return {{"ok", true},
          {"text", fmt::format("{}, {} pools, learning {}, {} completions learned from", mode_name(learning_.mode), pools.size(),
                               learning_.active() ? "on" : "off", learning_.completions.load())},
          {"pid", ::getpid()},
          {"uid", ::geteuid()},
          {"uptime_s", static_cast<double>(now - started_ns_) * 1e-9},
          {"attached", maps_ != nullptr},
          {"generation", generation_},
          {"mode", mode_name(learning_.mode)},
          {"learning",
           {{"on", learning_.wanted.load()},
            {"active", learning_.active()},
            {"completions", learning_.completions.load()},
            {"updates", learner.updates},
            {"decisions", learner.decisions_trained},
            {"version", version},
            {"learners", config_.learners},
            {"seed", config_.learner.seed},
            {"started_from", loaded_from_}}},
          {"learner", learner_json(learner)},
          {"held_out", held_out},
          {"reward", reward_json(rewards_)},
          {"machine", publisher_ ? machine_json(publisher_->machine_now()) : json(nullptr)},
          {"rows", rows},
          {"pools", pools},
          {"classes", class_status(slots)},
          {"events", event_json},
          {"heartbeat", {{"beats", heart_.beats()}, {"wedged", heart_.wedged()}}},
          {"registration", {{"connections", reg.connections}, {"registered", reg.registered}, {"refused", reg.refused}}},
          {"checkpoints_written", checkpoints_written_.load()},
          {"budget",
           {{"cpu_share", budget_.share()},
            {"cpu_used", budget_.used()},
            {"over", budget_.over()},
            {"over_s", static_cast<double>(budget_.over_ns()) * 1e-9},
            {"memory_mib", memory_mib_},
            {"memory_budget_mib", config_.memory_mib}}}};
}

// do: start, take (lines so far), stop (and the rest).
json agent_daemon::record(const json& request) {
  const std::string what = request.contains("do") && request["do"].is_string() ? request["do"].get<std::string>() : "";
  if (what == "start") {
    const std::lock_guard lock(mutex_);
    if (!maps_) return failure("the scheduler is not loaded: nothing to record");
    if (!recorder_.start(*maps_, now_ns())) return failure("a recording is under way already");
    return {{"ok", true}, {"text", "recording"}};
  }
  if (what == "stop") recorder_.stop();
  else if (what != "take") return failure("\"do\" must be start, take or stop");
  return {{"ok", true}, {"running", recorder_.running()}, {"lines", recorder_.take(k_record_bytes, now_ns())}};
}

json agent_daemon::answer(const json& request, bool privileged) {
  if (!request.is_object() || !request.contains("cmd") || !request["cmd"].is_string()) {
    return failure("a request is an object with \"cmd\": status, mode, learning, checkpoint, weights or record");
  }
  const std::string cmd = request["cmd"];
  if (cmd == "status") return status();
  if (!privileged) return failure("only root and the agent's own user may change anything");
  if (cmd == "mode") {
    policy_mode mode;
    if (!request.contains("mode") || !request["mode"].is_string() || !parse_mode(request["mode"], mode)) {
      return failure("\"mode\" must be learned, fallback or random");
    }
    learning_.mode = mode;
    apply_learning();
    const auto pub = publisher_now();
    // The answer comes when the kernel sees it, so that who measures can start.
    if (pub && !pub->wait_applied(k_apply_ms)) return failure(fmt::format("mode {} is not in force yet, after {} ms", mode_name(mode), k_apply_ms));
    return {{"ok", true}, {"mode", mode_name(mode)}, {"in_force", pub != nullptr},
            {"text", fmt::format("mode {}{}", mode_name(mode), pub ? "" : " (when the scheduler is loaded)")}};
  }
  if (cmd == "learning") {
    if (!request.contains("on") || !request["on"].is_boolean()) return failure("\"on\" must be true or false");
    learning_.wanted = request["on"].get<bool>();
    apply_learning();
    if (const auto pub = publisher_now()) pub->wake();  // rows explore, or no longer
    return {{"ok", true}, {"on", learning_.wanted.load()}, {"active", learning_.active()},
            {"text", fmt::format("learning {}", learning_.active() ? "on" : learning_.wanted ? "on (in mode learned only)" : "off")}};
  }
  if (cmd == "checkpoint") {
    const std::lock_guard lock(checkpoint_mutex_);
    const std::string why = checkpoints_.save(learner_, slots_, learning_.completions);
    if (!why.empty()) return failure(why);
    return {{"ok", true}, {"file", checkpoints_.model_path()}, {"text", "written to " + checkpoints_.model_path()}};
  }
  if (cmd == "weights") {
    if (!request.contains("class") || !request["class"].is_string() || !request.contains("weight") || !request["weight"].is_number()) {
      return failure("\"class\" must be a name and \"weight\" a number");
    }
    const double weight = request["weight"];
    if (!(weight >= 0 && weight <= 255)) return failure("\"weight\" must be from 0 to 255");
    const unsigned n = slots_.set_weight(request["class"], weight);
    if (n == 0) return failure(fmt::format("no class is called {}", request["class"].get<std::string>()));
    return {{"ok", true}, {"classes", n}, {"text", fmt::format("weight {} for {} classes", weight, n)}};
  }
  if (cmd == "record") return record(request);
  return failure(fmt::format("\"{}\" is not known; there are status, mode, learning, checkpoint, weights and record", cmd));
}

std::string agent_daemon::command(const std::string& request, bool privileged) {
  json reply;
  try {
    const json parsed = json::parse(request, nullptr, false);
    reply = parsed.is_discarded() ? failure("this is no JSON") : answer(parsed, privileged);
  } catch (const std::exception& e) {
    reply = failure(e.what());
  }
  return reply.dump(-1, ' ', true, json::error_handler_t::replace);
}

}  // namespace tactus::agent
