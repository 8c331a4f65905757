// SPDX-License-Identifier: Apache-2.0
//
// A directory tree of small files that stands in for /sys and /proc in tests;
// it is removed with the object.
#ifndef TACTUS_TESTS_FIXTURE_TREE_H
#define TACTUS_TESTS_FIXTURE_TREE_H

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

namespace tactus::test {

class fixture_tree {
 public:
  fixture_tree() {
    std::string name = (std::filesystem::temp_directory_path() / "tactus-XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::runtime_error("no temporary directory");
    root_ = name;
  }
  ~fixture_tree() {
    std::error_code error;
    std::filesystem::remove_all(root_, error);
  }
  fixture_tree(const fixture_tree &) = delete;
  fixture_tree &operator=(const fixture_tree &) = delete;

  const std::filesystem::path &root() const { return root_; }

  // Writes (or replaces) root/name with text.
  void put(const std::string &name, const std::string &text) const {
    const auto file = root_ / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << text;
  }
  void remove(const std::string &name) const { std::filesystem::remove_all(root_ / name); }

 private:
  std::filesystem::path root_;
};

}  // namespace tactus::test

#endif
