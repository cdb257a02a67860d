// Content on the way in.
//
// DataDecoder: the octets behind DATA (RFC 5321 §4.1.1.4, §4.5.2). Only CRLF.CRLF ends them; dots
// are unstuffed only behind CRLF; a bare CR or LF is made CRLF and remembered. Slices go to the
// sink as large as they come. BareNewlineScan: octets of BDAT are left alone; it only notes whether
// a bare CR or LF is among them.
#pragma once

#include "waypost/smtp/server_dialogue.h"

#include <cstdint>
#include <string_view>

namespace waypost::smtp {

class DataDecoder {
 public:
  /// Consumes from the front of `input`; true when the end was consumed.
  bool feed(std::string_view& input, ServerHandler& sink, bool deliver);
  bool had_bare_newline() const { return had_bare_newline_; }
  /// Octets handed on so far.
  std::uint64_t octets() const { return octets_; }

 private:
  enum class At : std::uint8_t { line_start, in_line, cr, dot, dot_cr };
  void emit(std::string_view bytes, ServerHandler& sink, bool deliver);
  void emit_newline(ServerHandler& sink, bool deliver) { emit("\r\n", sink, deliver); }

  At at_ = At::line_start;
  bool had_bare_newline_ = false;
  std::uint64_t octets_ = 0;
};

class BareNewlineScan {
 public:
  void feed(std::string_view bytes);
  /// REQUIRES: no more content. A CR as last octet is bare.
  bool finish() const { return found_ || after_cr_; }

 private:
  bool found_ = false;
  bool after_cr_ = false;
};

}  // namespace waypost::smtp
