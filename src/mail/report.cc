#include "waypost/mail/report.h"

#include "waypost/base/ascii.h"
#include "waypost/mail/header.h"
#include "waypost/mail/utf8_header_scan.h"
#include "waypost/mail/xtext.h"

#include "mail/text.h"

#include <cstdio>

namespace waypost::mail {
namespace {

constexpr std::size_t kDiagnosticOctets = 700;

std::string_view subject_of(ReportAction action) {
  switch (action) {
    case ReportAction::failed:
      return "Undelivered mail: your message did not arrive";
    case ReportAction::delayed:
      return "Delayed mail: your message has not arrived yet";
    case ReportAction::relayed:
      return "Your message was passed on";
  }
  return "Delivery report";
}

std::string_view action_word(ReportAction action) {
  switch (action) {
    case ReportAction::failed:
      return "failed";
    case ReportAction::delayed:
      return "delayed";
    case ReportAction::relayed:
      return "relayed";
  }
  return "failed";
}

/// One line of text at most, without control characters; non-ASCII stays only where UTF-8 is
/// allowed.
std::string line_text(std::string_view text, bool utf8, std::size_t limit = kDiagnosticOctets) {
  std::string out = printable(text, limit);
  if (!utf8) {
    for (char& c : out) {
      if (static_cast<unsigned char>(c) >= 0x80) c = '?';
    }
  }
  return out;
}

/// Folds a structured field so that no line is longer than 998 octets: breaks at blanks after about
/// 76 characters.
void append_field(std::string& out, std::string_view name, std::string_view value) {
  std::size_t column = name.size() + 2;
  bool first = true;
  out += name;
  out += ": ";
  while (!value.empty()) {
    const auto blank = value.find(' ');
    const std::string_view word = value.substr(0, blank);
    // The blank itself becomes the fold (RFC 5322 §2.2.3): unfolding gives the same value, which
    // matters in a quoted local part. Never a line of blanks only.
    if (!first) {
      const bool fold = !word.empty() && column + 1 + word.size() > 76;
      out += fold ? "\r\n " : " ";
      column = fold ? 1 : column + 1;
    }
    first = false;
    out += word;
    column += word.size();
    if (blank == std::string_view::npos) break;
    value.remove_prefix(blank + 1);
  }
  out += "\r\n";
}

/// What the reader can do about it, by the class of the status (RFC 3463 §3).
std::string_view advice(const EnhancedStatus& status) {
  if (status.subject == 1)
    return "Check the address with the person you write to; if it is right, tell your IT support.";
  if (status.subject == 2)
    return "The mailbox can't take mail at the moment. Reach the person in another way, and try "
           "again later.";
  if (status.subject == 3 && status.detail == 4)
    return "The message is too large there. Send it with smaller attachments, or share the files "
           "in another way.";
  if (status.subject == 4)
    return "The other mail system could not be reached or did not answer in time. Try again later; "
           "if it goes on, tell your IT support.";
  if (status.subject == 6)
    return "The other mail system can't take a message of this form. Send it as plain text, or "
           "with plain addresses.";
  if (status.subject == 7)
    return "The other mail system refused the message by its rules. Your IT support can ask them "
           "why.";
  return "If you don't know what to do, pass this message on to your IT support.";
}

void append_wrapped(std::string& out, std::string_view indent, std::string_view text) {
  std::size_t column = 0;
  while (!text.empty()) {
    const auto blank = text.find(' ');
    const std::string_view word = text.substr(0, blank);
    if (column == 0 || column + 1 + word.size() > 76) {
      if (column != 0) out += "\r\n";
      out += indent;
      column = indent.size();
    } else {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
    if (blank == std::string_view::npos) break;
    text.remove_prefix(blank + 1);
  }
  out += "\r\n";
}

std::string original_address(const Recipient& recipient) { return recipient.original.to_string(); }

/// RFC 2045 §6.7. `text` has CRLF line ends.
std::string quoted_printable(std::string_view text) {
  constexpr std::string_view hex = "0123456789ABCDEF";
  constexpr std::size_t most = 75;  // in a line, and then the "=" of the soft line break
  std::string out;
  std::size_t column = 0;
  while (!text.empty()) {
    if (text.starts_with("\r\n")) {
      out += "\r\n";
      column = 0;
      text.remove_prefix(2);
      continue;
    }
    const char c = text.front();
    text.remove_prefix(1);
    const bool ends_line = text.empty() || text.starts_with("\r\n");
    const bool literal = (c >= '!' && c <= '~' && c != '=') || (c == ' ' && !ends_line);
    const std::size_t width = literal ? 1 : 3;
    if (column + width > most) {
      out += "=\r\n";
      column = 0;
    }
    column += width;
    if (literal) {
      out += c;
    } else {
      out += '=';
      out += hex[static_cast<unsigned char>(c) >> 4];
      out += hex[static_cast<unsigned char>(c) & 15];
    }
  }
  return out;
}

class ReportWriter {
 public:
  ReportWriter(const ReportInput& input)
      : in_(input), utf8_(needs_utf8(input)), boundary_(make_boundary(input)) {}

  std::string write() {
    header();
    human_part();
    open_part(utf8_ ? "message/global-delivery-status" : "message/delivery-status",
              "Delivery report", utf8_ ? "8bit" : "");
    status_part();
    original_part();
    out_ += "\r\n--" + boundary_ + "--\r\n";
    return std::move(out_);
  }

 private:
  static Mailbox addressee_of(const ReportInput& input) {
    return input.addressee ? *input.addressee : input.envelope.reverse_path.value_or(Mailbox{});
  }
  /// Only its addressee decides: what it tells of has a form in ASCII, too (RFC 6533 §3).
  static bool needs_utf8(const ReportInput& input) { return addressee_of(input).needs_smtputf8(); }

  /// Cannot occur in the returned content: it is made longer until it does not.
  static std::string make_boundary(const ReportInput& input) {
    std::string boundary = "=_waypost_" + input.report_id.to_string();
    while (input.original_content.find(boundary) != std::string_view::npos) boundary += "_";
    return boundary;
  }

  void header() {
    const std::string own = line_text(in_.own_name, false, 255);
    append_field(out_, "From", "Mail Delivery System <MAILER-DAEMON@" + own + ">");
    append_field(out_, "To", "<" + line_text(addressee_of(in_).to_string(), utf8_) + ">");
    append_field(out_, "Subject", subject_of(in_.action));
    append_field(out_, "Date", format_date(in_.now));
    append_field(out_, "Message-ID", "<" + in_.report_id.to_string() + "@" + own + ">");
    if (!in_.envelope.message_id.empty() && is_ascii(in_.envelope.message_id)) {
      append_field(out_, "References", line_text(in_.envelope.message_id, false, 900));
    }
    append_field(out_, "Auto-Submitted", "auto-replied");
    append_field(out_, "MIME-Version", "1.0");
    out_ += "Content-Type: multipart/report; report-type=";
    out_ += utf8_ ? "global-delivery-status" : "delivery-status";
    out_ += ";\r\n boundary=\"" + boundary_ + "\"\r\n";
    // RFC 2045 §6.4: the whole may not claim less than its parts.
    if (utf8_ || (in_.content_is_full && !is_ascii(in_.original_content) && !encodes_original()))
      out_ += "Content-Transfer-Encoding: 8bit\r\n";
    out_ += "\r\nThis is a delivery report in MIME format.\r\n";
  }

  /// `encoding` empty: 7bit.
  void open_part(std::string_view type, std::string_view description, std::string_view encoding) {
    out_ += "\r\n--" + boundary_ + "\r\n";
    append_field(out_, "Content-Type", type);
    append_field(out_, "Content-Description", description);
    if (!encoding.empty()) append_field(out_, "Content-Transfer-Encoding", encoding);
    out_ += "\r\n";
  }

  /// A whole message with UTF-8 in its header, for an addressee who has said nothing of SMTPUTF8:
  /// only message/global may be encoded (RFC 6532 §3.5), and so this report travels anywhere.
  bool encodes_original() const { return !utf8_ && in_.content_is_full && original_is_global(); }

  /// What a person reads: it shows each address as it is written, encoded where only 7 bits travel.
  void human_part() {
    const std::string text = human_text();
    const bool ascii = is_ascii(text);
    const std::string_view encoded = ascii ? "" : "quoted-printable";
    open_part(ascii && !utf8_ ? "text/plain; charset=us-ascii" : "text/plain; charset=utf-8",
              "Notification", utf8_ ? "8bit" : encoded);
    out_ += ascii || utf8_ ? text : quoted_printable(text);
  }

  std::string human_text() const {
    std::string out;
    const std::string own = line_text(in_.own_name, false, 255);
    append_wrapped(out, "", "This is the mail gateway at " + own + ".");
    out += "\r\n";
    switch (in_.action) {
      case ReportAction::failed:
        append_wrapped(
            out, "",
            "Your message could not be delivered to the people below. It will not be tried again.");
        break;
      case ReportAction::delayed:
        append_wrapped(out, "",
                       "Your message has not been delivered yet to the people below. It is still "
                       "being tried; you need not do anything now.");
        break;
      case ReportAction::relayed:
        append_wrapped(out, "",
                       "Your message was passed on to a mail system that does not send reports of "
                       "success. No further report will come from it.");
        break;
    }
    for (const ReportedRecipient& reported : in_.recipients) {
      out += "\r\n";
      append_wrapped(out, "  ", line_text(original_address(reported.recipient), true));
      const std::string reply = line_text(reported.outcome.reply, true);
      if (reported.outcome.from_remote) {
        std::string said = "The mail server ";
        if (!reported.outcome.remote_mta.empty())
          said += line_text(reported.outcome.remote_mta, false, 255) + " ";
        append_wrapped(out, "    ", said + "said: " + reply);
      } else if (!reply.empty()) {
        append_wrapped(out, "    ", "Reason: " + reply);
      }
      if (in_.action == ReportAction::failed)
        append_wrapped(out, "    ", advice(reported.outcome.status));
      if (in_.action == ReportAction::delayed && reported.will_retry_until != WallTime{}) {
        append_wrapped(out, "    ",
                       "It is tried until " + format_date(reported.will_retry_until) + ".");
      }
    }
    out += "\r\n";
    append_wrapped(out, "",
                   "Reference: " + in_.envelope.id.to_string() +
                       ". Questions: " + line_text(in_.postmaster, false, 320));
    return out;
  }

  // RFC 3464 §2.
  void status_part() {
    append_field(out_, "Reporting-MTA", "dns; " + line_text(in_.own_name, false, 255));
    if (!in_.envelope.envid.empty()) {
      append_field(out_, "Original-Envelope-Id", envelope_id(in_.envelope.envid));
    }
    append_field(out_, "Arrival-Date", format_date(in_.envelope.accepted_at));
    for (const ReportedRecipient& reported : in_.recipients) recipient_fields(reported);
  }

  void recipient_fields(const ReportedRecipient& reported) {
    const Recipient& recipient = reported.recipient;
    out_ += "\r\n";
    if (!recipient.orcpt.empty()) {
      append_field(out_, "Original-Recipient", orcpt_field(recipient.orcpt));
    }
    append_field(out_, "Final-Recipient", recipient_field(recipient.original));
    append_field(out_, "Action", action_word(in_.action));
    const EnhancedStatus status =
        reported.outcome.status ? reported.outcome.status : fallback_status();
    append_field(out_, "Status", status.to_string());
    if (!reported.outcome.remote_mta.empty()) {
      append_field(out_, "Remote-MTA",
                   "dns; " + line_text(reported.outcome.remote_mta, false, 255));
    }
    if (!reported.outcome.reply.empty()) {
      append_field(out_, "Diagnostic-Code",
                   std::string(reported.outcome.from_remote ? "smtp; " : "x-waypost; ") +
                       line_text(reported.outcome.reply, utf8_));
    }
    if (reported.last_attempt != WallTime{}) {
      append_field(out_, "Last-Attempt-Date", format_date(reported.last_attempt));
    }
    if (in_.action == ReportAction::delayed && reported.will_retry_until != WallTime{}) {
      append_field(out_, "Will-Retry-Until", format_date(reported.will_retry_until));
    }
  }

  EnhancedStatus fallback_status() const {
    if (in_.action == ReportAction::failed) return {5, 0, 0};
    return in_.action == ReportAction::delayed ? EnhancedStatus{4, 0, 0} : status::ok;
  }

  /// RFC 3461 §6.3 (a): decoded. What ASCII can't show stays in the form in which it came.
  std::string envelope_id(const std::string& envid) const {
    return utf8_ || is_ascii(envid) ? line_text(envid, utf8_) : encode_xtext(envid);
  }

  std::string recipient_field(const Mailbox& mailbox) const {
    const std::string address = mailbox.to_string();
    return mailbox.needs_smtputf8() ? "utf-8; " + utf8_address(address)
                                    : "rfc822; " + line_text(address, false);
  }

  /// RFC 6533 §3: as it is where UTF-8 may stand (but not where it would be read as encoded), else
  /// with each such character as \x{HEX}. Encoded, never cleaned: it must lead back to the address.
  std::string utf8_address(std::string_view address) const {
    if (utf8_ && address.find('\\') == std::string_view::npos) return std::string(address);
    return encode_utf8_address(address, utf8_);
  }

  /// "rfc822; address" from the decoded "type;address".
  std::string orcpt_field(std::string_view orcpt) const {
    const auto semicolon = orcpt.find(';');
    const std::string_view type =
        semicolon == std::string_view::npos ? "rfc822" : orcpt.substr(0, semicolon);
    const std::string_view address =
        semicolon == std::string_view::npos ? orcpt : orcpt.substr(semicolon + 1);
    if (ascii_lower(type) == "utf-8") return "utf-8; " + utf8_address(address);
    // Other types have no form for what is not ASCII but the xtext in which it came.
    return line_text(type, false, 64) + "; " +
           (utf8_ || is_ascii(address) ? line_text(address, utf8_) : encode_xtext(address));
  }

  // RFC 3462 §2, RFC 6533 §4: the third part.
  void original_part() {
    const bool eight_bit = !is_ascii(in_.original_content);
    if (encodes_original()) {
      open_part("message/global", "Undelivered message", "quoted-printable");
      out_ += quoted_printable(in_.original_content);
      return;
    }
    const bool global = utf8_;
    std::string_view type = in_.content_is_full ? "message/rfc822" : "text/rfc822-headers";
    if (global) type = in_.content_is_full ? "message/global" : "message/global-headers";
    const bool escape = eight_bit && !utf8_ && !in_.content_is_full;
    open_part(type, in_.content_is_full ? "Undelivered message" : "Undelivered message headers",
              eight_bit && !escape ? "8bit" : "");
    append_content(escape);
  }

  /// An internationalised message keeps its name as an attachment, which 8BITMIME carries
  /// (RFC 6532 §3.7).
  bool original_is_global() const {
    if (!in_.envelope.smtputf8) return false;
    Utf8HeaderScan scan;
    scan.feed(in_.original_content);
    return scan.found();
  }

  /// CRLF line ends; lines of 998 octets at most; 8-bit octets become '?' where the part must be 7
  /// bit.
  void append_content(bool escape) {
    std::size_t column = 0;
    for (std::size_t i = 0; i < in_.original_content.size(); ++i) {
      const char c = in_.original_content[i];
      if (c == '\r' || c == '\0') continue;
      if (c == '\n' || column == 990) {
        out_ += "\r\n";
        column = 0;
        if (c == '\n') continue;
        out_ += ' ';
        ++column;
      }
      out_ += escape && static_cast<unsigned char>(c) >= 0x80 ? '?' : c;
      ++column;
    }
    if (column != 0) out_ += "\r\n";
  }

  const ReportInput& in_;
  const bool utf8_;
  const std::string boundary_;
  std::string out_;
};

}  // namespace

std::string build_report(const ReportInput& input) { return ReportWriter(input).write(); }

bool wants_failure_report(const Envelope& envelope, const Recipient& recipient) {
  if (!envelope.reverse_path || envelope.is_report) return false;
  return recipient.notify == kNotifyUnset || (recipient.notify & kNotifyFailure) != 0;
}

}  // namespace waypost::mail
