#include "waypost/mail/header.h"

#include "mail/text.h"

#include <array>
#include <charconv>

namespace waypost::mail {
namespace {

constexpr std::size_t kMaxName = 255;

/// What may stand in a Received field as a name: visible ASCII without what has a meaning there.
void append_name(std::string& out, std::string_view name) {
  std::size_t kept = 0;
  for (const char ch : name) {
    const auto c = static_cast<unsigned char>(ch);
    if (kept == kMaxName) break;
    if (c <= 0x20 || c >= 0x7F || ch == '(' || ch == ')' || ch == '<' || ch == '>' || ch == ';' ||
        ch == '\\' || ch == '"') {
      continue;
    }
    out += ch;
    ++kept;
  }
  if (kept == 0) out += "unknown";
}

void append_two(std::string& out, unsigned value) {
  out += static_cast<char>('0' + value / 10 % 10);
  out += static_cast<char>('0' + value % 10);
}

}  // namespace

std::string format_received(const ReceivedField& field) {
  std::string out;
  out.reserve(320);
  out += "Received: from ";
  append_name(out, field.helo);
  out += " ([";
  append_name(out, field.client_address);
  out += "])\r\n\tby ";
  append_name(out, field.own_name);
  out += " with ";
  append_name(out, field.protocol);
  if (!field.tls.empty()) {
    out += "\r\n\t(";
    append_name(out, field.tls);
    out += ')';
  }
  out += " id ";
  out += field.queue_id.to_string();
  out += ";\r\n\t";
  out += format_date(field.at);
  out += "\r\n";
  return out;
}

std::string format_date(WallTime at) {
  static constexpr std::array<std::string_view, 7> kDays = {"Sun", "Mon", "Tue", "Wed",
                                                            "Thu", "Fri", "Sat"};
  static constexpr std::array<std::string_view, 12> kMonths = {
      "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto day = std::chrono::floor<std::chrono::days>(at);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(std::chrono::floor<std::chrono::seconds>(at - day));
  std::string out;
  out.reserve(32);
  out += kDays[std::chrono::weekday(day).c_encoding()];
  out += ", ";
  out += std::to_string(static_cast<unsigned>(date.day()));
  out += ' ';
  out += kMonths[static_cast<unsigned>(date.month()) - 1];
  out += ' ';
  out += std::to_string(static_cast<int>(date.year()));
  out += ' ';
  append_two(out, static_cast<unsigned>(time.hours().count()));
  out += ':';
  append_two(out, static_cast<unsigned>(time.minutes().count()));
  out += ':';
  append_two(out, static_cast<unsigned>(time.seconds().count()));
  out += " +0000";
  return out;
}

}  // namespace waypost::mail
