// Records gathered by hash, and found again: the hot path of every look-up.
#include "routing/compact_table.h"

#include <bit>

namespace waypost::routing {
namespace {

constexpr std::size_t kInBucket = 8;  // at most, on average
constexpr std::size_t kCacheLine = 64;
constexpr std::size_t kFetched = 6;  // cache lines of a bucket, at once

std::uint32_t length_of(const char* at) {
  const char* end = at + 1;
  const auto length = take_number(end);
  return static_cast<std::uint32_t>(end - at) + length;
}

}  // namespace

std::vector<std::uint32_t> CompactTable::gather_into_buckets(const Arena& old) {
  const auto buckets = std::bit_ceil(count_ / kInBucket + 1);
  bucket_shift_ = 32 - static_cast<unsigned>(std::countr_zero(buckets));
  const auto hash_of = [&](const Record& record) {
    return key_hash(record.key_local, normal_of(record.address_domain));
  };
  std::vector<std::uint32_t> next(buckets + 1);
  for_each_in(old, count_, [&](const Record& record, std::uint32_t offset) {
    next[bucket_of(hash_of(record)) + 1] += length_of(old.data() + offset);
  });
  for (std::size_t i = 1; i <= buckets; ++i) next[i] += next[i - 1];
  starts_ = BucketStarts(next);
  arena_.resize(old.size());
  std::vector<std::uint32_t> offsets;
  offsets.reserve(count_);
  for_each_in(old, count_, [&](const Record& record, std::uint32_t offset) {
    auto& place = next[bucket_of(hash_of(record))];
    const auto length = length_of(old.data() + offset);
    std::memcpy(arena_.data() + place, old.data() + offset, length);
    offsets.push_back(place);
    place += length;
  });
  return offsets;
}

std::optional<CompactTable::Record> CompactTable::find_record(std::string_view lower_local,
                                                              std::uint32_t normal_domain) const {
  if (starts_.empty()) return std::nullopt;
  const auto hash = key_hash(lower_local, normal_domain);
  const auto bucket = bucket_of(hash);
  const char* at = arena_.data() + starts_[bucket];
  const char* const end = arena_.data() + starts_[bucket + 1];
  // All lines of the bucket are on their way at once: one wait instead of several.
  // Their number is fixed: a guess that fails costs more than a line too many.
  for (std::size_t line = 0; line < kFetched; ++line) __builtin_prefetch(at + line * kCacheLine);
  for (const char tag = tag_of(hash); at < end; at += length_of(at)) {
    if (*at != tag) continue;
    const char* body = at;
    const auto record = read_record(body);
    if (record.key_local == lower_local && normal_of(record.address_domain) == normal_domain)
      return record;
  }
  return std::nullopt;
}

}  // namespace waypost::routing
