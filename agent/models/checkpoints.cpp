// SPDX-License-Identifier: Apache-2.0
//
// checkpoints.h's implementation. The model's format and its checks are the learner's.
#include "agent/models/checkpoints.h"

#include "agent/publish/unique_fd.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>

namespace tactus::agent {

std::string replace_file(const std::string& path, const std::string& text) {
  const std::string temporary = path + ".tmp";
  const auto failed = [&](const char* what) {
    std::string why = fmt::format("{} {}: {}", what, temporary, std::strerror(errno));
    ::unlink(temporary.c_str());
    return why;
  };
  unique_fd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640));
  if (!fd) return failed("cannot create");
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = ::write(fd.get(), text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return failed("cannot write");
    done += static_cast<std::size_t>(n);
  }
  if (::fsync(fd.get()) != 0) return failed("cannot sync");
  fd.reset();
  if (::rename(temporary.c_str(), path.c_str()) != 0) return failed("cannot rename");
  return {};
}

void checkpoints::keep_aside(const std::string& path, const std::string& why, loaded_checkpoint& out) {
  out.damaged = true;
  const std::string aside = path + ".bad";
  const bool moved = ::rename(path.c_str(), aside.c_str()) == 0;
  out.messages.push_back(moved ? fmt::format("{}; kept as {}", why, aside) : why);
}

bool checkpoints::try_model(const std::string& path, learn::learner_set& learner, loaded_checkpoint& out) {
  try {
    learner.load(path);
    return true;
  } catch (const learn::checkpoint_error& e) {
    switch (e.fault()) {
      case learn::checkpoint_fault::missing: break;
      case learn::checkpoint_fault::io:
        out.damaged = true;
        out.messages.push_back(e.what());
        break;
      default: keep_aside(path, e.what(), out);
    }
  }
  return false;
}

loaded_checkpoint checkpoints::load(learn::learner_set& learner, class_slots& slots) {
  loaded_checkpoint out;
  if (try_model(model_path(), learner, out)) {
    out.from = loaded_checkpoint::source::last;
    last_is_good_ = true;
  } else if (try_model(previous_path(), learner, out)) {
    out.from = loaded_checkpoint::source::previous;
    out.messages.push_back(fmt::format("went on from the checkpoint before, {}", previous_path()));
  } else {
    if (out.damaged) out.messages.push_back("no good checkpoint is left: started as without one");
    if (!model_.empty()) {
      try {
        learner.load(model_);
        out.from = loaded_checkpoint::source::model;
      } catch (const learn::checkpoint_error& e) {
        // Not ours to move aside.
        if (e.fault() != learn::checkpoint_fault::missing) out.messages.push_back(e.what());
      }
    }
  }
  const bool own = out.from == loaded_checkpoint::source::last || out.from == loaded_checkpoint::source::previous;
  // Of weights that come from elsewhere or go on elsewhere, the start itself is the champion.
  if (own && learner.stats().frozen_updates == 0) load_champion(learner, out);
  load_classes(slots, out);
  return out;
}

void checkpoints::load_champion(learn::learner_set& learner, loaded_checkpoint& out) {
  try {
    learner.load_champion(champion_path());
  } catch (const learn::checkpoint_error& e) {
    if (e.fault() != learn::checkpoint_fault::missing) keep_aside(champion_path(), e.what(), out);
  }
}

std::string checkpoints::save_champion(learn::learner_set& learner) {
  learner.set_champion();
  try {
    // From the file, so that both are the same although learners run.
    learner.save(champion_path());
    learner.load_champion(champion_path());
  } catch (const learn::checkpoint_error& e) {
    return e.what();
  }
  return {};
}

void checkpoints::load_classes(class_slots& slots, loaded_checkpoint& out) {
  std::ifstream in(classes_path(), std::ios::binary);
  if (!in) return;
  std::ostringstream text;
  text << in.rdbuf();
  try {
    const auto document = nlohmann::json::parse(text.str());
    if (document.at("format").get<int>() != 1) throw std::runtime_error("of another format");
    slots.from_json(document.at("classes"));
    out.completions = document.at("completions").get<std::uint64_t>();
  } catch (const std::exception& e) {
    keep_aside(classes_path(), fmt::format("{} is damaged ({}); classes get new slots", classes_path(), e.what()), out);
  }
}

std::string checkpoints::save(const learn::learner_set& learner, const class_slots& slots, std::uint64_t completions) {
  if (last_is_good_) {
    // A link, so that at every moment a whole model.ckpt is there.
    ::unlink(previous_path().c_str());
    if (::link(model_path().c_str(), previous_path().c_str()) != 0 && errno != ENOENT) {
      return fmt::format("cannot keep {}: {}", previous_path(), std::strerror(errno));
    }
  }
  try {
    learner.save(model_path());
    last_is_good_ = true;
  } catch (const learn::checkpoint_error& e) {
    return e.what();
  }
  const nlohmann::json document{{"format", 1}, {"completions", completions}, {"classes", slots.to_json()}};
  return replace_file(classes_path(), document.dump(1) + "\n");
}

}  // namespace tactus::agent
