// Objects named by number: 4 octets instead of a pointer, in chunks that never move.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace waypost::queue {

template <class T>
class Slab {
 public:
  using Index = std::uint32_t;
  static constexpr Index kNone = ~Index{0};

  /// A fresh object; its number is one that was free, or the next.
  Index add() {
    ++size_;
    if (!free_.empty()) {
      const Index at = free_.back();
      free_.pop_back();
      return at;
    }
    if (end_ % kChunk == 0) chunks_.push_back(std::make_unique<T[]>(kChunk));
    return end_++;
  }
  void remove(Index at) {
    (*this)[at] = T{};
    free_.push_back(at);
    --size_;
  }
  /// The reference is good until remove().
  T& operator[](Index at) { return chunks_[at / kChunk][at % kChunk]; }
  const T& operator[](Index at) const { return chunks_[at / kChunk][at % kChunk]; }
  std::size_t size() const { return size_; }
  Index end() const { return end_; }

 private:
  static constexpr Index kChunk = 1024;
  std::vector<std::unique_ptr<T[]>> chunks_;
  std::vector<Index> free_;
  Index end_ = 0;
  std::size_t size_ = 0;
};

}  // namespace waypost::queue
