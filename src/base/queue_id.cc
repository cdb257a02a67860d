#include "waypost/base/queue_id.h"

#include <algorithm>
#include <array>

namespace waypost {
namespace {

constexpr std::string_view kAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr std::size_t kDigits = 12;
constexpr unsigned kShardBits = 4;

int digit_value(char c) {
  if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  if (c == 'O') return 0;
  if (c == 'I' || c == 'L') return 1;
  const auto at = kAlphabet.find(c);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

}  // namespace

std::string QueueId::to_string() const {
  std::string text(kDigits, '0');
  std::uint64_t rest = value;
  for (std::size_t i = kDigits; i-- > 0; rest >>= 5) text[i] = kAlphabet[rest & 31];
  return text;
}

Result<QueueId> QueueId::parse(std::string_view text) {
  if (text.size() != kDigits) {
    return fail(ErrorKind::invalid, "a queue id has " + std::to_string(kDigits) +
                                        " characters, this has " + std::to_string(text.size()));
  }
  QueueId id;
  for (const char c : text) {
    const int digit = digit_value(c);
    if (digit < 0)
      return fail(ErrorKind::invalid, "a queue id has digits and letters without U only");
    id.value = id.value << 5 | static_cast<std::uint64_t>(digit);
  }
  return id;
}

QueueIdSource::QueueIdSource(const Clock& clock, unsigned shard, QueueId floor)
    : clock_(clock),
      shard_(shard & ((1u << kShardBits) - 1)),
      last_tick_(floor.value >> kShardBits) {}

QueueId QueueIdSource::next() {
  const auto now = static_cast<std::uint64_t>(clock_.now().time_since_epoch().count());
  last_tick_ = std::max(last_tick_ + 1, now);
  return QueueId{(last_tick_ << kShardBits | shard_) & ((1ull << 60) - 1)};
}

}  // namespace waypost
