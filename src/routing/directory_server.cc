// Names of servers, filters: the small texts of a directory's options.
#include "waypost/routing/directory.h"

#include <charconv>

namespace waypost::routing {
namespace {

bool is_host(std::string_view host, bool bracketed) {
  if (host.empty() || host.size() > 253) return false;
  for (const char c : host) {
    const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!word && c != '.' && c != '-' && c != '_' && !(bracketed && c == ':')) return false;
  }
  return true;
}

bool starts_with_scheme(std::string_view url, std::string_view scheme) {
  return mail::ascii_lower(url.substr(0, scheme.size())) == scheme;
}

}  // namespace

std::string DirectoryServer::to_string() const {
  const bool v6 = host.find(':') != std::string::npos;
  return std::string(ldaps ? "ldaps://" : "ldap://") + (v6 ? "[" + host + "]" : host) + ":" +
         std::to_string(port);
}

Result<DirectoryServer> parse_directory_server(std::string_view url) {
  constexpr std::string_view kExpected = "; write one such as ldaps://dc1.corp.example";
  const auto wrong = [&](std::string_view what) {
    return fail(ErrorKind::invalid, "'" + std::string(url.substr(0, 200)) + "' " +
                                        std::string(what) + std::string(kExpected));
  };
  DirectoryServer server;
  if (starts_with_scheme(url, "ldaps://")) {
    server = {.ldaps = true, .host = {}, .port = 636};
  } else if (starts_with_scheme(url, "ldap://")) {
    server = {.ldaps = false, .host = {}, .port = 389};
  } else if (url.find("://") != std::string_view::npos) {
    return wrong("has an unknown scheme; known are ldaps:// and ldap://");
  } else {
    return wrong("has no scheme");
  }
  auto rest = url.substr(url.find("://") + 3);
  if (rest.ends_with('/')) rest.remove_suffix(1);
  const bool bracketed = rest.starts_with('[');
  const auto end = bracketed ? rest.find(']') : rest.find(':');
  if (bracketed && end == std::string_view::npos) return wrong("has no closing bracket");
  server.host = bracketed ? rest.substr(1, end - 1) : rest.substr(0, end);
  if (!is_host(server.host, bracketed)) return wrong("names no host");
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + bracketed);
  if (rest.empty()) return server;
  if (rest.front() != ':') return wrong("has something behind the host that is no port");
  rest.remove_prefix(1);
  const auto* last = rest.data() + rest.size();
  const auto [at, trouble] = std::from_chars(rest.data(), last, server.port);
  if (trouble != std::errc() || at != last || server.port == 0) return wrong("has no good port");
  return server;
}

bool is_loopback(const DirectoryServer& server) {
  if (server.host == "localhost" || server.host == "::1") return true;
  // "127.evil.example" is a name, not an address.
  return server.host.starts_with("127.") &&
         server.host.find_first_not_of("0123456789.") == std::string::npos;
}

std::string escape_filter_value(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (u < 0x20 || u == 0x7f || c == '*' || c == '(' || c == ')' || c == '\\') {
      out += '\\';
      out += kHex[u >> 4];
      out += kHex[u & 15];
    } else {
      out += c;
    }
  }
  return out;
}

std::string default_directory_filter(const DirectoryOptions& options) {
  std::string targets;
  for (const auto& domain : options.target_domains)
    targets += "(" + options.target_attribute + "=smtp:*@" + escape_filter_value(domain) + ")";
  if (options.target_domains.size() > 1) targets = "(|" + targets + ")";
  if (targets.empty()) targets = "(" + options.target_attribute + "=*)";
  return "(&(objectClass=user)" + targets + "(!(homeMDB=*)))";
}

}  // namespace waypost::routing
