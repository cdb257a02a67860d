// Text that is not what it looks like: characters that nobody sees, and letters in two pieces.
//
// Pure, any thread. Addresses and names of waves are compared octet by octet: what a spreadsheet or
// a chat window has put in unseen makes another address of it, which never matches. So they are
// errors wherever an address is read, and are shown as "\u200b".
#pragma once

#include "waypost/mail/address.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace waypost::routing {

/// A character of Unicode's categories Cc, Cf, Zl, Zp, of Zs but the space, or one that is ignored
/// by default.
struct UnseenCharacter {
  std::uint32_t code = 0;
  std::size_t offset = 0;  // in octets
  std::size_t number = 0;  // the how many-th character, from 1
};
std::optional<UnseenCharacter> first_unseen(std::string_view text);

/// "holds U+200B, which can't be seen, as character 4; type it anew"; empty: all is seen.
std::string unseen_complaint(std::string_view text);

/// The first character that may have to be composed (Unicode's NFC_Quick_Check is not Yes): "u" and
/// a diaeresis instead of one letter.
std::optional<UnseenCharacter> first_decomposed(std::string_view text);

/// For messages: unseen characters as "\u200b", octets that are no UTF-8 as '?', at most `most`
/// octets of the text (cut at a character's edge, then "...").
std::string shown_text(std::string_view text, std::size_t most = 120);

/// mail::parse_mailbox for what people have written: unseen characters are ErrorKind::invalid.
Result<mail::Mailbox> read_address(std::string_view text);

}  // namespace waypost::routing
