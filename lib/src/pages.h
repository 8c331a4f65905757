// SPDX-License-Identifier: Apache-2.0
//
// A pool's pages: a private set that is always there, and an address range of
// the same size where the agent's memfd is mapped while the pool is registered.
//
// The shared range is reserved once and mapped over in place, so an address in
// it is valid at any time: a late store by somebody who still holds it goes to
// the old pages, the new ones or zero pages, never to memory of others. Both
// are MADV_DONTFORK / private: a child of fork() must use the private set.
// The agent's memfd is sealed against shrinking, so no access can fault.
#ifndef TACTUS_SRC_PAGES_H
#define TACTUS_SRC_PAGES_H

#include <tactus/abi/registration.h>
#include <tactus/abi/tag_page.h>

#include <cstddef>

namespace tactus::detail {

class page_region {
 public:
  page_region() = default;
  page_region(const page_region&) = delete;
  page_region& operator=(const page_region&) = delete;
  ~page_region();

  // Throws std::system_error.
  void init(unsigned nr_workers);

  tactus_pool_page* private_pool_page() const noexcept { return static_cast<tactus_pool_page*>(private_); }
  tactus_tag_page* private_page(unsigned worker) const noexcept { return page_of(private_, worker); }
  tactus_pool_page* shared_pool_page() const noexcept { return static_cast<tactus_pool_page*>(shared_); }
  tactus_tag_page* shared_page(unsigned worker) const noexcept { return page_of(shared_, worker); }
  const tactus_route_table* route_table() const noexcept { return static_cast<tactus_route_table*>(routes_); }
  std::size_t bytes() const noexcept { return bytes_; }
  static constexpr std::size_t route_bytes() noexcept {
    return (sizeof(tactus_route_table) + TACTUS_PAGE_BYTES - 1) / TACTUS_PAGE_BYTES * TACTUS_PAGE_BYTES;
  }

  // Maps the agent's memfds over the reserved ranges; false (errno) when the
  // kernel refuses. REQUIRES: no worker writes to the shared range.
  bool map_shared(int pages_fd, int routes_fd) noexcept;
  // Zero pages again; what was mapped stays untouched.
  void unmap_shared() noexcept;

 private:
  static tactus_tag_page* page_of(void* region, unsigned worker) noexcept {
    return static_cast<tactus_tag_page*>(region) + 1 + worker;
  }
  void* private_ = nullptr;
  void* shared_ = nullptr;
  void* routes_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace tactus::detail

#endif
