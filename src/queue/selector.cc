#include "queue/selector.h"

#include "waypost/queue/control.h"

#include <fnmatch.h>
#include <strings.h>

#include <algorithm>

namespace waypost::queue {

std::string_view to_string(RecipientState state) {
  switch (state) {
    case RecipientState::ready:
      return "ready";
    case RecipientState::active:
      return "active";
    case RecipientState::waiting:
      return "waiting";
    case RecipientState::held:
      return "held";
    case RecipientState::ended:
      return "ended";
  }
  return "";
}

std::string_view to_string(Verb verb) {
  switch (verb) {
    case Verb::hold:
      return "hold";
    case Verb::release:
      return "release";
    case Verb::suspend:
      return "suspend";
    case Verb::resume:
      return "resume";
    case Verb::flush:
      return "flush";
    case Verb::bounce:
      return "bounce";
    case Verb::remove:
      return "delete";
    case Verb::reroute:
      return "reroute";
  }
  return "";
}

bool Selector::everything() const { return *this == Selector{}; }

bool Selector::only_next_hop() const {
  Selector rest = *this;
  rest.next_hop.clear();
  return rest.everything();
}

std::string_view Selector::about_queued_mail() const {
  if (!ids.empty()) return "ids";
  if (state) return "state";
  if (!reply.empty()) return "reply";
  if (older_than > Duration::zero()) return "older";
  return younger_than > Duration::zero() ? "younger" : "";
}

bool matches_pattern(const std::string& pattern, const std::string& text) {
  return pattern.empty() || ::fnmatch(pattern.c_str(), text.c_str(), FNM_CASEFOLD) == 0;
}

bool needs_envelope(const Selector& selector) {
  return !selector.sender.empty() || !selector.recipient.empty() || !selector.domain.empty() ||
         !selector.wave.empty();
}

bool fits_sender(const mail::Envelope& envelope, const Selector& selector) {
  return selector.sender.empty() ||
         matches_pattern(selector.sender, mail::to_string(envelope.reverse_path));
}

bool fits_address(const mail::Mailbox& original, const mail::Mailbox* goes_to,
                  const Selector& selector) {
  const mail::Mailbox* const target =
      goes_to != nullptr && !goes_to->domain.empty() ? goes_to : nullptr;
  const auto same_domain = [&](const mail::Mailbox& mailbox) {
    return ::strcasecmp(mailbox.domain.c_str(), selector.domain.c_str()) == 0;
  };
  if (!selector.domain.empty() && !same_domain(original) &&
      (target == nullptr || !same_domain(*target)))
    return false;
  return selector.recipient.empty() || matches_pattern(selector.recipient, original.to_string()) ||
         (target != nullptr && matches_pattern(selector.recipient, target->to_string()));
}

}  // namespace waypost::queue
