// Any bytes as a stored envelope: refused as corrupt, or what it says survives being stored again.
#include "waypost/base/result.h"
#include "waypost/mail/envelope.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace waypost;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto envelope = mail::decode_envelope(bytes);
  if (!envelope) {
    WAYPOST_INVARIANT(envelope.error().kind == ErrorKind::corrupt);
    WAYPOST_INVARIANT(!envelope.error().message.empty());
    return 0;
  }
  WAYPOST_INVARIANT(envelope->ret <= mail::Ret::headers);
  WAYPOST_INVARIANT(envelope->body <= mail::BodyType::eight_bit_mime);
  for (const auto& recipient : envelope->recipients) WAYPOST_INVARIANT(recipient.notify <= 15);
  const std::string stored = mail::encode(*envelope);
  const auto again = mail::decode_envelope(stored);
  WAYPOST_INVARIANT(again.has_value());
  WAYPOST_INVARIANT(mail::encode(*again) == stored);
  WAYPOST_INVARIANT(again->id == envelope->id && again->accepted_at == envelope->accepted_at);
  WAYPOST_INVARIANT(again->reverse_path == envelope->reverse_path);
  WAYPOST_INVARIANT(again->recipients.size() == envelope->recipients.size());
  for (std::size_t i = 0; i < again->recipients.size(); ++i) {
    const auto& first = envelope->recipients[i];
    const auto& second = again->recipients[i];
    WAYPOST_INVARIANT(first.original == second.original && first.target == second.target);
    WAYPOST_INVARIANT(first.next_hop == second.next_hop && first.orcpt == second.orcpt);
    WAYPOST_INVARIANT(first.notify == second.notify && first.copy == second.copy);
    WAYPOST_INVARIANT(first.copy <= mail::kMostCopies && (i > 0 || first.copy == 0));
  }
  return 0;
}
