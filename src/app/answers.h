// What the admin API's actions share: JSON in, JSON out. Private to app.
#pragma once

#include "waypost/admin/fields.h"
#include "waypost/admin/server.h"
#include "waypost/base/clock.h"
#include "waypost/base/printable.h"

#include <boost/json.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace waypost::app {

/// Hidden characters of what other systems wrote are escaped, which changes no string's meaning.
inline admin::Answer answer_json(unsigned status, const boost::json::value& value) {
  return {status, "application/json", printable(boost::json::serialize(value)) + "\n"};
}

inline admin::Answer refuse_call(unsigned status, const std::string& why) {
  return answer_json(status, boost::json::object{{"error", why}});
}

/// What is wrong with a request's fields: nothing was done.
inline admin::Answer refuse_fields(const std::vector<admin::FieldTrouble>& troubles) {
  boost::json::array fields;
  for (const auto& one : troubles)
    if (!one.field.empty()) fields.emplace_back(one.field);
  return answer_json(400, boost::json::object{{"error", admin::sentence_of(troubles)},
                                              {"fields", std::move(fields)}});
}

/// The members of an answer; an empty object if it is none. Requests are read by admin::Fields.
inline boost::json::object object_of(std::string_view body) {
  boost::system::error_code error;
  auto value = boost::json::parse({body.data(), body.size()}, error);
  return !error && value.is_object() ? value.as_object() : boost::json::object();
}

inline std::string text_of(const boost::json::object& object, std::string_view key) {
  const auto* found = object.if_contains(key);
  return found != nullptr && found->is_string() ? std::string(found->as_string()) : std::string();
}

/// 0 if it is absent, negative or no number.
inline std::uint64_t count_of(const boost::json::object& object, std::string_view key) {
  const auto* found = object.if_contains(key);
  if (found == nullptr || !found->is_number()) return 0;
  boost::system::error_code error;
  const auto number = found->to_number<std::int64_t>(error);
  return error || number < 0 ? 0 : static_cast<std::uint64_t>(number);
}

inline bool flag_of(const boost::json::object& object, std::string_view key) {
  const auto* found = object.if_contains(key);
  return found != nullptr && found->is_bool() && found->as_bool();
}

}  // namespace waypost::app
