#include "queue/selector.h"

#include "waypost/queue/control.h"
#include "waypost/routing/table.h"

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

namespace {

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

/// A domain in the form in which selectors have theirs, but for its case.
std::string compared(const std::string& domain) {
  if (is_ascii(domain) && !domain.ends_with('.')) return domain;
  auto normal = routing::normalise_domain(domain);
  return normal ? std::move(*normal) : domain;
}

std::string compared(const mail::Mailbox& address) {
  return mail::Mailbox{address.local_part, compared(address.domain)}.to_string();
}

bool has_wildcard(std::string_view text) {
  return text.find_first_of("*?[\\") != std::string_view::npos;
}

/// RFC 5321 §4.1.3, "[192.0.2.1]"; as a pattern it would be a set of characters.
bool is_literal(std::string_view domain) {
  return domain.size() > 2 && domain.front() == '[' && domain.back() == ']' &&
         domain.find_first_of(".:") != std::string_view::npos;
}

/// Where the last '@' stands that is none of a set; npos: there is none. An Error: a set or an
/// escape without end.
Result<std::size_t> place_of_at(std::string_view pattern) {
  std::size_t found = std::string_view::npos;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '@') found = i;
    if (pattern[i] == '\\') {
      if (++i == pattern.size())
        return fail(ErrorKind::invalid, "nothing stands behind its last '\\'");
      continue;
    }
    if (pattern[i] != '[') continue;
    auto end = i + 1;
    if (end < pattern.size() && (pattern[end] == '!' || pattern[end] == '^')) ++end;
    end = pattern.find(']', std::min(end + 1, pattern.size()));  // a ']' in front is one of the set
    if (end == std::string_view::npos)
      return fail(ErrorKind::invalid,
                  "its '[' has no ']'; close it, or write '\\[' for the character");
    i = end;
  }
  return found;
}

Result<std::string> normal_pattern_domain(std::string_view domain) {
  if (domain.ends_with('.')) domain.remove_suffix(1);
  if (domain.empty())
    return fail(ErrorKind::invalid, "nothing stands behind the '@'; '@*' is any domain");
  if (is_literal(domain)) return "\\[" + std::string(domain.substr(1, domain.size() - 2)) + "\\]";
  if (!has_wildcard(domain)) return routing::normalise_domain(domain);
  std::string out;
  for (std::size_t begin = 0; begin <= domain.size();) {
    const auto end = std::min(domain.find('.', begin), domain.size());
    const auto label = domain.substr(begin, end - begin);
    out += begin > 0 ? "." : "";
    if (is_ascii(label)) {
      out += label;
    } else if (has_wildcard(label)) {
      return fail(ErrorKind::invalid,
                  "'" + std::string(label) +
                      "' has a wildcard beside letters that are not ASCII, and domains are "
                      "compared as A-labels (xn--...); write this part whole, or as '*'");
    } else {
      const auto normal = routing::normalise_domain(label);
      if (!normal) return fail(normal.error());
      out += *normal;
    }
    begin = end + 1;
  }
  return out;
}

Result<std::string> normal_pattern(const std::string& given) {
  if (given.starts_with('<') || given.ends_with('>'))
    return fail(ErrorKind::invalid, "write it without the angle brackets");
  const auto pattern = mail::ascii_lower(given);
  const auto at = place_of_at(pattern);
  if (!at) return fail(at.error());
  if (*at != std::string_view::npos) {
    auto domain = normal_pattern_domain(std::string_view(pattern).substr(*at + 1));
    if (!domain) return domain;
    return pattern.substr(0, *at + 1) + *domain;
  }
  // RFC 5321 §4.1.1.3: the one address without a domain.
  if (pattern == "postmaster" || pattern.find_first_of("*?") != std::string::npos) return pattern;
  return fail(ErrorKind::invalid,
              "it has no '@' and so fits no address; '" + given + "@*' is this one in any domain");
}

Result<std::string> normal_domain(const std::string& given) {
  if (is_literal(given)) return mail::ascii_lower(given);
  if (given.find('@') != std::string::npos)
    return fail(ErrorKind::invalid, "only what stands behind the '@' belongs here");
  if (has_wildcard(given))
    return fail(ErrorKind::invalid,
                "it is one whole domain, no pattern; '--recipient *@*.example' takes patterns");
  return routing::normalise_domain(given);
}

}  // namespace

std::vector<SelectorTrouble> normalise(Selector& selector) {
  std::vector<SelectorTrouble> troubles;
  const auto take = [&](const char* member, std::string& text,
                        Result<std::string> (*normal)(const std::string&)) {
    if (text.empty()) return;
    if (auto done = normal(text))
      text = std::move(*done);
    else
      troubles.push_back({member, "can't be '" + text + "': " + done.error().message});
  };
  // "<>" is the null sender.
  if (selector.sender != "<>") take("sender", selector.sender, &normal_pattern);
  take("recipient", selector.recipient, &normal_pattern);
  take("domain", selector.domain, &normal_domain);
  return troubles;
}

bool matches_pattern(const std::string& pattern, const std::string& text) {
  return pattern.empty() || ::fnmatch(pattern.c_str(), text.c_str(), FNM_CASEFOLD) == 0;
}

bool needs_envelope(const Selector& selector) {
  return !selector.sender.empty() || !selector.recipient.empty() || !selector.domain.empty() ||
         !selector.wave.empty();
}

bool fits_sender(const mail::Envelope& envelope, const Selector& selector) {
  if (selector.sender.empty()) return true;
  const auto& sender = envelope.reverse_path;
  return matches_pattern(selector.sender, sender ? compared(*sender) : mail::to_string(sender));
}

bool fits_address(const mail::Mailbox& original, const mail::Mailbox* goes_to,
                  const Selector& selector) {
  const mail::Mailbox* const target =
      goes_to != nullptr && !goes_to->domain.empty() ? goes_to : nullptr;
  const auto same_domain = [&](const mail::Mailbox& mailbox) {
    return ::strcasecmp(compared(mailbox.domain).c_str(), selector.domain.c_str()) == 0;
  };
  if (!selector.domain.empty() && !same_domain(original) &&
      (target == nullptr || !same_domain(*target)))
    return false;
  return selector.recipient.empty() || matches_pattern(selector.recipient, compared(original)) ||
         (target != nullptr && matches_pattern(selector.recipient, compared(*target)));
}

}  // namespace waypost::queue
