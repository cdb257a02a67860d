#include "routing/csv_reader.h"

#include <algorithm>

namespace waypost::routing {
namespace {

std::string_view row_at(std::string_view text, std::size_t at) {
  const auto end = text.find('\n', at);
  return text.substr(at, end == std::string_view::npos ? text.size() - at : end - at);
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r'))
    text.remove_suffix(1);
  return text;
}

bool is_blank(char c) { return c == ' ' || c == '\t'; }

}  // namespace

char CsvReader::detect_separator(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const auto row = row_at(text, at);
    at += row.size() + 1;
    const auto content = trim(row);
    if (content.empty() || content.front() == '#') continue;
    std::size_t semicolons = 0, tabs = 0;
    bool inside = false;
    for (const char c : row) {
      if (c == '"') inside = !inside;
      if (inside) continue;
      if (c == ',') return ',';
      semicolons += c == ';';
      tabs += c == '\t';
    }
    if (semicolons > 0) return ';';
    return tabs > 0 ? '\t' : ',';
  }
  return ',';
}

bool CsvReader::next() {
  fields_.clear();
  unquoted_.clear();
  defect_.reset();
  while (at_ < text_.size()) {
    const auto row = row_at(text_, at_);
    const auto content = trim(row);
    if (content.empty() || is_comment(content)) {
      if (!content.empty()) note_comment(content);
      skip_line();
      continue;
    }
    ++records_;
    record_line_ = line_;
    line_start_ = at_;
    if (row.find('"') == std::string_view::npos) {
      read_plain(row);
      skip_line();
    } else {
      read_quoted();
    }
    if (defect_) fields_.clear();
    return true;
  }
  return false;
}

std::string_view CsvReader::commented_address(std::string_view line) {
  if (!line.starts_with('#')) return {};
  const auto token = line.substr(0, line.find_first_of(" \t\r,;\""));
  const auto at = token.find('@');
  return at != std::string_view::npos && at > 1 && at + 1 < token.size() ? token
                                                                         : std::string_view();
}

void CsvReader::note_comment(std::string_view content) {
  const auto address = commented_address(content);
  if (address.empty() || commented_rows_.count++ > 0) return;
  commented_rows_.first_line = line_;
  commented_rows_.first = address;
}

void CsvReader::skip_line() {
  const auto end = text_.find('\n', at_);
  at_ = end == std::string_view::npos ? text_.size() : end + 1;
  line_start_ = at_;
  ++line_;
}

void CsvReader::read_plain(std::string_view row) {
  std::size_t begin = 0;
  for (;;) {
    const auto end = row.find(separator_, begin);
    const auto raw =
        row.substr(begin, end == std::string_view::npos ? std::string_view::npos : end - begin);
    const auto text = trim(raw);
    const auto inside = text.empty() ? begin : static_cast<std::size_t>(text.data() - row.data());
    fields_.push_back(Field{text, line_, at_, at_ + inside, false});
    if (end == std::string_view::npos) return;
    begin = end + 1;
  }
}

// RFC 4180 §2: fields with quotes may hold separators, line breaks and doubled quotes.
void CsvReader::read_quoted() {
  for (;;) {
    while (at_ < text_.size() && is_blank(text_[at_]) && text_[at_] != separator_) ++at_;
    Field field{{}, line_, line_start_, at_, false};
    if (at_ < text_.size() && text_[at_] == '"') {
      if (!take_quoted_field(field)) return;
    } else {
      const auto rest = row_at(text_, at_);
      const auto raw = rest.substr(0, rest.find(separator_));
      field.text = trim(raw);
      if (const auto quote = raw.find('"'); quote != std::string_view::npos) {
        defect_ = Defect{line_, column_at(line_start_, at_ + quote),
                         "a quotation mark inside a field that is not quoted; put the whole field "
                         "in quotation marks and double those inside"};
        skip_line();
        return;
      }
      at_ += raw.size();
    }
    fields_.push_back(field);
    if (at_ < text_.size() && text_[at_] == separator_) {
      ++at_;
      continue;
    }
    skip_line();
    return;
  }
}

bool CsvReader::take_quoted_field(Field& field) {
  field.quoted = true;
  const auto opened_line = line_;
  const auto opened_start = line_start_;
  const auto opened = at_++;
  const auto begin = at_;
  std::string* joined = nullptr;
  std::size_t piece = begin;
  for (;; ++at_) {
    if (at_ >= text_.size()) {
      defect_ = Defect{opened_line, column_at(opened_start, opened),
                       "the quotation mark opened here is never closed"};
      // Everything behind it was read as one field; the next row may be well again.
      at_ = begin;
      line_ = opened_line;
      line_start_ = opened_start;
      skip_line();
      return false;
    }
    if (text_[at_] == '\n') {
      ++line_;
      line_start_ = at_ + 1;
    }
    if (text_[at_] != '"') continue;
    if (at_ + 1 >= text_.size() || text_[at_ + 1] != '"') break;
    if (joined == nullptr) joined = &unquoted_.emplace_back();
    joined->append(text_.substr(piece, at_ + 1 - piece));
    piece = ++at_ + 1;
  }
  if (joined != nullptr) {
    joined->append(text_.substr(piece, at_ - piece));
    field.text = *joined;
  } else {
    field.text = text_.substr(begin, at_ - begin);
  }
  ++at_;
  while (at_ < text_.size() && text_[at_] != separator_ &&
         (is_blank(text_[at_]) || text_[at_] == '\r'))
    ++at_;
  if (at_ < text_.size() && text_[at_] != separator_ && text_[at_] != '\n') {
    defect_ = Defect{line_, column_at(line_start_, at_),
                     "text behind the closing quotation mark; a quotation mark inside a quoted "
                     "field is written twice"};
    skip_line();
    return false;
  }
  return true;
}

std::uint32_t CsvReader::column_at(std::size_t line_start, std::size_t offset) const {
  std::uint32_t column = 1;
  for (auto i = line_start; i < std::min(offset, text_.size()); ++i)
    column += (static_cast<unsigned char>(text_[i]) & 0xC0) != 0x80;
  return column;
}

std::uint32_t CsvReader::column_of(const Field& field) const {
  return column_at(field.line_start, field.offset);
}

}  // namespace waypost::routing
