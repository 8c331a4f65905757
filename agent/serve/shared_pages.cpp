// SPDX-License-Identifier: Apache-2.0
//
// shared_pages.h's implementation.
#include "agent/serve/shared_pages.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

namespace tactus::agent {
namespace {

constexpr int k_wanted_seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

std::size_t whole_pages(std::size_t bytes) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

}  // namespace

sealed_memory::sealed_memory(const char* name, std::size_t bytes) {
  int fd = ::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
  if (fd < 0 && errno == EINVAL) fd = ::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) fail("memfd_create");
  fd_ = unique_fd(fd);
  const std::size_t whole = whole_pages(bytes);
  if (::ftruncate(fd, static_cast<off_t>(whole)) != 0) fail("ftruncate of a memfd");
  if (::fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0) fail("sealing a memfd");
  void* p = ::mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (p == MAP_FAILED) fail("mmap of a memfd");
  data_ = p;
  bytes_ = whole;
  ::madvise(p, whole, MADV_DONTFORK);
}

sealed_memory::sealed_memory(sealed_memory&& other) noexcept
    : fd_(std::move(other.fd_)), data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

sealed_memory& sealed_memory::operator=(sealed_memory&& other) noexcept {
  if (this != &other) {
    if (data_ != nullptr) ::munmap(data_, bytes_);
    fd_ = std::move(other.fd_);
    data_ = std::exchange(other.data_, nullptr);
    bytes_ = std::exchange(other.bytes_, 0);
  }
  return *this;
}

sealed_memory::~sealed_memory() {
  if (data_ != nullptr) ::munmap(data_, bytes_);
}

std::string sealed_memory::seal() {
  if (::fcntl(fd_.get(), F_ADD_SEALS, F_SEAL_FUTURE_WRITE) != 0) {
    return fmt::format("F_SEAL_FUTURE_WRITE: {}", std::strerror(errno));
  }
  if (::fcntl(fd_.get(), F_ADD_SEALS, F_SEAL_SEAL) != 0) return fmt::format("F_SEAL_SEAL: {}", std::strerror(errno));
  const int seals = ::fcntl(fd_.get(), F_GET_SEALS);
  if (seals < 0 || (seals & k_wanted_seals) != k_wanted_seals) {
    return fmt::format("seals are {:#x}, expected at least {:#x}", seals, k_wanted_seals);
  }
  return {};
}

pool_pages::pool_pages(std::uint32_t nr_workers)
    : memory_("tactus_pages", (static_cast<std::size_t>(nr_workers) + 1) * TACTUS_PAGE_BYTES) {}

route_memory route_memory::make() {
  route_memory r;
  r.memory_ = sealed_memory("tactus_rows", sizeof(tactus_route_table));
  r.table()->magic = TACTUS_MAGIC;
  if (const std::string why = r.memory_.seal(); !why.empty()) {
    throw std::system_error(EPERM, std::generic_category(), "sealing a route table: " + why);
  }
  return r;
}

}  // namespace tactus::agent
