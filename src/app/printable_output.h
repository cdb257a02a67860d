// What the subcommands print passes through here: nothing that another system wrote can steer the
// terminal, or end a line in the middle of a JSON object.
#pragma once

#include <memory>
#include <ostream>

namespace waypost::app {

/// While it lives `stream` escapes as printable() does.
class PrintableOutput {
 public:
  explicit PrintableOutput(std::ostream& stream);
  ~PrintableOutput();
  PrintableOutput(const PrintableOutput&) = delete;
  PrintableOutput& operator=(const PrintableOutput&) = delete;

 private:
  class Filter;
  std::ostream& stream_;
  std::unique_ptr<Filter> filter_;
  std::streambuf* before_;
};

}  // namespace waypost::app
