// What the programs print passes through here: nothing that another system wrote can steer the
// terminal, or end a line in the middle of a JSON object; and what could not be written is told.
//
// One thread.
#pragma once

#include "waypost/base/standard_descriptors.h"

#include <memory>
#include <ostream>
#include <string_view>

namespace waypost {

/// While it lives `stream` escapes as printable() does.
class PrintableOutput {
 public:
  explicit PrintableOutput(std::ostream& stream);
  ~PrintableOutput();
  PrintableOutput(const PrintableOutput&) = delete;
  PrintableOutput& operator=(const PrintableOutput&) = delete;

  /// Flushes. 0, or the errno of the first write that failed: what came out is not whole.
  int finish();
  /// Something was written, whether it came out or not.
  bool used() const;

 private:
  class Filter;
  std::ostream& stream_;
  std::unique_ptr<Filter> filter_;
  std::streambuf* before_;
};

/// What main() ends with: `exit_code`, or 74 (EX_IOERR) if something was printed that did not all
/// come out, which is told on standard error. Otherwise `table export > table.csv && ...` would go
/// on with a cut file on a full disk.
int exit_code_after(PrintableOutput& output, const DescriptorsAtStart& start,
                    std::string_view program, int exit_code);

}  // namespace waypost
