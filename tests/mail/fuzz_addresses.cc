// Any bytes as an address, a path, xtext, an ORCPT and a header: what is accepted prints and parses
// again to the same, no control character gets through, lengths are bounded. What SRS rewrites
// comes back as an address.
#include "waypost/base/result.h"
#include "waypost/mail/address.h"
#include "waypost/mail/header.h"
#include "waypost/mail/srs.h"
#include "waypost/mail/xtext.h"

#include <algorithm>

namespace {

using namespace waypost;

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char ch) {
    const auto c = static_cast<unsigned char>(ch);
    return c < 0x20 || c == 0x7F;
  });
}

void check_srs(const mail::Mailbox& mailbox) {
  static const mail::Srs srs({"srs.corp.example", {"a secret of enough length"}, 21, 240});
  WAYPOST_INVARIANT(srs.reverse(mailbox, {}).trouble != mail::SrsTrouble::none);
  const auto there = srs.forward(mailbox, {});
  if (!there) return;
  WAYPOST_INVARIANT(there->to_string().size() <= 254);
  const auto back = srs.reverse(*there, {});
  WAYPOST_INVARIANT(back.trouble == mail::SrsTrouble::none);
  WAYPOST_INVARIANT(mail::parse_mailbox(back.sender.to_string()) == back.sender);
}

void check_mailbox(const mail::Mailbox& mailbox, bool utf8) {
  const std::string text = mailbox.to_string();
  WAYPOST_INVARIANT(!has_control(text) && text.size() <= mail::kMaxAddressOctets);
  WAYPOST_INVARIANT(utf8 || !mailbox.needs_smtputf8());
  const auto again = mail::parse_mailbox(text, utf8);
  WAYPOST_INVARIANT(again.has_value() && *again == mailbox);
  const std::string wire = "<" + text + "> SIZE=1";
  std::string_view rest = wire;
  const auto path = mail::parse_path(rest, utf8);
  WAYPOST_INVARIANT(path.has_value() && *path == mailbox && rest == " SIZE=1");
  check_srs(mailbox);
}

void check_addresses(std::string_view bytes, bool utf8) {
  if (const auto mailbox = mail::parse_mailbox(bytes, utf8)) check_mailbox(*mailbox, utf8);
  std::string_view rest = bytes;
  if (const auto path = mail::parse_path(rest, utf8)) {
    WAYPOST_INVARIANT(rest.size() < bytes.size() && bytes.ends_with(rest));
    if (*path) check_mailbox(**path, utf8);
  } else {
    WAYPOST_INVARIANT(rest == bytes && !has_control(path.error().message));
  }
}

void check_xtext(std::string_view bytes, bool utf8) {
  if (const auto plain = mail::decode_xtext(bytes)) {
    WAYPOST_INVARIANT(!has_control(*plain) && plain->size() <= bytes.size());
    WAYPOST_INVARIANT(mail::decode_xtext(mail::encode_xtext(*plain)) == *plain);
  }
  if (const auto orcpt = mail::decode_orcpt(bytes, utf8)) {
    WAYPOST_INVARIANT(!has_control(*orcpt) && orcpt->size() <= bytes.size());
    for (const bool target_utf8 : {false, true}) {
      const std::string wire = mail::encode_orcpt(*orcpt, target_utf8);
      WAYPOST_INVARIANT(wire.find_first_of(" =\t") == std::string::npos);
      WAYPOST_INVARIANT(mail::decode_orcpt(wire, target_utf8) == *orcpt);
    }
  }
  const std::string shown = mail::printable(bytes, 40);
  WAYPOST_INVARIANT(shown.size() <= 40 && !has_control(shown));
  WAYPOST_INVARIANT(mail::printable(shown, 40) == shown);
}

void check_header(std::string_view bytes, std::size_t piece) {
  mail::HeaderScan whole("gw.corp.example");
  mail::HeaderScan sliced("gw.corp.example");
  whole.feed(bytes);
  for (std::size_t at = 0; at < bytes.size(); at += piece) sliced.feed(bytes.substr(at, piece));
  WAYPOST_INVARIANT(whole.header_complete() == sliced.header_complete());
  WAYPOST_INVARIANT(whole.received_count() == sliced.received_count());
  WAYPOST_INVARIANT(whole.own_received_count() == sliced.own_received_count());
  WAYPOST_INVARIANT(whole.own_received_count() <= whole.received_count());
  WAYPOST_INVARIANT(whole.message_id() == sliced.message_id());
  WAYPOST_INVARIANT(whole.message_id().size() <= 998 && !has_control(whole.message_id()));
  WAYPOST_INVARIANT(whole.header_octets() == sliced.header_octets());
  WAYPOST_INVARIANT(whole.header_octets() <= bytes.size());
}

void check_received(std::string_view bytes) {
  const mail::ReceivedField field{bytes, bytes, "gw.corp.example", "ESMTPS", bytes, {}, {}};
  const std::string text = mail::format_received(field);
  WAYPOST_INVARIANT(text.starts_with("Received: ") && text.ends_with("\r\n"));
  std::size_t column = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n') {
      WAYPOST_INVARIANT(text[i - 1] == '\r' && column <= 999);
      WAYPOST_INVARIANT(i + 1 == text.size() || text[i + 1] == '\t');
      column = 0;
    } else {
      ++column;
    }
  }
  const std::string header = text + "\r\n";
  mail::HeaderScan scan("gw.corp.example");
  scan.feed(header);
  WAYPOST_INVARIANT(scan.received_count() == 1 && scan.own_received_count() == 1);
  WAYPOST_INVARIANT(scan.header_octets() == header.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  const bool utf8 = (data[0] & 1) != 0;
  check_addresses(bytes, utf8);
  check_xtext(bytes, utf8);
  check_header(bytes, 1 + data[0] / 2 % 13);
  check_received(bytes);
  return 0;
}
