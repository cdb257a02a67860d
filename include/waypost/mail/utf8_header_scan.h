// Does a message need SMTPUTF8 for its header's sake? (RFC 6531 §3.4, RFC 6532 §3)
//
// Utf8HeaderScan: one per message; feed it the content in order, cut anywhere. It finds an octet
// above 127 in the header or in the header of a MIME part, however deep. What is a body does not
// count: neither text nor a message that is attached, which 8BITMIME carries (RFC 6532 §3.7). Where
// the boundaries can't be made out it errs towards "found". Bounded memory; never fails.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::mail {

class Utf8HeaderScan {
 public:
  void feed(std::string_view bytes);
  /// Of what has been fed.
  bool found() const { return found_; }

 private:
  enum class Where : unsigned char { header, body, unclear };
  void end_of_line();
  void end_of_field();
  bool is_delimiter(bool& closes) const;

  std::vector<std::string> boundaries_;  // of all multiparts so far
  std::string line_;                     // the beginning of the line, as much as can matter
  std::string field_;                    // Content-Type while it is collected
  Where where_ = Where::header;
  bool keep_field_ = false;
  bool found_ = false;
};

}  // namespace waypost::mail
