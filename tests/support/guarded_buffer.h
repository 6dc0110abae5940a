// Memory between two pages that may not be touched: a read or write one byte outside it crashes the
// test. Data placed at the end catches reading past it, data placed at the start reading before it.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <type_traits>

namespace mu8::testing {

class GuardedBuffer {
 public:
  explicit GuardedBuffer(std::size_t capacity) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    capacity_ = (capacity + page) / page * page;  // at least one page
    mapped_bytes_ = capacity_ + 2 * page;
    mapping_ = mmap(nullptr, mapped_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping_ == MAP_FAILED) std::abort();
    data_ = static_cast<std::byte*>(mapping_) + page;
    if (mprotect(data_, capacity_, PROT_READ | PROT_WRITE) != 0) std::abort();
  }
  ~GuardedBuffer() { munmap(mapping_, mapped_bytes_); }
  GuardedBuffer(const GuardedBuffer&) = delete;
  GuardedBuffer& operator=(const GuardedBuffer&) = delete;

  std::size_t capacity() const { return capacity_; }

  // `count` elements that end at the rear guard page.
  template <typename T = std::byte>
  T* Last(std::size_t count) {
    if (count * sizeof(T) > capacity_) std::abort();
    return reinterpret_cast<T*>(data_ + capacity_ - count * sizeof(T));
  }
  // Elements that begin right behind the front guard page.
  template <typename T = std::byte>
  T* First() {
    return reinterpret_cast<T*>(data_);
  }
  // A copy of a vector or span that ends at the rear guard page.
  template <typename Container>
  auto* CopyLast(const Container& values) {
    using Value = std::remove_const_t<typename Container::value_type>;
    auto* copy = Last<Value>(values.size());
    if (!values.empty()) std::memcpy(copy, values.data(), values.size() * sizeof(*copy));
    return copy;
  }
  void Fill(int byte) { std::memset(data_, byte, capacity_); }

 private:
  void* mapping_ = nullptr;
  std::size_t mapped_bytes_ = 0;
  std::byte* data_ = nullptr;
  std::size_t capacity_ = 0;
};

}  // namespace mu8::testing
