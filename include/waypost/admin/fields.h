// The fields of one request to the admin API, read strictly.
//
// Fields: one per request, one thread. An action asks for each field that it knows, by name and
// type; what it did not ask for, what has another type, what stands twice and what is missing is
// refused by finish(), with the field's name and what was meant. Nothing is defaulted in silence:
// an empty text and an empty list are refused as well, for they would mean "any". An action looks
// at finish() before it does anything.
//
// The same questions read the JSON object of a POST and the query of a GET, so that what is read
// and what is done name things alike.
#pragma once

#include <boost/json/object.hpp>

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::admin {

enum class Need : std::uint8_t { optional, required };

/// What is wrong with one field; `field` is "" if it is the request as a whole.
struct FieldTrouble {
  std::string field;  // "selector.next_hop"
  std::string why;    // a sentence that names the field
};

class Fields {
 public:
  /// A POST: one JSON object; no octet at all is an object without members.
  static Fields of_body(std::string_view body);
  /// A GET: "wave=wave-3&ids=A&ids=B"; a name that stands more than once is a list.
  static Fields of_query(std::string_view query);

  /// Empty: not given. A text that is given is never empty.
  std::string text(std::string_view name, Need need = Need::optional);
  /// Empty: not given. A list that is given has members, and each is a text that is not empty.
  std::vector<std::string> texts(std::string_view name, Need need = Need::optional);
  /// False: not given, or given as false.
  bool flag(std::string_view name);
  /// A whole number from 0 to `most`.
  std::optional<std::uint64_t> count(std::string_view name, Need need = Need::optional,
                                     std::uint64_t most = std::numeric_limits<std::int64_t>::max());
  /// One of `words`; empty: not given, or none of them.
  std::string word(std::string_view name, std::span<const std::string_view> words,
                   Need need = Need::optional);
  /// An object in the object, which knows its own fields; what is wrong in it is told by finish()
  /// of the whole. In a query there are no groups: the fields stand side by side.
  Fields group(std::string_view name, Need need = Need::optional);

  bool has(std::string_view name) const;
  /// For what only the action can judge: `why` goes on after the name ("is over").
  void refuse(std::string_view name, std::string_view why);
  bool good() const;
  /// After the last question: everything that is wrong; empty: nothing is.
  std::vector<FieldTrouble> finish();

 private:
  struct Level;
  explicit Fields(std::shared_ptr<Level> level);
  const boost::json::value* take(std::string_view name, Need need);
  std::string path_of(std::string_view name) const;
  std::optional<std::string> text_of(std::string_view name, const boost::json::value& value);
  std::shared_ptr<Level> level_;
};

/// All of it as one sentence, for the answer.
std::string sentence_of(const std::vector<FieldTrouble>& troubles);

/// What a client needs to ask by GET: the object's texts, numbers, flags and lists of texts as a
/// query, "?wave=wave-3&from=0"; empty if it has no members.
std::string query_of(const boost::json::object& fields);

}  // namespace waypost::admin
