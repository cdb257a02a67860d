// What a gateway still holds: recipients by queue id, asked from its admin socket.
//
// ask_queued_mail walks through the queue slice by slice, as `waypost queue list` does; mail that
// moves meanwhile may be seen or not. One thread.
#pragma once

#include "waypost/base/result.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

namespace waypost::load {

class QueuedMail {
 public:
  void add(std::string_view queue_id, std::string_view address);
  /// `address` as the sender wrote it, whatever its case.
  bool holds(std::string_view queue_id, std::string_view address) const;
  std::size_t messages() const { return open_.size(); }

 private:
  std::unordered_map<std::string, std::unordered_set<std::string>> open_;
};

/// Where a walk goes on.
struct QueueCursor {
  std::uint64_t shard = 0, from = 0;
  bool operator==(const QueueCursor&) const = default;
};

/// Takes one answer to /v1/queue/list; nullopt: it was the last. ErrorKind::protocol: it is none.
Result<std::optional<QueueCursor>> take_slice(std::string_view answer, QueuedMail& into);

/// ErrorKind::network | protocol name the socket.
Result<QueuedMail> ask_queued_mail(const std::string& socket);

}  // namespace waypost::load
