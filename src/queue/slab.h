// Objects in one vector, named by number: 4 octets instead of a pointer, no allocation of their
// own.
#pragma once

#include <cstdint>
#include <vector>

namespace waypost::queue {

template <class T>
class Slab {
 public:
  using Index = std::uint32_t;
  static constexpr Index kNone = ~Index{0};

  Index add(T value) {
    ++size_;
    if (free_.empty()) {
      items_.push_back(std::move(value));
      return static_cast<Index>(items_.size() - 1);
    }
    const Index at = free_.back();
    free_.pop_back();
    items_[at] = std::move(value);
    return at;
  }
  void remove(Index at) {
    items_[at] = T{};
    free_.push_back(at);
    --size_;
  }
  /// The reference is good until the next add().
  T& operator[](Index at) { return items_[at]; }
  const T& operator[](Index at) const { return items_[at]; }
  std::size_t size() const { return size_; }
  Index end() const { return static_cast<Index>(items_.size()); }

 private:
  std::vector<T> items_;
  std::vector<Index> free_;
  std::size_t size_ = 0;
};

}  // namespace waypost::queue
