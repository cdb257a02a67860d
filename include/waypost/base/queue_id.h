// The name of one accepted message: unique over restarts, ordered by time of acceptance.
//
// A queue id is microseconds since the epoch shifted left by 4, plus a per-source tie-break: 60
// bits, shown as 12 characters of Crockford's base32 (no I, L, O, U), so that it can be read out
// over a telephone. QueueIdSource: one per shard, used on that shard's thread only.
#pragma once

#include "waypost/base/clock.h"
#include "waypost/base/result.h"

#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace waypost {

struct QueueId {
  std::uint64_t value = 0;
  auto operator<=>(const QueueId&) const = default;
  std::string to_string() const;
  /// Accepts lower case and O/I/L for 0/1/1. ErrorKind::invalid otherwise.
  static Result<QueueId> parse(std::string_view text);
};

class QueueIdSource {
 public:
  /// `shard` 0..15 goes into the low four bits, so that shards never collide.
  /// `floor`: ids start above it (the highest id that recovery found in the spool, if the wall
  /// clock went back).
  QueueIdSource(const Clock& clock, unsigned shard, QueueId floor = {});
  QueueId next();

 private:
  const Clock& clock_;
  unsigned shard_;
  std::uint64_t last_tick_ = 0;
};

}  // namespace waypost

template <>
struct std::hash<waypost::QueueId> {
  std::size_t operator()(waypost::QueueId id) const noexcept {
    return static_cast<std::size_t>((id.value ^ (id.value >> 29)) * 0x9E3779B97F4A7C15ull);
  }
};
