// SPDX-License-Identifier: Apache-2.0
#include "asset_store.h"

#include <xxhash.h>
#include <zstd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>

#include "random.h"

namespace tactus::frame {
namespace {

namespace fs = std::filesystem;

constexpr int k_zstd_level = 1;
// A file gives at most so many pieces, so that one large file is not the whole work set.
constexpr std::size_t k_pieces_per_file = 16;
// Directories below the given ones are searched this deep; entries looked at in all.
constexpr int k_max_depth = 6;
constexpr std::size_t k_max_entries = 50'000;

struct search {
  std::vector<std::string> files;
  std::size_t entries = 0;
  std::size_t bytes = 0;
};

// Sorted at each level: the same tree gives the same list, whatever order the file system has.
void collect(const fs::path& path, const asset_store::config& cfg, int depth, search& found) {
  if (found.bytes >= cfg.total_bytes || found.entries >= k_max_entries) return;
  ++found.entries;
  std::error_code error;
  const fs::file_status status = fs::symlink_status(path, error);
  if (error) return;
  if (fs::is_regular_file(status)) {
    const std::uintmax_t size = fs::file_size(path, error);
    if (error || size < cfg.piece_bytes) return;
    std::ifstream readable(path, std::ios::binary);
    if (!readable) return;
    found.files.push_back(path.string());
    found.bytes += std::min<std::size_t>(size / cfg.piece_bytes, k_pieces_per_file) * cfg.piece_bytes;
    return;
  }
  if (!fs::is_directory(status) || depth == 0) return;
  std::vector<fs::path> children;
  for (fs::directory_iterator it(path, fs::directory_options::skip_permission_denied, error), end;
       !error && it != end; it.increment(error))
    children.push_back(it->path());
  std::sort(children.begin(), children.end());
  for (const fs::path& child : children) collect(child, cfg, depth - 1, found);
}

struct decompressor {
  std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context{ZSTD_createDCtx(), ZSTD_freeDCtx};
  std::vector<char> buffer;
};

}  // namespace

asset_store::asset_store(const config& cfg) : piece_bytes_(cfg.piece_bytes) {
  if (cfg.piece_bytes == 0 || cfg.total_bytes < cfg.piece_bytes)
    throw std::invalid_argument("loading: the work set must hold at least one piece");
  search found;
  std::string looked_in;
  for (const std::string& directory : cfg.directories) {
    collect(directory, cfg, k_max_depth, found);
    looked_in += (looked_in.empty() ? "" : ", ") + directory;
  }
  for (const std::string& file : found.files) add_file(file, cfg.total_bytes / cfg.piece_bytes);
  if (pieces_.empty())
    throw std::runtime_error("loading: no readable file of at least " + std::to_string(cfg.piece_bytes) +
                             " bytes in " + (looked_in.empty() ? "(nothing)" : looked_in) +
                             "; give --load-from DIR");
  random_source random(cfg.seed);
  for (std::size_t i = pieces_.size() - 1; i > 0; --i)
    std::swap(pieces_[i], pieces_[random.below(static_cast<std::uint32_t>(i + 1))]);
}

void asset_store::add_file(const std::string& path, std::size_t limit) {
  std::ifstream file(path, std::ios::binary);
  std::vector<char> raw(piece_bytes_), packed(ZSTD_compressBound(piece_bytes_));
  bool used = false;
  for (std::size_t i = 0; i < k_pieces_per_file && pieces_.size() < limit; ++i) {
    if (!file.read(raw.data(), static_cast<std::streamsize>(raw.size()))) break;
    const std::size_t n = ZSTD_compress(packed.data(), packed.size(), raw.data(), raw.size(), k_zstd_level);
    if (ZSTD_isError(n))
      throw std::runtime_error("loading: compressing " + path + ": " + ZSTD_getErrorName(n));
    pieces_.push_back({std::vector<char>(packed.begin(), packed.begin() + static_cast<std::ptrdiff_t>(n)),
                       XXH3_64bits(raw.data(), raw.size())});
    used = true;
  }
  files_ += used;
}

bool asset_store::load(std::uint64_t i) const {
  thread_local decompressor work;
  const piece& p = pieces_[i % pieces_.size()];
  work.buffer.resize(piece_bytes_);
  const std::size_t n = ZSTD_decompressDCtx(work.context.get(), work.buffer.data(), work.buffer.size(),
                                            p.compressed.data(), p.compressed.size());
  return !ZSTD_isError(n) && n == piece_bytes_ && XXH3_64bits(work.buffer.data(), n) == p.hash;
}

std::size_t asset_store::compressed_bytes() const {
  std::size_t sum = 0;
  for (const piece& p : pieces_) sum += p.compressed.size();
  return sum;
}

std::uint64_t asset_store::checksum() const {
  std::uint64_t hash = 0;
  for (const piece& p : pieces_) hash = XXH3_64bits_withSeed(&p.hash, sizeof p.hash, hash);
  return hash;
}

}  // namespace tactus::frame
