// What happened to one recipient. Permanence is a type, never a bool.
#pragma once

#include "waypost/mail/status.h"

#include <cstdint>
#include <string>

namespace waypost::mail {

enum class Fate : std::uint8_t { delivered, deferred, failed };
std::string_view to_string(Fate fate);

struct Outcome {
  Fate fate = Fate::deferred;
  EnhancedStatus status;     // the remote's if it gave one, else derived from the basic code
  std::string reply;         // the remote reply, or our own words; one line, no control characters
  bool from_remote = false;  // `reply` is what a remote server said (Diagnostic-Code: smtp)
  bool remote_has_dsn =
      false;               // delivered to a server that offered DSN, so it reports success, not we
  std::string remote_mta;  // host name that we talked to; empty: none
  std::string rewritten_sender = {};  // stood in MAIL FROM; empty: the envelope's reverse-path
};

}  // namespace waypost::mail
