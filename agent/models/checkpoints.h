// SPDX-License-Identifier: Apache-2.0
//
// Where the learner's checkpoints lie, and what happens to damaged ones.
//
//   model.ckpt        the last one        written every minute and at exit, replaced atomically
//   model.prev.ckpt   the one before it
//   champion.ckpt     the weights to go back to (champion.h); written at a promotion
//   model.ckpt.bad    a damaged one, kept aside for whoever wants to look at it
//   classes.json      which class has which slot, completions so far
//
// Loading takes the first good one of model.ckpt, model.prev.ckpt and the installed model, else the
// learner stays the clone of the fallback that it is when made. One thread.
#pragma once

#include "agent/learn/api.h"
#include "agent/serve/class_slots.h"

#include <cstdint>
#include <string>
#include <vector>

namespace tactus::agent {

struct loaded_checkpoint {
  enum class source { last, previous, model, clone };
  source from = source::clone;
  bool damaged = false;                // something was there and could not be used
  std::vector<std::string> messages;   // one line each, for the log
  std::uint64_t completions = 0;
};

class checkpoints {
 public:
  // `model`: what to start from when there is no checkpoint; may not exist.
  explicit checkpoints(std::string folder, std::string model = {}) : folder_(std::move(folder)), model_(std::move(model)) {}

  // Never throws for what is in the files.
  loaded_checkpoint load(learn::learner_set& learner, class_slots& slots);
  // Empty on success, else what failed (the agent goes on).
  std::string save(const learn::learner_set& learner, const class_slots& slots, std::uint64_t completions);

  // Makes the learner's present weights the champion, here and on disk. Empty on success, else what
  // failed: the champion then is in memory only.
  std::string save_champion(learn::learner_set& learner);

  std::string model_path() const { return folder_ + "/model.ckpt"; }
  std::string previous_path() const { return folder_ + "/model.prev.ckpt"; }
  std::string champion_path() const { return folder_ + "/champion.ckpt"; }
  std::string classes_path() const { return folder_ + "/classes.json"; }

 private:
  // True when it was loaded.
  bool try_model(const std::string& path, learn::learner_set& learner, loaded_checkpoint& out);
  void load_champion(learn::learner_set& learner, loaded_checkpoint& out);
  void load_classes(class_slots& slots, loaded_checkpoint& out);
  static void keep_aside(const std::string& path, const std::string& why, loaded_checkpoint& out);

  std::string folder_, model_;
  bool last_is_good_ = false;  // model.ckpt may become the previous one
};

// Writes a whole file: temporary name, fsync, rename. Empty on success, else what failed.
std::string replace_file(const std::string& path, const std::string& text);

}  // namespace tactus::agent
