// The stored form; every byte is described in envelope-format.md.
#include "waypost/mail/envelope.h"

#include <algorithm>

namespace waypost::mail {
namespace {

constexpr char kMagic = 'E';
constexpr char kVersion = 1;
constexpr std::size_t kMaxRecipients = 1'000'000;
constexpr std::uint64_t kMaxNotify = kNotifyNever | kNotifySuccess | kNotifyFailure | kNotifyDelay;

// Flags of the envelope.
constexpr std::uint64_t kNullReversePath = 1, kSmtputf8 = 2, kBareNewline = 4, kReport = 8,
                        kHasCopies = 16, kAsciiHeader = 32, kUtf8Header = 64, kSharesCopies = 128;
// Flags of a recipient: fields that are the same as before are left out.
constexpr std::uint64_t kSameNextHop = 1, kSameOriginalDomain = 2, kSameTargetDomain = 4,
                        kSameLocalPart = 8;

class Writer {
 public:
  explicit Writer(std::size_t expected) { out_.reserve(expected); }
  void octet(char c) { out_ += c; }
  void number(std::uint64_t value) {  // LEB128
    for (; value >= 0x80; value >>= 7) out_ += static_cast<char>(value | 0x80);
    out_ += static_cast<char>(value);
  }
  void text(std::string_view value) {
    number(value.size());
    out_ += value;
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

/// Reads forward; after the first failure everything is zero and empty, and ok() is false.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  std::uint64_t number() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) return stop();
      const auto c = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= static_cast<std::uint64_t>(c & 0x7F) << shift;
      if (c < 0x80) return value;
    }
    return stop();
  }
  std::string_view text() {
    const std::uint64_t size = number();
    if (size > rest_.size()) {
      stop();
      return {};
    }
    const std::string_view value = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return value;
  }
  bool ok() const { return ok_; }
  std::size_t left() const { return rest_.size(); }

 private:
  std::uint64_t stop() {
    ok_ = false;
    rest_ = {};
    return 0;
  }
  std::string_view rest_;
  bool ok_ = true;
};

void write_recipient(Writer& out, const Recipient& recipient, const Recipient* previous) {
  std::uint64_t flags = 0;
  if (previous != nullptr) {
    if (recipient.next_hop == previous->next_hop) flags |= kSameNextHop;
    if (recipient.original.domain == previous->original.domain) flags |= kSameOriginalDomain;
    if (recipient.target.domain == previous->target.domain) flags |= kSameTargetDomain;
  }
  if (recipient.target.local_part == recipient.original.local_part) flags |= kSameLocalPart;
  out.number(flags);
  out.number(recipient.notify);
  out.text(recipient.original.local_part);
  if ((flags & kSameOriginalDomain) == 0) out.text(recipient.original.domain);
  if ((flags & kSameLocalPart) == 0) out.text(recipient.target.local_part);
  if ((flags & kSameTargetDomain) == 0) out.text(recipient.target.domain);
  if ((flags & kSameNextHop) == 0) out.text(recipient.next_hop);
  out.text(recipient.orcpt);
}

/// `notify`: before it is narrowed, so that a value which no Waypost writes is seen as such.
Recipient read_recipient(Reader& in, const Recipient* previous, std::uint64_t& notify) {
  Recipient recipient;
  const std::uint64_t flags = in.number();
  const Recipient none;
  const Recipient& before = previous != nullptr ? *previous : none;
  notify = in.number();
  recipient.notify = static_cast<std::uint8_t>(notify);
  recipient.original.local_part = in.text();
  recipient.original.domain =
      (flags & kSameOriginalDomain) != 0 ? before.original.domain : std::string(in.text());
  recipient.target.local_part =
      (flags & kSameLocalPart) != 0 ? recipient.original.local_part : std::string(in.text());
  recipient.target.domain =
      (flags & kSameTargetDomain) != 0 ? before.target.domain : std::string(in.text());
  recipient.next_hop = (flags & kSameNextHop) != 0 ? before.next_hop : std::string(in.text());
  recipient.orcpt = in.text();
  return recipient;
}

/// Which recipients are copies: how many, then the distance from the last one and the number.
void write_copies(Writer& out, const std::vector<Recipient>& recipients, std::size_t many) {
  out.number(many);
  std::size_t next = 0;
  for (std::size_t i = 0; i < recipients.size(); ++i) {
    if (recipients[i].copy == 0) continue;
    out.number(i - next);
    out.number(recipients[i].copy);
    next = i + 1;
  }
}

bool read_copies(Reader& in, std::vector<Recipient>& recipients) {
  const std::uint64_t many = in.number();
  std::uint64_t next = 0;
  for (std::uint64_t k = 0; k < many && in.ok(); ++k) {
    const std::uint64_t skipped = in.number();
    const std::uint64_t copy = in.number();
    if (!in.ok() || copy == 0 || copy > kMostCopies) return false;
    if (skipped >= recipients.size() - next) return false;
    next += skipped;
    // There is no copy of nobody.
    if (next == 0 || recipients[next].original != recipients[next - 1].original) return false;
    recipients[next++].copy = static_cast<std::uint8_t>(copy);
  }
  return in.ok();
}

void write_shared(Writer& out, const std::vector<SharedCopy>& shared) {
  out.number(shared.size());
  for (const SharedCopy& one : shared) {
    out.number(one.copy);
    out.number(one.of);
  }
}

bool read_shared(Reader& in, Envelope& envelope) {
  const std::uint64_t many = in.number();
  // Each takes at least two octets: a forged count can't make us reserve memory.
  if (!in.ok() || many > in.left() / 2) return false;
  envelope.shared_copies.reserve(many);
  for (std::uint64_t k = 0; k < many; ++k) {
    const std::uint64_t copy = in.number();
    const std::uint64_t of = in.number();
    const auto& all = envelope.recipients;
    if (!in.ok() || copy >= all.size() || of >= all.size()) return false;
    if (all[copy].copy == 0 || all[of].copy != 0) return false;
    envelope.shared_copies.push_back(
        {static_cast<std::uint32_t>(copy), static_cast<std::uint32_t>(of)});
  }
  return true;
}

}  // namespace

