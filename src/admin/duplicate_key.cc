#include "admin/duplicate_key.h"

#include <boost/json/basic_parser_impl.hpp>

#include <set>
#include <vector>

namespace waypost::admin {
namespace {

using boost::json::string_view;
using boost::system::error_code;

/// What boost::json::basic_parser calls; it keeps only the keys of the objects that are open.
struct KeyWatcher {
  static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_object_begin(error_code&) {
    open.emplace_back();
    return true;
  }
  bool on_object_end(std::size_t, error_code&) {
    open.pop_back();
    return true;
  }
  bool on_array_begin(error_code&) { return true; }
  bool on_array_end(std::size_t, error_code&) { return true; }
  bool on_key_part(string_view part, std::size_t, error_code&) {
    key.append(part.data(), part.size());
    return true;
  }
  bool on_key(string_view part, std::size_t, error_code&) {
    key.append(part.data(), part.size());
    if (!twice && !open.back().insert(key).second) twice = key;
    key.clear();
    return true;
  }
  bool on_string_part(string_view, std::size_t, error_code&) { return true; }
  bool on_string(string_view, std::size_t, error_code&) { return true; }
  bool on_number_part(string_view, error_code&) { return true; }
  bool on_int64(std::int64_t, string_view, error_code&) { return true; }
  bool on_uint64(std::uint64_t, string_view, error_code&) { return true; }
  bool on_double(double, string_view, error_code&) { return true; }
  bool on_bool(bool, error_code&) { return true; }
  bool on_null(error_code&) { return true; }
  bool on_comment_part(string_view, error_code&) { return true; }
  bool on_comment(string_view, error_code&) { return true; }

  std::vector<std::set<std::string>> open;
  std::string key;
  std::optional<std::string> twice;
};

}  // namespace

std::optional<std::string> duplicate_key(std::string_view text) {
  boost::json::basic_parser<KeyWatcher> parser{boost::json::parse_options()};
  error_code error;
  parser.write_some(false, text.data(), text.size(), error);
  return parser.handler().twice;
}

}  // namespace waypost::admin
