#include "routing/directory_wire.h"

#include <algorithm>
#include <charconv>

namespace waypost::routing {
namespace {

/// "proxyAddresses;range=0-1499" -> "proxyAddresses".
std::string_view without_options(std::string_view name) { return name.substr(0, name.find(';')); }

bool same_name(std::string_view one, std::string_view other) {
  const auto folded = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::equal(one.begin(), one.end(), other.begin(), other.end(),
                    [&](char a, char b) { return folded(a) == folded(b); });
}

struct AttributeRange {
  std::size_t first = 0;
  std::optional<std::size_t> last;  // nullopt: "*", to the end
};

/// [MS-ADTS] section 3.1.1.3.1.3.3: "proxyAddresses;range=0-1499"; nullopt: no such option.
std::optional<AttributeRange> range_of(std::string_view name) {
  constexpr std::string_view kOption = ";range=";
  const auto lower = mail::ascii_lower(name);
  const auto at = lower.find(kOption);
  if (at == std::string::npos) return std::nullopt;
  const char* begin = lower.data() + at + kOption.size();
  const char* end = lower.data() + lower.size();
  AttributeRange range;
  const auto [dash, trouble] = std::from_chars(begin, end, range.first);
  if (trouble != std::errc() || dash == end || *dash != '-') return std::nullopt;
  if (dash + 1 < end && dash[1] == '*') return range;
  std::size_t last = 0;
  if (std::from_chars(dash + 1, end, last).ec != std::errc()) return std::nullopt;
  range.last = last;
  return range;
}

}  // namespace

Result<> Patience::check() const {
  if (stop.stop_requested()) return fail(ErrorKind::cancelled, "it was stopped");
  if (clock->steady_now() >= until)
    return fail(ErrorKind::timeout, "no answer within the time that is allowed for it");
  return {};
}

Patience Patience::at_most(Duration within) const {
  return {clock, std::min(until, clock->steady_now() + within), stop};
}

const std::vector<std::string>& LdapEntry::values(std::string_view name) const {
  static const std::vector<std::string> kNone;
  // Of "x" (empty) and "x;range=0-1499", both sent by Active Directory, the one with values counts.
  for (const auto& [attribute, held] : attributes)
    if (!held.empty() && same_name(without_options(attribute), name)) return held;
  return kNone;
}

std::string_view LdapEntry::first(std::string_view name) const {
  const auto& held = values(name);
  return held.empty() ? std::string_view() : std::string_view(held.front());
}

std::optional<LdapEntry::Range> LdapEntry::cut_short() const {
  for (const auto& [name, held] : attributes)
    if (const auto part = range_of(name); part && part->last)
      return Range{std::string(without_options(name)), *part->last + 1};
  return std::nullopt;
}

bool LdapEntry::take_range(const Range& asked, const LdapEntry& part) {
  const auto is_next = [&](const auto& attribute) {
    const auto range = range_of(attribute.first);
    return range && same_name(without_options(attribute.first), asked.name) &&
           range->first == asked.next && (!range->last || *range->last >= range->first);
  };
  const auto is_ours = [&](const auto& attribute) {
    const auto range = range_of(attribute.first);
    return range && same_name(without_options(attribute.first), asked.name);
  };
  const auto found = std::find_if(part.attributes.begin(), part.attributes.end(), is_next);
  const auto own = std::find_if(attributes.begin(), attributes.end(), is_ours);
  if (found == part.attributes.end() || own == attributes.end()) return false;
  own->first = found->first;
  own->second.insert(own->second.end(), found->second.begin(), found->second.end());
  return true;
}

}  // namespace waypost::routing
