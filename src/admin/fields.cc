#include "waypost/admin/fields.h"

#include "waypost/base/spelling.h"

#include "admin/duplicate_key.h"

#include <boost/json.hpp>

#include <algorithm>
#include <charconv>

namespace waypost::admin {
namespace json = boost::json;

/// The whole request, or an object in it.
struct Fields::Level {
  std::string path;  // "" or "selector."
  json::object values;
  bool of_query = false;  // every value is a text, or a list of texts
  std::vector<std::string> asked;
  std::vector<std::shared_ptr<Level>> groups;
  std::shared_ptr<std::vector<FieldTrouble>> troubles =
      std::make_shared<std::vector<FieldTrouble>>();
};

namespace {

std::string_view kind_of(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      return "null";
    case json::kind::bool_:
      return "true or false";
    case json::kind::string:
      return "a string";
    case json::kind::array:
      return "a list";
    case json::kind::object:
      return "an object";
    default:
      return "a number";
  }
}

/// Why a text can't be meant; empty: it may be.
std::string unfit(std::string_view text) {
  if (text.empty()) return "is empty; leave it out if nothing is meant";
  const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; };
  if (std::any_of(text.begin(), text.end(), control))
    return "has a control character, such as a line break, in it";
  return {};
}

std::string quoted_name(std::string_view name) { return "'" + std::string(name) + "'"; }

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// RFC 3986 2.1; nullopt: a '%' without two hexadecimal digits. A '+' is a '+': addresses have it.
std::optional<std::string> percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

/// RFC 3986 2.3: what needs no escape.
std::string percent_encoded(std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto octet = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~' || c == '@';
    if (plain) {
      out += c;
    } else {
      out += '%';
      out += digits[octet >> 4];
      out += digits[octet & 15];
    }
  }
  return out;
}

}  // namespace

Fields::Fields(std::shared_ptr<Level> level) : level_(std::move(level)) {}

Fields Fields::of_body(std::string_view body) {
  auto level = std::make_shared<Level>();
  if (body.empty()) return Fields(level);
  boost::system::error_code error;
  json::value value = json::parse(json::string_view(body.data(), body.size()), error);
  if (error) {
    level->troubles->push_back({"", "the request is not JSON: " + error.message()});
  } else if (!value.is_object()) {
    level->troubles->push_back(
        {"", "the request must be a JSON object, not " + std::string(kind_of(value))});
  } else if (const auto twice = duplicate_key(body)) {
    level->troubles->push_back({*twice, quoted_name(*twice) + " stands twice"});
  } else {
    level->values = std::move(value.as_object());
  }
  return Fields(level);
}

Fields Fields::of_query(std::string_view query) {
  auto level = std::make_shared<Level>();
  level->of_query = true;
  while (!query.empty()) {
    const auto end = query.find('&');
    const std::string_view one = query.substr(0, end);
    query = end == std::string_view::npos ? std::string_view() : query.substr(end + 1);
    const auto equals = one.find('=');
    const auto name = percent_decoded(one.substr(0, equals));
    const auto value =
        equals == std::string_view::npos ? std::nullopt : percent_decoded(one.substr(equals + 1));
    if (!name || name->empty() || !value) {
      level->troubles->push_back({"",
                                  "the query must be NAME=VALUE&NAME=VALUE, with %XX for what "
                                  "is no letter or digit: '" +
                                      std::string(one) + "'"});
      continue;
    }
    auto& values = level->values[*name];
    if (!values.is_array()) values = json::array();
    values.as_array().emplace_back(*value);
  }
  return Fields(level);
}

std::string Fields::path_of(std::string_view name) const {
  return level_->path + std::string(name);
}

const json::value* Fields::take(std::string_view name, Need need) {
  if (std::find(level_->asked.begin(), level_->asked.end(), name) == level_->asked.end())
    level_->asked.emplace_back(name);
  const auto* found = level_->values.if_contains(name);
  if (found == nullptr && need == Need::required) refuse(name, "is missing");
  return found;
}

bool Fields::has(std::string_view name) const { return level_->values.contains(name); }

void Fields::refuse(std::string_view name, std::string_view why) {
  const std::string path = path_of(name);
  level_->troubles->push_back({path, quoted_name(path) + " " + std::string(why)});
}

bool Fields::good() const { return level_->troubles->empty(); }

