// CSV rows to entries: which column is what, and what people get wrong.
#include "waypost/base/counted.h"
#include "waypost/base/spelling.h"
#include "waypost/routing/unseen.h"

#include "routing/csv_reader.h"
#include "routing/table_builder_impl.h"
#include "routing/text_encoding.h"

#include <algorithm>
#include <array>

namespace waypost::routing {
namespace {

constexpr std::array<std::string_view, 4> kColumns = {"address", "target", "state", "wave"};
// What the snapshot of a directory has besides: for its own use.
constexpr std::array<std::string_view, 2> kPassedOver = {"guid", "dn"};
constexpr std::array<std::string_view, 4> kStates = {"pending", "migrating", "active",
                                                     "rolled_back"};
constexpr std::size_t kMaxWave = 64;
constexpr std::size_t kAbsent = static_cast<std::size_t>(-1);

/// Which field of a row holds which column.
struct Layout {
  std::array<std::size_t, 4> index = {0, 1, 2, 3};
  std::size_t width = 4;
  bool header = false;  // then every row has as many columns as it
};

std::string folded(std::string_view text) {
  auto out = mail::ascii_lower(text);
  std::replace(out.begin(), out.end(), '-', '_');
  std::replace(out.begin(), out.end(), ' ', '_');
  return out;
}

std::string counted_columns(std::size_t many) { return counted(many, "column"); }

class Rows {
 public:
  Rows(TableBuilder::Impl& builder, std::string_view file, std::string_view text)
      : builder_(builder), file_(file), reader_(text, CsvReader::detect_separator(text)) {}

  void read() {
    source_ = builder_.table->intern_source(file_);
    bool first = true;
    while (reader_.next()) {
      if (const auto& defect = reader_.defect()) {
        builder_.error(file_, defect->line, defect->column, defect->message);
      } else if (!first || !is_header()) {
        row();
      } else if (!header()) {
        return;
      }
      first = false;
    }
    const auto& commented = reader_.commented_rows();
    if (commented.count > 0)
      warn_of_comments(builder_, file_, commented.first_line, commented.first, commented.count);
  }

 private:
  void error_at(const CsvReader::Field& field, std::string message) {
    builder_.error(file_, field.line, reader_.column_of(field), std::move(message));
  }

  bool is_header() const {
    bool known = false;
    for (const auto& field : reader_.fields()) {
      if (field.text.find('@') != std::string_view::npos) return false;
      const auto name = folded(field.text);
      known = known || name == "primarysmtpaddress" ||
              std::find(kColumns.begin(), kColumns.end(), name) != kColumns.end() ||
              !nearest_word(name, kColumns).empty();
    }
    return known;
  }

  bool header() {
    layout_.index.fill(kAbsent);
    layout_.header = true;
    std::vector<const CsvReader::Field*> unknown;
    layout_.width = reader_.fields().size();
    for (std::size_t i = 0; i < layout_.width; ++i) {
      const auto& field = reader_.fields()[i];
      const auto name = folded(field.text);
      if (name == "primarysmtpaddress" || name == "externalemailaddress") {
        error_at(field,
                 "this is an Exchange export, not a routing table; make one with Get-MailUser "
                 "-ResultSize Unlimited | Select-Object @{n='address';e={$_.PrimarySmtpAddress}},"
                 "@{n='target';e={$_.ExternalEmailAddress}} | Export-Csv -NoTypeInformation "
                 "-Encoding UTF8 table.csv");
        return false;
      }
      const auto column = std::find(kColumns.begin(), kColumns.end(), name);
      if (std::find(kPassedOver.begin(), kPassedOver.end(), name) != kPassedOver.end()) continue;
      if (column == kColumns.end()) {
        unknown.push_back(&field);
        continue;
      }
      auto& place = layout_.index[static_cast<std::size_t>(column - kColumns.begin())];
      if (place != kAbsent) {
        error_at(field, "column '" + std::string(*column) + "' is there twice");
        return false;
      }
      place = i;
    }
    for (const auto* field : unknown)
      if (!take_unknown(*field)) return false;
    for (const std::size_t needed : {0u, 1u}) {
      if (layout_.index[needed] != kAbsent) continue;
      builder_.error(file_, reader_.line(), 1,
                     "the header row has no column '" + std::string(kColumns[needed]) +
                         "'; the columns are address,target[,state[,wave]]");
      return false;
    }
    return true;
  }

  /// False: a column that may be meant would be left out, and with it what it says of people.
  bool take_unknown(const CsvReader::Field& field) {
    const auto name = folded(field.text);
    const auto message = "column " + quoted_text(field.text) + " is not known";
    const auto near = nearest_word(name, kColumns);
    const auto column = std::find(kColumns.begin(), kColumns.end(), near) - kColumns.begin();
    if (!near.empty() && layout_.index[static_cast<std::size_t>(column)] == kAbsent) {
      error_at(field, message + "; did you mean '" + std::string(near) +
                          "'? Correct it, or give it another name if it is none of ours");
      return false;
    }
    builder_.warning(file_, field.line, reader_.column_of(field),
                     message + " and ignored" + suggestion(name, kColumns));
    return true;
  }

  const CsvReader::Field* field(std::size_t column) const {
    const auto i = layout_.index[column];
    return i < reader_.fields().size() ? &reader_.fields()[i] : nullptr;
  }

