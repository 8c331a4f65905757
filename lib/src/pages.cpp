// SPDX-License-Identifier: Apache-2.0
//
// Mapping and unmapping a pool's pages.
#include "pages.h"

#include <cerrno>
#include <sys/mman.h>
#include <system_error>

namespace tactus::detail {
namespace {

void* reserve(std::size_t bytes, int protection) {
  void* p = mmap(nullptr, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap of a pool's pages");
  return p;
}

}  // namespace

void page_region::init(unsigned nr_workers) {
  bytes_ = (1 + std::size_t{nr_workers}) * TACTUS_PAGE_BYTES;
  private_ = reserve(bytes_, PROT_READ | PROT_WRITE);
  shared_ = reserve(bytes_, PROT_READ | PROT_WRITE);
  routes_ = reserve(route_bytes(), PROT_READ);
  tactus_pool_page* page = private_pool_page();
  page->magic = TACTUS_MAGIC;
  page->abi_version = TACTUS_ABI_VERSION;
  page->nr_workers = nr_workers;
}

page_region::~page_region() {
  if (private_) munmap(private_, bytes_);
  if (shared_) munmap(shared_, bytes_);
  if (routes_) munmap(routes_, route_bytes());
}

bool page_region::map_shared(int pages_fd, int routes_fd) noexcept {
  if (mmap(shared_, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, pages_fd, 0) == MAP_FAILED) return false;
  if (madvise(shared_, bytes_, MADV_DONTFORK) != 0 ||
      (routes_fd >= 0 &&
       (mmap(routes_, route_bytes(), PROT_READ, MAP_SHARED | MAP_FIXED, routes_fd, 0) == MAP_FAILED ||
        madvise(routes_, route_bytes(), MADV_DONTFORK) != 0))) {
    const int error = errno;
    unmap_shared();
    errno = error;
    return false;
  }
  return true;
}

void page_region::unmap_shared() noexcept {
  // Over mappings that exist; can fail only where the kernel is out of memory,
  // and then the old mapping stays, which is as harmless.
  (void)!mmap(shared_, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  (void)!mmap(routes_, route_bytes(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

}  // namespace tactus::detail
