// Where each bucket of records begins: two octets a bucket, so that a million entries' worth of
// them stays in the cache of a core.
//
// Private to routing. Every sixteenth start in full, the others as distance from it. Where
// distances do not fit (addresses of hundreds of octets, many of them in one place) all are kept in
// full.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace waypost::routing {

class BucketStarts {
 public:
  BucketStarts() = default;
  /// `starts`: ascending; the last one is the end of the last bucket.
  explicit BucketStarts(std::vector<std::uint32_t> starts) {
    distances_.reserve(starts.size());
    for (std::size_t i = 0; i < starts.size(); ++i) {
      if (i % kGroup == 0) bases_.push_back(starts[i]);
      const auto distance = starts[i] - bases_.back();
      if (distance > std::numeric_limits<std::uint16_t>::max()) {
        bases_ = std::move(starts);
        distances_ = {};
        return;
      }
      distances_.push_back(static_cast<std::uint16_t>(distance));
    }
  }

  bool empty() const { return bases_.empty(); }
  std::uint32_t operator[](std::size_t bucket) const {
    if (distances_.empty()) [[unlikely]]
      return bases_[bucket];
    return bases_[bucket / kGroup] + distances_[bucket];
  }
  std::size_t memory_octets() const {
    return bases_.capacity() * sizeof(std::uint32_t) +
           distances_.capacity() * sizeof(std::uint16_t);
  }

 private:
  static constexpr std::size_t kGroup = 16;
  std::vector<std::uint32_t> bases_;
  std::vector<std::uint16_t> distances_;
};

}  // namespace waypost::routing