  void row() {
    const auto& fields = reader_.fields();
    if (fields.size() > layout_.width) {
      const auto& extra = fields[layout_.width];
      return error_at(extra, "too many columns: expected " + std::to_string(layout_.width) +
                                 " at most, found " + std::to_string(fields.size()) +
                                 "; quote a value that holds a separator");
    }
    // Its last columns are those with a meaning when empty: a row that was cut would say it.
    if (layout_.header && fields.size() < layout_.width)
      return error_at(fields.back(), "the row has " + counted_columns(fields.size()) +
                                         ", the header row " + std::to_string(layout_.width) +
                                         "; was it cut off? What is empty needs its separator too");
    const auto* address = field(0);
    const auto* target = field(1);
    if (address == nullptr || target == nullptr)
      return error_at(fields.back(),
                      "the row has " + counted_columns(fields.size()) +
                          "; needed are address,target[,state[,wave]] separated by commas");
    RawEntry raw{.address = address->text,
                 .target = target->text,
                 .more_targets = {},
                 .state = {},
                 .wave = {},
                 .source = source_,
                 .line = reader_.line()};
    if (const auto* state = field(2); state != nullptr && !state->text.empty()) {
      auto known = std::find(kStates.begin(), kStates.end(), state->text);
      if (known == kStates.end())
        known = std::find(kStates.begin(), kStates.end(), folded(state->text));
      if (known == kStates.end())
        return error_at(
            *state, "unknown state " + quoted_text(state->text) + suggestion(state->text, kStates));
      raw.state = static_cast<EntryState>(known - kStates.begin());
    }
    if (const auto* wave = field(3); wave != nullptr && !check_wave(*wave, raw)) return;
    // Columns are needed for complaints alone, and counting characters costs.
    const auto before = builder_.problem_count();
    builder_.add(file_, raw);
    if (builder_.problem_count() != before) add_columns(*address, *target);
  }

  bool check_wave(const CsvReader::Field& wave, RawEntry& raw) {
    raw.wave = wave.text;
    auto unseen = unseen_complaint(wave.text);
    if (unseen.empty() && wave.text.size() <= kMaxWave) return true;
    error_at(wave, unseen.empty() ? "the wave's name is longer than 64 octets"
                                  : "the wave's name " + quoted_text(wave.text) + " " + unseen);
    return false;
  }

  void add_columns(const CsvReader::Field& address, const CsvReader::Field& target) {
    if (builder_.problems.empty()) return;
    auto& problem = builder_.problems.back();
    if (problem.file != file_ || problem.column != 0) return;
    const auto& place = problem.message.starts_with("the target") ? target : address;
    problem.line = place.line;
    problem.column = reader_.column_of(place);
  }

  TableBuilder::Impl& builder_;
  std::string_view file_;
  CsvReader reader_;
  Layout layout_;
  std::uint32_t source_ = 0;
};

}  // namespace

std::optional<std::string_view> source_text(TableBuilder::Impl& builder, std::string_view file_name,
                                            std::string_view content, std::string& storage) {
  const auto complain = [&](std::uint32_t line, std::uint32_t column, std::string message) {
    builder.error(file_name, line, column, std::move(message));
    return std::nullopt;
  };
  const auto text = decode_text(content, storage);
  if (!text) return complain(1, 1, text.error().message);
  const auto line_of = [&](std::size_t at) {
    const auto before = text->substr(0, at);
    return static_cast<std::uint32_t>(std::count(before.begin(), before.end(), '\n') + 1);
  };
  if (const auto bad = first_invalid_utf8(*text)) {
    const auto start = text->substr(0, *bad).rfind('\n');
    const auto column = start == std::string_view::npos ? *bad + 1 : *bad - start;
    return complain(line_of(*bad), static_cast<std::uint32_t>(column),
                    "the file is not UTF-8 (octet " +
                        std::to_string(static_cast<unsigned char>((*text)[*bad])) +
                        " here); save it as UTF-8, in Excel 'CSV UTF-8'");
  }
  if (const auto nul = text->find('\0'); nul != std::string_view::npos)
    return complain(line_of(nul), 1,
                    "the file holds NUL octets and is not text; save it as UTF-8 CSV");
  if (auto trouble = line_end_trouble(*text); trouble.line > 0) {
    builder.error(file_name, trouble.line, 1, std::move(trouble.message));
    if (trouble.no_lines) return std::nullopt;
  }
  return *text;
}

void warn_of_comments(TableBuilder::Impl& builder, std::string_view file, std::uint32_t line,
                      std::string_view first, std::size_t many) {
  builder.warning(file, line, 1,
                  quoted_text(first) + " is taken for a comment" +
                      (many > 1 ? (many == 2 ? ", as is " : ", as are ") +
                                      counted(many - 1, "line") + " like it"
                                : "") +
                      "; write '# ' before a comment, and an address that begins with '#' as " +
                      quoted_text("SMTP:" + std::string(first)));
}

void add_csv_rows(TableBuilder::Impl& builder, std::string_view file_name,
                  std::string_view content) {
  std::string storage;
  const auto text = source_text(builder, file_name, content, storage);
  if (!text) return;
  const auto rows = static_cast<std::size_t>(std::count(text->begin(), text->end(), '\n')) + 1;
  builder.table->reserve(rows, text->size());
  Rows(builder, file_name, *text).read();
}

}  // namespace waypost::routing