std::string encode(const Envelope& envelope) {
  Writer out(128 + envelope.recipients.size() * 48 + envelope.message_id.size() +
             envelope.client.size());
  out.octet(kMagic);
  out.octet(kVersion);
  std::uint64_t flags = 0;
  if (!envelope.reverse_path) flags |= kNullReversePath;
  if (envelope.smtputf8) flags |= kSmtputf8;
  if (envelope.header == HeaderText::ascii) flags |= kAsciiHeader;
  if (envelope.header == HeaderText::utf8) flags |= kUtf8Header;
  if (envelope.has_bare_newline) flags |= kBareNewline;
  if (envelope.is_report) flags |= kReport;
  const auto copies = static_cast<std::size_t>(
      std::count_if(envelope.recipients.begin(), envelope.recipients.end(),
                    [](const Recipient& recipient) { return recipient.copy > 0; }));
  if (copies > 0) flags |= kHasCopies;
  if (!envelope.shared_copies.empty()) flags |= kSharesCopies;
  out.number(flags);
  out.number(envelope.id.value);
  out.number(static_cast<std::uint64_t>(envelope.accepted_at.time_since_epoch().count()));
  out.number(envelope.content_size);
  out.number(static_cast<std::uint64_t>(envelope.ret));
  out.number(static_cast<std::uint64_t>(envelope.body));
  if (envelope.reverse_path) {
    out.text(envelope.reverse_path->local_part);
    out.text(envelope.reverse_path->domain);
  }
  out.text(envelope.envid);
  out.text(envelope.message_id);
  out.text(envelope.client);
  out.number(envelope.recipients.size());
  const Recipient* previous = nullptr;
  for (const Recipient& recipient : envelope.recipients) {
    write_recipient(out, recipient, previous);
    previous = &recipient;
  }
  if (copies > 0) write_copies(out, envelope.recipients, copies);
  if (!envelope.shared_copies.empty()) write_shared(out, envelope.shared_copies);
  return out.take();
}

Result<Envelope> decode_envelope(std::string_view bytes) {
  const auto corrupt = [](const char* what) {
    return fail(ErrorKind::corrupt, std::string("stored envelope: ") + what);
  };
  if (bytes.size() < 2 || bytes[0] != kMagic) return corrupt("it does not begin like one");
  if (bytes[1] != kVersion) return corrupt("its version is unknown; a newer Waypost wrote it");
  Reader in(bytes.substr(2));
  Envelope envelope;
  const std::uint64_t flags = in.number();
  envelope.smtputf8 = (flags & kSmtputf8) != 0;
  if ((flags & kAsciiHeader) != 0) envelope.header = HeaderText::ascii;
  if ((flags & kUtf8Header) != 0) envelope.header = HeaderText::utf8;
  envelope.has_bare_newline = (flags & kBareNewline) != 0;
  envelope.is_report = (flags & kReport) != 0;
  envelope.id.value = in.number();
  envelope.accepted_at =
      WallTime(std::chrono::microseconds(static_cast<std::int64_t>(in.number())));
  envelope.content_size = in.number();
  const std::uint64_t ret = in.number();
  const std::uint64_t body = in.number();
  if (ret > 2 || body > 2) return corrupt("RET or BODY has an unknown value");
  envelope.ret = static_cast<Ret>(ret);
  envelope.body = static_cast<BodyType>(body);
  if ((flags & kNullReversePath) == 0) {
    Mailbox sender;
    sender.local_part = in.text();
    sender.domain = in.text();
    envelope.reverse_path = std::move(sender);
  }
  envelope.envid = in.text();
  envelope.message_id = in.text();
  envelope.client = in.text();
  const std::uint64_t count = in.number();
  // Each recipient takes at least four octets: a forged count can't make us reserve memory.
  if (!in.ok() || count > kMaxRecipients || count > in.left() / 4 + 1)
    return corrupt("it is cut short");
  envelope.recipients.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    std::uint64_t notify = 0;
    envelope.recipients.push_back(
        read_recipient(in, i == 0 ? nullptr : &envelope.recipients.back(), notify));
    if (!in.ok()) return corrupt("it is cut short");
    if (notify > kMaxNotify) return corrupt("NOTIFY has an unknown value");
  }
  if ((flags & kHasCopies) != 0 && !read_copies(in, envelope.recipients))
    return corrupt("its copies make no sense");
  if ((flags & kSharesCopies) != 0 && !read_shared(in, envelope))
    return corrupt("its shared copies make no sense");
  return envelope;
}

}  // namespace waypost::mail
