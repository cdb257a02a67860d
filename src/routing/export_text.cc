#include "routing/export_text.h"

#include "waypost/base/counted.h"
#include "waypost/routing/unseen.h"

#include "routing/text_encoding.h"

#include <algorithm>
#include <iterator>

namespace waypost::routing {
namespace {

struct Spot {
  std::uint32_t line = 1, column = 1;
};

/// The column counts characters, as editors do.
Spot spot_of(std::string_view text, std::size_t offset) {
  const auto before = text.substr(0, offset);
  const auto start = before.rfind('\n');
  const auto row = start == std::string_view::npos ? before : before.substr(start + 1);
  const auto characters = std::count_if(row.begin(), row.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  });
  return {static_cast<std::uint32_t>(std::count(before.begin(), before.end(), '\n') + 1),
          static_cast<std::uint32_t>(characters + 1)};
}

}  // namespace

void Complaints::add(Problem problem) {
  auto& kept = problem.error ? errors_kept_ : warnings_kept_;
  ++(problem.error ? errors_ : warnings_);
  last_file_ = problem.file;
  if (kept.size() < kKept) kept.push_back(std::move(problem));
}

std::vector<Problem> Complaints::take() {
  auto out = std::move(errors_kept_);
  out.insert(out.end(), std::make_move_iterator(warnings_kept_.begin()),
             std::make_move_iterator(warnings_kept_.end()));
  const auto unkept = errors_ + warnings_ - out.size();
  if (unkept > 0)
    out.push_back(Problem{false, last_file_, 0, 0,
                          "and " + counted(unkept, "more problem") + " of these kinds"});
  *this = Complaints();
  return out;
}

std::optional<std::string_view> export_text(std::string_view file, std::string_view content,
                                            std::string& storage, Complaints& complaints) {
  const auto text = decode_text(content, storage);
  if (!text) {
    complaints.error(file, 1, 1, text.error().message);
    return std::nullopt;
  }
  if (const auto bad = first_invalid_utf8(*text)) {
    const auto [line, column] = spot_of(*text, *bad);
    complaints.error(file, line, column,
                     "the file is not UTF-8 (octet " +
                         std::to_string(static_cast<unsigned char>((*text)[*bad])) +
                         " here); export it again with -Encoding UTF8");
    return std::nullopt;
  }
  if (const auto nul = text->find('\0'); nul != std::string_view::npos) {
    const auto [line, column] = spot_of(*text, nul);
    complaints.error(file, line, column,
                     "the file holds NUL octets and is not text; export it again with -Encoding "
                     "UTF8");
    return std::nullopt;
  }
  return *text;
}

std::string without_controls(std::string_view text, char instead) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto u = static_cast<unsigned char>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0u;
    const bool c1 = u == 0xC2 && next >= 0x80 && next <= 0x9F;
    out += u < 0x20 || u == 0x7f || c1 ? instead : text[i];
    if (c1) ++i;
  }
  return out;
}

std::string quoted_excerpt(std::string_view text) { return "'" + shown_text(text, 80) + "'"; }

}  // namespace waypost::routing
