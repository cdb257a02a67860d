#include "sink/failure_report.h"

#include "waypost/mail/address.h"

#include <algorithm>

namespace waypost::sink {
namespace {

/// One group of fields of a message/delivery-status part.
struct Group {
  std::string original, final_one, action;
};

/// "rfc822; bob@corp.example" -> "bob@corp.example"
std::string address_in(std::string_view value) {
  const auto semicolon = value.find(';');
  if (semicolon != std::string_view::npos) value.remove_prefix(semicolon + 1);
  while (value.starts_with(' ') || value.starts_with('\t')) value.remove_prefix(1);
  while (value.ends_with(' ') || value.ends_with('\r')) value.remove_suffix(1);
  return std::string(value);
}

void end_group(Group& group, std::vector<std::string>& into) {
  if (group.action == "failed") {
    const std::string& named = group.original.empty() ? group.final_one : group.original;
    if (!named.empty()) into.push_back(named);
  }
  group = {};
}

}  // namespace

FailureReport read_failure_report(std::string_view content) {
  FailureReport report;
  report.about = load::find_identity(content);
  Group group;
  while (!content.empty()) {
    const auto end = content.find('\n');
    std::string_view line = content.substr(0, end);
    content.remove_prefix(end == std::string_view::npos ? content.size() : end + 1);
    while (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) end_group(group, report.recipients);
    const auto colon = line.find(':');
    if (colon == std::string_view::npos || colon > 20) continue;
    const std::string name = mail::ascii_lower(line.substr(0, colon));
    const std::string value = address_in(line.substr(colon + 1));
    if (name == "original-recipient") group.original = value;
    if (name == "final-recipient") group.final_one = value;
    if (name == "action") group.action = mail::ascii_lower(value);
  }
  end_group(group, report.recipients);
  return report;
}

}  // namespace waypost::sink
