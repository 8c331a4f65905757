// SPDX-License-Identifier: Apache-2.0
//
// Memory that the agent shares with a pool: the pages (both write) and the route table (the agent
// writes, the pool reads), each a sealed memfd.
//
// The order of seals is what keeps the kernel's and the pool's view the same page (docs/design.md,
// section 4.3): SHRINK and GROW at once; after both sides have mapped FUTURE_WRITE, which also
// stops hole punching; then SEAL; then the check that all are there.
// What is read from pool_pages is the pool's and hostile. Not thread-safe but for reading words.
#pragma once

#include "agent/publish/unique_fd.h"

#include <tactus/abi/registration.h>
#include <tactus/abi/tag_page.h>

#include <cstdint>
#include <string>

namespace tactus::agent {

// A memfd with SHRINK and GROW sealed, mapped shared and writable. Throws std::system_error.
class sealed_memory {
 public:
  sealed_memory() = default;
  sealed_memory(const char* name, std::size_t bytes);
  sealed_memory(sealed_memory&& other) noexcept;
  sealed_memory& operator=(sealed_memory&& other) noexcept;
  ~sealed_memory();

  int fd() const { return fd_.get(); }
  void close_fd() { fd_.reset(); }
  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

  // Adds FUTURE_WRITE, then SEAL, and verifies all four. Empty on success, else what failed.
  std::string seal();

 private:
  unique_fd fd_;
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

class pool_pages {
 public:
  pool_pages() = default;
  explicit pool_pages(std::uint32_t nr_workers);

  sealed_memory& memory() { return memory_; }
  tactus_pool_page* pool_page() const { return static_cast<tactus_pool_page*>(memory_.data()); }
  tactus_tag_page* worker_page(std::uint32_t worker) const {
    return static_cast<tactus_tag_page*>(memory_.data()) + 1 + worker;
  }
  std::size_t bytes() const { return memory_.bytes(); }

 private:
  sealed_memory memory_;
};

class route_memory {
 public:
  route_memory() = default;
  // A table without a policy (sequence 0), already sealed: only this mapping can ever write it.
  static route_memory make();

  tactus_route_table* table() const { return static_cast<tactus_route_table*>(memory_.data()); }
  int fd() const { return memory_.fd(); }
  std::size_t bytes() const { return memory_.bytes(); }

 private:
  sealed_memory memory_;
};

}  // namespace tactus::agent
