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

  /// Lines that begin with '#' are comments everywhere in a table of ours; in what other programs
  /// write only above the header row: below it '#' is data.
  enum class Comments { everywhere, above_first_row };

  CsvReader(std::string_view text, char separator, Comments comments = Comments::everywhere)
      : text_(text), separator_(separator), comments_(comments) {}

  /// Comments that look like a row: "#sales@corp.example,...", and the line of the first.
  struct CommentedRows {
    std::size_t count = 0;
    std::uint32_t first_line = 0;
    std::string_view first;  // "#sales@corp.example"
  };
  const CommentedRows& commented_rows() const { return commented_rows_; }

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
  /// "#sales@corp.example" at the front of a line: legal as an address, and a comment; else empty.
  static std::string_view commented_address(std::string_view line);

 private:
  void read_plain(std::string_view row);
  void read_quoted();
  bool take_quoted_field(Field& field);
  std::uint32_t column_at(std::size_t line_start, std::size_t offset) const;
  void skip_line();
  bool is_comment(std::string_view content) const {
    return content.front() == '#' && (comments_ == Comments::everywhere || records_ == 0);
  }
  void note_comment(std::string_view content);

  std::string_view text_;
  char separator_;
  Comments comments_;
  std::size_t records_ = 0;
  CommentedRows commented_rows_;
  std::size_t at_ = 0, line_start_ = 0;
  std::uint32_t line_ = 1, record_line_ = 1;
  std::vector<Field> fields_;
  std::deque<std::string> unquoted_;
  std::optional<Defect> defect_;
};

}  // namespace waypost::routing
