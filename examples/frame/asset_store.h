// SPDX-License-Identifier: Apache-2.0
// The loading task of the frame example: decompress a piece of a file and hash it.
//
// At start files found on the machine are read, cut into pieces and compressed once (zstd), all in
// memory and bounded; a task decompresses one piece and compares its hash with the one taken then.
// Relies on: libzstd, xxhash; readable files below the given directories. Does not: write files,
// read any while tasks run, follow symbolic links to directories.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace tactus::frame {

// Thread-safety: const members may be called from any number of threads at once.
class asset_store {
 public:
  struct config {
    std::vector<std::string> directories;  // files or directories, searched in this order
    std::size_t total_bytes = 8u << 20;    // stop after so much
    std::size_t piece_bytes = 64u << 10;
    std::uint64_t seed = 1;                // orders the pieces
  };

  // Throws std::runtime_error when not one full piece is found: the message says what to give.
  explicit asset_store(const config& cfg);

  // Decompresses piece i modulo pieces(); true when its hash is the one of the original.
  bool load(std::uint64_t i) const;

  std::size_t pieces() const { return pieces_.size(); }
  std::size_t bytes() const { return pieces_.size() * piece_bytes_; }
  std::size_t compressed_bytes() const;
  std::size_t files() const { return files_; }
  // Hash over the hashes of all pieces: what this machine's files are.
  std::uint64_t checksum() const;

  // Damages the stored copy of piece i (one bit of the expected hash): for tests.
  void damage(std::uint64_t i) { pieces_[i % pieces_.size()].hash ^= 1; }

 private:
  struct piece {
    std::vector<char> compressed;
    std::uint64_t hash;
  };
  void add_file(const std::string& path, std::size_t limit);

  std::size_t piece_bytes_;
  std::size_t files_ = 0;
  std::vector<piece> pieces_;
};

}  // namespace tactus::frame
