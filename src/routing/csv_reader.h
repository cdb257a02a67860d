// RFC 4180 records with their places.
//
// Private to routing. One pass over text that outlives the reader; fields are views into it, or
// into the reader's own memory when doubled quotes had to be undone (valid until the next record).
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::routing {

class CsvReader {
 public:
  struct Field {
    std::string_view text;       // blanks around an unquoted field are gone
    std::uint32_t line = 0;      // where the field begins
    std::size_t line_start = 0;  // offsets in the whole text
    std::size_t offset = 0;
    bool quoted = false;
  };
  struct Defect {
    std::uint32_t line = 0, column = 0;
    std::string message;
  };

  CsvReader(std::string_view text, char separator) : text_(text), separator_(separator) {}

  /// The next record that is neither blank nor a comment; false at the end. A record with a defect
  /// is returned without fields; reading goes on behind it.
  bool next();
  const std::vector<Field>& fields() const { return fields_; }
  std::uint32_t line() const { return record_line_; }  // where the record begins
  const std::optional<Defect>& defect() const { return defect_; }
  /// 1-based, in characters.
  std::uint32_t column_of(const Field& field) const;
  /// The separator that the first record speaks for: ',' unless it holds none but has ';' or tabs.
  static char detect_separator(std::string_view text);

 private:
  void read_plain(std::string_view row);
  void read_quoted();
  bool take_quoted_field(Field& field);
  std::uint32_t column_at(std::size_t line_start, std::size_t offset) const;
  void skip_line();

  std::string_view text_;
  char separator_;
  std::size_t at_ = 0, line_start_ = 0;
  std::uint32_t line_ = 1, record_line_ = 1;
  std::vector<Field> fields_;
  std::deque<std::string> unquoted_;
  std::optional<Defect> defect_;
};

}  // namespace waypost::routing
