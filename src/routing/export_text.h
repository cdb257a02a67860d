// From the octets of an export to text, and a bounded list of what is wrong with it.
//
// Private to routing. Pure. Exports come from other people's shells and spreadsheets: a million
// defects must not become a million messages.
#pragma once

#include "waypost/routing/table.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::routing {

/// Problems of one export, at most kKept of them; take() adds a line that counts the rest.
class Complaints {
 public:
  static constexpr std::size_t kKept = 200;

  void error(std::string_view file, std::uint32_t line, std::uint32_t column, std::string message) {
    add(Problem{true, std::string(file), line, column, std::move(message)});
  }
  void warning(std::string_view file, std::uint32_t line, std::uint32_t column,
               std::string message) {
    add(Problem{false, std::string(file), line, column, std::move(message)});
  }
  bool has_errors() const { return errors_ > 0; }
  std::vector<Problem> take();

 private:
  void add(Problem problem);

  std::vector<Problem> errors_kept_, warnings_kept_;
  std::size_t errors_ = 0, warnings_ = 0;
  std::string last_file_;
};

/// UTF-8 without BOM and without NUL; nullopt: it is not, and `complaints` says where and what to
/// do. The view is into `content` or into `storage`.
std::optional<std::string_view> export_text(std::string_view file, std::string_view content,
                                            std::string& storage, Complaints& complaints);

/// With `instead` for each control character (C0, DEL, and C1 as UTF-8): terminals obey them.
std::string without_controls(std::string_view text, char instead);

/// In quotes, with what can't be seen made visible, cut at 80 octets (at a character's edge).
std::string quoted_excerpt(std::string_view text);

}  // namespace waypost::routing
