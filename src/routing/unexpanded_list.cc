#include "routing/unexpanded_list.h"

#include "routing/proxy_addresses.h"

namespace waypost::routing {
namespace {

/// "System.Object[]", "Microsoft.Exchange.Data.ProxyAddressCollection", "Deserialized.System...".
bool is_type_name(std::string_view text) {
  for (const std::string_view origin : {"Deserialized.", "Selected."})
    if (text.starts_with(origin)) text.remove_prefix(origin.size());
  return (text.starts_with("System.") || text.starts_with("Microsoft.")) &&
         text.find('@') == std::string_view::npos;
}

/// "{SMTP:a@b, smtp:c@d...}": Format-List and Format-Table show the first four of a list.
bool is_cut_list(std::string_view text) {
  if (!text.starts_with('{')) return false;
  const bool closed = text.ends_with('}');
  if (closed) text.remove_suffix(1);
  return !closed || text.ends_with("...") || text.ends_with("\u2026");
}

/// The same in a list that somebody joined: "SMTP:a@b;smtp:c@d...", "SMTP:a@b;...". No address ends
/// with dots (RFC 5321 §4.1.2).
Unexpanded unexpanded_in_joined(std::string_view cell) {
  const auto is_cut = [](std::string_view text) {
    return text.ends_with("...") || text.ends_with("\u2026");
  };
  for (const auto& one : split_proxy_addresses(cell)) {
    if (one.prefix.empty() && is_type_name(one.value)) return Unexpanded::type_name;
    if (one.kind == ProxyAddress::Kind::smtp && is_cut(one.value)) return Unexpanded::cut;
  }
  const auto last = cell.find_last_not_of(" \t\r\n;,");
  return last != std::string_view::npos && is_cut(cell.substr(0, last + 1)) ? Unexpanded::cut
                                                                            : Unexpanded::nothing;
}

}  // namespace

Unexpanded unexpanded_in(std::string_view cell, bool is_list) {
  if (is_type_name(cell)) return Unexpanded::type_name;
  if (is_cut_list(cell)) return Unexpanded::cut;
  return is_list ? unexpanded_in_joined(cell) : Unexpanded::nothing;
}

}  // namespace waypost::routing
