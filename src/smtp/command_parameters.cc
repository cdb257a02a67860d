#include "smtp/command_parameters.h"

#include "waypost/mail/xtext.h"

#include <boost/container/small_vector.hpp>

#include <algorithm>
#include <charconv>
#include <string>

namespace waypost::smtp {
namespace {

constexpr std::size_t kMaxEnvid = 100;  // RFC 3461 §4.4
constexpr std::size_t kMaxOrcpt =
    1000;  // RFC 3461 §4.2 says 500; Exchange's addresses may be longer, encoded
constexpr unsigned kMaxParameters = 16;

std::unexpected<Reply> refuse(int code, mail::EnhancedStatus status, std::string text) {
  return std::unexpected(Reply{code, status, std::move(text)});
}
std::unexpected<Reply> syntax(std::string text) {
  return refuse(501, mail::status::invalid_arguments, std::move(text));
}
std::unexpected<Reply> not_offered(std::string_view key) {
  return refuse(555, mail::status::invalid_arguments,
                "parameter " + std::string(key) + " was not offered");
}

void skip_blanks(std::string_view& text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
}

/// "FROM:" or "TO:", any letter case; a blank behind the colon is tolerated, as most servers do.
bool take_keyword(std::string_view& text, std::string_view keyword) {
  if (text.size() < keyword.size() || mail::ascii_lower(text.substr(0, keyword.size())) != keyword)
    return false;
  text.remove_prefix(keyword.size());
  skip_blanks(text);
  return true;
}

struct Parameter {
  std::string key;  // upper case
  std::string_view value;
  bool has_value = false;
  bool says_the_same(const Parameter& other) const {
    return has_value == other.has_value &&
           mail::ascii_lower(value) == mail::ascii_lower(other.value);
  }
};

/// One parameter from the front; false at the end.
std::expected<bool, Reply> take_parameter(std::string_view& text, Parameter& parameter) {
  skip_blanks(text);
  if (text.empty()) return false;
  const std::string_view word = text.substr(0, text.find_first_of(" \t"));
  text.remove_prefix(word.size());
  const auto equals = word.find('=');
  parameter.key.clear();
  for (const char c : word.substr(0, equals)) {
    const bool good =
        (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    if (!good) return syntax("a parameter name has a character that is not allowed");
    parameter.key += static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
  }
  if (parameter.key.empty()) return syntax("a parameter has no name");
  parameter.has_value = equals != std::string_view::npos;
  parameter.value = parameter.has_value ? word.substr(equals + 1) : std::string_view();
  return true;
}

/// Calls `take(parameter)` for each; it returns an error reply with code != 0 to stop. Given twice
/// alike counts once (Python's smtplib says SMTPUTF8 twice); given twice with two meanings is
/// refused.
template <class Take>
Reply for_each_parameter(std::string_view text, const ParameterRules& rules, Take&& take) {
  boost::container::small_vector<Parameter, 4> seen;
  Parameter parameter;
  for (;;) {
    const auto more = take_parameter(text, parameter);
    if (!more) return more.error();
    if (!*more) return {};
    if (!rules.esmtp) return not_offered(parameter.key).error();
    const auto before = std::find_if(seen.begin(), seen.end(), [&](const Parameter& other) {
      return other.key == parameter.key;
    });
    if (before != seen.end()) {
      if (before->says_the_same(parameter)) continue;
      return syntax("parameter " + parameter.key + " is given twice, with different values")
          .error();
    }
    if (seen.size() == kMaxParameters) return syntax("too many parameters").error();
    seen.push_back(parameter);
    if (Reply reply = take(parameter); reply.code != 0) return reply;
  }
}

/// The path, and that a blank or the end follows it.
std::expected<mail::ReversePath, Reply> take_path(std::string_view& text,
                                                  mail::EnhancedStatus syntax_status) {
  auto path = mail::parse_path(text, true);
  if (!path) return refuse(501, syntax_status, path.error().message);
  if (!text.empty() && text.front() != ' ' && text.front() != '\t') {
    return refuse(501, syntax_status, "something stands right behind the path");
  }
  return *path;
}

Reply take_size(const Parameter& parameter, const ParameterRules& rules, MailCommand& command) {
  const char* first = parameter.value.data();
  const char* last = first + parameter.value.size();
  const auto [end, error] = std::from_chars(first, last, command.size);
  if (parameter.value.empty() || parameter.value.size() > 20 || end != last ||
      (error != std::errc() && error != std::errc::result_out_of_range)) {
    return syntax("SIZE is not a number").error();
  }
  // RFC 1870 §6.1.
  if (error == std::errc::result_out_of_range || command.size > rules.max_message_size) {
    return {552, mail::status::message_too_big,
            "the message is too large; the limit is " + std::to_string(rules.max_message_size) +
                " octets"};
  }
  return {};
}

Reply take_body(const Parameter& parameter, MailCommand& command) {
  const std::string value = mail::ascii_lower(parameter.value);
  if (value == "7bit") {
    command.body = mail::BodyType::seven_bit;
  } else if (value == "8bitmime") {
    command.body = mail::BodyType::eight_bit_mime;
  } else if (value == "binarymime") {
    return {555, mail::status::invalid_arguments, "BODY=BINARYMIME was not offered"};
  } else {
    return syntax("BODY is 7BIT or 8BITMIME").error();
  }
  return {};
}

/// What must not stand in xtext by itself, encoded: a '+' that begins no +HH, and '='.
std::string repaired_xtext(std::string_view xtext) {
  const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'); };
  std::string out;
  for (std::size_t i = 0; i < xtext.size(); ++i) {
    const bool encoded = i + 2 < xtext.size() && is_hex(xtext[i + 1]) && is_hex(xtext[i + 2]);
    if (xtext[i] == '=') {
      out += "+3D";
    } else if (xtext[i] == '+' && !encoded) {
      out += "+2B";
    } else {
      out += xtext[i];
    }
  }
  return out;
}

// ENVID and ORCPT only come back in reports. RFC 3461 §4.2, §4.4 would have a broken one refused;
// a good message or recipient is not lost for it: it is repaired where its meaning is clear (an
// address with a plain '+'), else left out as if it had not been given.

std::string envelope_id(std::string_view value) {
  auto envid = mail::decode_xtext(value);
  if (!envid) envid = mail::decode_xtext(repaired_xtext(value));
  return envid && envid->size() <= kMaxEnvid ? std::move(*envid) : std::string();
}

std::string original_recipient(std::string_view value, bool smtputf8) {
  if (value.size() > kMaxOrcpt) return {};
  auto orcpt = mail::decode_orcpt(value, smtputf8);
  if (orcpt) return std::move(*orcpt);
  const auto type = value.substr(0, value.find(';'));
  orcpt =
      mail::decode_orcpt(std::string(type) + repaired_xtext(value.substr(type.size())), smtputf8);
  return orcpt ? std::move(*orcpt) : std::string();
}

Reply take_mail_parameter(const Parameter& parameter, const ParameterRules& rules,
                          MailCommand& command) {
  if (parameter.key == "SIZE") return take_size(parameter, rules, command);
  if (parameter.key == "BODY") return take_body(parameter, command);
  if (parameter.key == "RET") {  // RFC 3461 §4.3
    const std::string value = mail::ascii_lower(parameter.value);
    if (value != "full" && value != "hdrs") return syntax("RET is FULL or HDRS").error();
    command.ret = value == "full" ? mail::Ret::full : mail::Ret::headers;
    return {};
  }
  if (parameter.key == "ENVID") {  // RFC 3461 §4.4
    command.envid = envelope_id(parameter.value);
    return {};
  }
  if (parameter.key == "SMTPUTF8") {  // RFC 6531 §3.4
    if (parameter.has_value) return syntax("SMTPUTF8 takes no value").error();
    command.smtputf8 = true;
    return {};
  }
  if (parameter.key == "AUTH" && rules.auth_offered) {  // RFC 4954 §5: understood, not used
    return parameter.value.empty() ? syntax("AUTH has no value").error() : Reply();
  }
  return not_offered(parameter.key).error();
}

/// RFC 3461 §4.1.
Reply take_notify(std::string_view value, RcptCommand& command) {
  std::string lower = mail::ascii_lower(value);
  std::string_view rest(lower);
  for (;;) {
    const std::string_view word = rest.substr(0, rest.find(','));
    if (word == "never") {
      command.notify |= mail::kNotifyNever;
    } else if (word == "success") {
      command.notify |= mail::kNotifySuccess;
    } else if (word == "failure") {
      command.notify |= mail::kNotifyFailure;
    } else if (word == "delay") {
      command.notify |= mail::kNotifyDelay;
    } else {
      return syntax("NOTIFY is NEVER, or some of SUCCESS,FAILURE,DELAY").error();
    }
    if (word.size() == rest.size()) break;
    rest.remove_prefix(word.size() + 1);
  }
  if ((command.notify & mail::kNotifyNever) != 0 && command.notify != mail::kNotifyNever) {
    return syntax("NOTIFY=NEVER can't stand with others").error();
  }
  return {};
}

}  // namespace

std::expected<MailCommand, Reply> parse_mail(std::string_view arguments,
                                             const ParameterRules& rules) {
  if (!take_keyword(arguments, "from:"))
    return refuse(501, mail::status::invalid_arguments, "the form is MAIL FROM:<address>");
  auto path = take_path(arguments, {5, 1, 7});
  if (!path) return std::unexpected(path.error());
  MailCommand command;
  command.reverse_path = std::move(*path);
  if (command.reverse_path && command.reverse_path->domain.empty()) {
    return refuse(501, {5, 1, 7}, "the sender's address has no domain");
  }
  const Reply problem = for_each_parameter(arguments, rules, [&](const Parameter& parameter) {
    return take_mail_parameter(parameter, rules, command);
  });
  if (problem.code != 0) return std::unexpected(problem);
  if (command.reverse_path && command.reverse_path->needs_smtputf8() && !command.smtputf8) {
    return refuse(553, mail::status::non_ascii_not_permitted,
                  "a non-ASCII address needs the parameter SMTPUTF8");
  }
  return command;
}

std::expected<RcptCommand, Reply> parse_rcpt(std::string_view arguments,
                                             const ParameterRules& rules, bool smtputf8) {
  if (!take_keyword(arguments, "to:"))
    return refuse(501, mail::status::invalid_arguments, "the form is RCPT TO:<address>");
  auto path = take_path(arguments, mail::status::bad_destination_syntax);
  if (!path) return std::unexpected(path.error());
  if (!*path)
    return refuse(501, mail::status::bad_destination_syntax, "the null path is no recipient");
  RcptCommand command;
  command.forward_path = std::move(**path);
  const Reply problem =
      for_each_parameter(arguments, rules, [&](const Parameter& parameter) -> Reply {
        if (parameter.key == "NOTIFY") return take_notify(parameter.value, command);
        if (parameter.key == "ORCPT") {  // RFC 3461 §4.2
          command.orcpt = original_recipient(parameter.value, smtputf8);
          return {};
        }
        return not_offered(parameter.key).error();
      });
  if (problem.code != 0) return std::unexpected(problem);
  if (command.forward_path.needs_smtputf8() && !smtputf8) {
    return refuse(553, mail::status::non_ascii_not_permitted,
                  "a non-ASCII address needs MAIL with SMTPUTF8");
  }
  return command;
}

}  // namespace waypost::smtp
