#include "routing/directory_wire.h"

#include <algorithm>

namespace waypost::routing {
namespace {

/// "proxyAddresses;range=0-1499" -> "proxyAddresses".
std::string_view without_options(std::string_view name) { return name.substr(0, name.find(';')); }

bool same_name(std::string_view one, std::string_view other) {
  const auto folded = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::equal(one.begin(), one.end(), other.begin(), other.end(),
                    [&](char a, char b) { return folded(a) == folded(b); });
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

bool LdapEntry::cut_short(std::string_view name) const {
  return std::any_of(attributes.begin(), attributes.end(), [&](const auto& attribute) {
    return same_name(without_options(attribute.first), name) &&
           mail::ascii_lower(attribute.first).find(";range=") != std::string::npos &&
           !attribute.first.ends_with("-*");
  });
}

}  // namespace waypost::routing
