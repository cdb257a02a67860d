// Enhanced status codes: RFC 3463, RFC 5248, RFC 2034.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace waypost::mail {

struct EnhancedStatus {
  std::uint16_t klass = 0;  // 2, 4 or 5; 0 = absent
  std::uint16_t subject = 0;
  std::uint16_t detail = 0;

  auto operator<=>(const EnhancedStatus&) const = default;
  explicit operator bool() const { return klass != 0; }
  std::string to_string() const;  // "5.1.1"; empty when absent
  /// "5.1.1" at the front of `text`, followed by a blank or the end; advances `text` behind the
  /// blank.
  static std::optional<EnhancedStatus> parse_prefix(std::string_view& text);
};

/// Codes that we use, named once.
namespace status {
inline constexpr EnhancedStatus ok{2, 0, 0};
inline constexpr EnhancedStatus sender_ok{2, 1, 0};
inline constexpr EnhancedStatus recipient_ok{2, 1, 5};
inline constexpr EnhancedStatus queued{2, 6, 0};
inline constexpr EnhancedStatus unknown_mailbox{5, 1, 1};
inline constexpr EnhancedStatus bad_destination_syntax{5, 1, 3};
inline constexpr EnhancedStatus null_mx{5, 1, 10};
inline constexpr EnhancedStatus message_too_big{5, 3, 4};
inline constexpr EnhancedStatus system_not_accepting{4, 3, 2};
inline constexpr EnhancedStatus spool_trouble{4, 3, 0};
inline constexpr EnhancedStatus disk_full{4, 3, 1};
inline constexpr EnhancedStatus no_answer{4, 4, 1};
inline constexpr EnhancedStatus bad_connection{4, 4, 2};
inline constexpr EnhancedStatus directory_failure{4, 4, 3};
inline constexpr EnhancedStatus routing_loop{5, 4, 6};
inline constexpr EnhancedStatus expired{5, 4, 7};
inline constexpr EnhancedStatus invalid_command{5, 5, 1};
inline constexpr EnhancedStatus syntax_error{5, 5, 2};
inline constexpr EnhancedStatus too_many_recipients{4, 5, 3};
inline constexpr EnhancedStatus invalid_arguments{5, 5, 4};
inline constexpr EnhancedStatus non_ascii_not_permitted{5, 6, 7};
inline constexpr EnhancedStatus relay_denied{5, 7, 1};
inline constexpr EnhancedStatus tls_required{4, 7, 10};
inline constexpr EnhancedStatus auth_ok{2, 7, 0};
inline constexpr EnhancedStatus auth_failed{5, 7, 8};
inline constexpr EnhancedStatus encryption_needed{5, 7, 11};
}  // namespace status

}  // namespace waypost::mail
