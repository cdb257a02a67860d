#include "routing/directory_ldap_results.h"

#include "waypost/routing/unseen.h"

#include <ldap.h>

#include <algorithm>
#include <array>

namespace waypost::routing {
namespace {

/// Active Directory says in "data 52e" why it has refused credentials.
std::string_view refusal(std::string_view diagnostic) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kReasons = {{
      {"data 525", "there is no such account"},
      {"data 52e", "the name or the password is wrong"},
      {"data 530", "the account may not log on at this time"},
      {"data 531", "the account may not log on from here"},
      {"data 532", "the password has expired"},
      {"data 533", "the account is disabled"},
      {"data 701", "the account has expired"},
      {"data 773", "the password must be changed first"},
      {"data 775", "the account is locked"},
  }};
  for (const auto& [sign, reason] : kReasons)
    if (diagnostic.find(sign) != std::string_view::npos) return reason;
  return {};
}

ErrorKind kind_of(int code) {
  switch (code) {
    case LDAP_SERVER_DOWN:
    case LDAP_UNAVAILABLE:
    case LDAP_BUSY:
    case LDAP_CONNECT_ERROR:
      return ErrorKind::network;
    case LDAP_TIMEOUT:
    case LDAP_TIMELIMIT_EXCEEDED:
      return ErrorKind::timeout;
    case LDAP_SIZELIMIT_EXCEEDED:
    case LDAP_ADMINLIMIT_EXCEEDED:
      return ErrorKind::exhausted;
    case LDAP_NO_SUCH_OBJECT:
      return ErrorKind::not_found;
    case LDAP_FILTER_ERROR:
    case LDAP_INVALID_DN_SYNTAX:
    case LDAP_INVALID_CREDENTIALS:
      return ErrorKind::invalid;
    default:
      return ErrorKind::protocol;
  }
}

std::string_view advice(int code) {
  switch (code) {
    case LDAP_SIZELIMIT_EXCEEDED:
      return "; the server gives no more entries: raise its limit for this account, or lower "
             "page_size";
    case LDAP_TIMELIMIT_EXCEEDED:
      return "; the server has stopped looking: make the filter use indexed attributes";
    case LDAP_ADMINLIMIT_EXCEEDED:
      return "; a limit of the server for this account";
    case LDAP_NO_SUCH_OBJECT:
      return "; correct 'base', or give the account the right to read it";
    case LDAP_STRONG_AUTH_REQUIRED:
    case LDAP_CONFIDENTIALITY_REQUIRED:
      return "; the server wants TLS: use ldaps://";
    case LDAP_REFERRAL:
      return "; the entries are at another server: name one that holds 'base'";
    case LDAP_FILTER_ERROR:
      return "; correct 'filter'";
    default:
      return {};
  }
}

}  // namespace

std::string one_line(std::string_view text) {
  std::string line(text.substr(0, 300));
  std::replace_if(
      line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  auto out = shown_text(line, line.size());
  while (!out.empty() && (out.back() == ' ' || out.back() == '.')) out.pop_back();
  return out;
}

Error error_of(int code, std::string_view doing, std::string_view diagnostic) {
  std::string message = std::string(doing) + ": " + ldap_err2string(code);
  if (const auto reason = refusal(diagnostic); !reason.empty())
    message += ": " + std::string(reason);
  else if (!diagnostic.empty())
    message += " (" + one_line(diagnostic) + ")";
  return {kind_of(code), message + std::string(advice(code))};
}

}  // namespace waypost::routing
