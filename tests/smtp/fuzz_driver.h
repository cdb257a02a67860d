// Drives a ServerDialogue as inbound would, from fuzzed bytes cut into pieces.
#pragma once

#include "smtp/dialog_stage.h"

#include <algorithm>

namespace waypost::smtp::testing {

struct Heard {
  std::string replies;
  std::vector<Accepted> accepted;
  bool operator==(const Heard&) const = default;
};

/// Replies and messages that come of `bytes`. Aborts if the dialogue leaves input lying.
inline Heard drive(std::string_view bytes, std::size_t piece, const ServerOptions& options) {
  DialogStage stage;
  ServerDialogue dialogue(options, stage);
  dialogue.assume_tls();
  Heard heard;
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    std::string_view input = bytes.substr(at, piece);
    for (bool more = true; more;) {
      const Step step = dialogue.advance(input);
      if (step == Step::authenticate) {
        dialogue.authenticated(stage.verify(dialogue.credentials()));
      } else if (step == Step::commit) {
        dialogue.committed(stage.commit());
      } else if (step == Step::need_input) {
        WAYPOST_INVARIANT(input.empty());
        more = false;
      } else {
        heard.replies += dialogue.output();
        heard.accepted = stage.accepted();
        return heard;
      }
    }
  }
  heard.replies += dialogue.output();
  heard.accepted = stage.accepted();
  return heard;
}

}  // namespace waypost::smtp::testing