/// A single text, of a query or of JSON; nullopt: it is none, which has been said.
std::optional<std::string> Fields::text_of(std::string_view name, const json::value& value) {
  const json::value* one = &value;
  if (level_->of_query) {
    if (value.as_array().size() != 1) {
      refuse(name, "stands more than once");
      return std::nullopt;
    }
    one = &value.as_array().front();
  }
  if (!one->is_string()) {
    refuse(name, "must be a string, not " + std::string(kind_of(*one)));
    return std::nullopt;
  }
  if (const auto why = unfit(one->as_string()); !why.empty()) {
    refuse(name, why);
    return std::nullopt;
  }
  return std::string(one->as_string());
}

std::string Fields::text(std::string_view name, Need need) {
  const auto* value = take(name, need);
  return value == nullptr ? std::string() : text_of(name, *value).value_or(std::string());
}

std::vector<std::string> Fields::texts(std::string_view name, Need need) {
  std::vector<std::string> all;
  const auto* value = take(name, need);
  if (value == nullptr) return all;
  if (!value->is_array()) {
    refuse(name, "must be a list of strings, not " + std::string(kind_of(*value)));
    return all;
  }
  if (value->as_array().empty()) refuse(name, "is an empty list; leave it out if nothing is meant");
  for (const auto& one : value->as_array()) {
    const std::string why =
        one.is_string() ? unfit(one.as_string())
                        : "must be a list of strings; one of it is " + std::string(kind_of(one));
    if (!why.empty()) {
      refuse(name, why);
      return {};
    }
    all.emplace_back(one.as_string());
  }
  return all;
}

bool Fields::flag(std::string_view name) {
  const auto* value = take(name, Need::optional);
  if (value == nullptr) return false;
  if (level_->of_query) {
    const auto text = text_of(name, *value);
    if (text && *text != "true" && *text != "false") refuse(name, "must be true or false");
    return text && *text == "true";
  }
  if (!value->is_bool()) refuse(name, "must be true or false, not " + std::string(kind_of(*value)));
  return value->is_bool() && value->as_bool();
}

std::optional<std::uint64_t> Fields::count(std::string_view name, Need need, std::uint64_t most) {
  const auto* value = take(name, need);
  if (value == nullptr) return std::nullopt;
  std::optional<std::uint64_t> number;
  if (level_->of_query) {
    const auto text = text_of(name, *value);
    if (!text) return std::nullopt;
    std::uint64_t parsed = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), parsed);
    if (error == std::errc() && end == text->data() + text->size()) number = parsed;
  } else if (value->is_uint64()) {
    number = value->as_uint64();
  } else if (value->is_int64() && value->as_int64() >= 0) {
    number = static_cast<std::uint64_t>(value->as_int64());
  }
  if (number && *number <= most) return number;
  refuse(name, "must be a whole number from 0 to " + std::to_string(most));
  return std::nullopt;
}

std::string Fields::word(std::string_view name, std::span<const std::string_view> words,
                         Need need) {
  std::string given = text(name, need);
  if (given.empty() || std::find(words.begin(), words.end(), given) != words.end()) return given;
  refuse(name, "can't be '" + given + "'" + suggestion(given, words));
  return {};
}

Fields Fields::group(std::string_view name, Need need) {
  if (level_->of_query) return *this;
  auto inner = std::make_shared<Level>();
  inner->path = path_of(name) + ".";
  inner->troubles = level_->troubles;
  if (const auto* value = take(name, need)) {
    if (value->is_object())
      inner->values = value->as_object();
    else
      refuse(name, "must be an object, not " + std::string(kind_of(*value)));
  }
  level_->groups.push_back(inner);
  return Fields(inner);
}

std::vector<FieldTrouble> Fields::finish() {
  const std::vector<std::string_view> known(level_->asked.begin(), level_->asked.end());
  for (const auto& member : level_->values) {
    const std::string_view name(member.key().data(), member.key().size());
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    refuse(name, "is not known here" + (known.empty() ? std::string("; this takes no fields")
                                                      : suggestion(name, known)));
  }
  for (const auto& group : level_->groups) Fields(group).finish();
  return *level_->troubles;
}

std::string sentence_of(const std::vector<FieldTrouble>& troubles) {
  std::string all;
  for (const auto& one : troubles) all += (all.empty() ? "" : "; ") + one.why;
  return all;
}

std::string query_of(const json::object& fields) {
  std::string query;
  const auto add = [&](std::string_view name, const json::value& value) {
    query += query.empty() ? '?' : '&';
    query += percent_encoded(name) + "=";
    query += value.is_string() ? percent_encoded(value.as_string()) : json::serialize(value);
  };
  for (const auto& [name, value] : fields) {
    if (!value.is_array()) {
      add(name, value);
      continue;
    }
    for (const auto& one : value.as_array()) add(name, one);
  }
  return query;
}

}  // namespace waypost::admin
