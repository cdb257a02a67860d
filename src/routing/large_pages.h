// An allocator for big arrays with random access: asks the kernel for large pages, because a
// look-up in a million entries otherwise spends most of its time in address translation.
//
// Private to routing. Small arrays are allocated as usual.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>
#include <new>

namespace waypost::routing {

template <class T>
struct LargePages {
  using value_type = T;
  static constexpr std::size_t kPage = std::size_t{2} << 20;

  LargePages() = default;
  template <class Other>
  LargePages(const LargePages<Other>&) {}

  T* allocate(std::size_t n) {
    if (n > static_cast<std::size_t>(-1) / 2 / sizeof(T)) throw std::bad_array_new_length();
    const auto octets = n * sizeof(T);
    void* memory = nullptr;
    if (octets < kPage) {
      memory = std::malloc(octets);
    } else {
      const auto rounded = (octets + kPage - 1) / kPage * kPage;
      memory = std::aligned_alloc(kPage, rounded);
      // Advice only: without large pages it is slower, not wrong.
      if (memory != nullptr) (void)::madvise(memory, rounded, MADV_HUGEPAGE);
    }
    if (memory == nullptr) throw std::bad_alloc();
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, std::size_t) { std::free(memory); }
  friend bool operator==(const LargePages&, const LargePages&) { return true; }
};

}  // namespace waypost::routing
