#include "sim/ledger.h"

#include <algorithm>

namespace waypost::sim {
namespace {

using spool::Settlement;
/// An attempt asks routing at its begin and has several deadlines until its end.
constexpr auto kLongestAttempt = hours(2);

/// The value of a header field of `content`; empty: there is none.
std::string field(std::string_view content, std::string_view name) {
  const auto at = content.find("\r\n" + std::string(name) + ": ");
  if (at == std::string_view::npos) return {};
  const auto from = at + name.size() + 4;
  return std::string(content.substr(from, content.find("\r\n", from) - from));
}

}  // namespace

std::string with_whole_lines(std::string_view content) {
  std::string whole;
  for (std::size_t i = 0; i < content.size(); ++i) {
    const char c = content[i];
    if (c != '\r' && c != '\n') {
      whole += c;
      continue;
    }
    if (c == '\r' && i + 1 < content.size() && content[i + 1] == '\n') ++i;
    whole += "\r\n";
  }
  if (!whole.ends_with("\r\n")) whole += "\r\n";
  return whole;
}

void Ledger::accuse(std::string what) {
  stage_.journal.note("WRONG: {}", what);
  if (wrong_.empty()) wrong_ = std::move(what);
}

std::string Ledger::name(const Letter& letter, const Fate& fate) const {
  const std::string which = letter.is_report() ? "report " + letter.id.to_string()
                                               : "letter " + std::to_string(letter.number) + " (" +
                                                     letter.id.to_string() + ")";
  return which + " for " + fate.original.to_string();
}

Letter& Ledger::compose() {
  Letter& letter = letters_.emplace_back();
  letter.number = ++composed_;
  return letter;
}

Letter* Ledger::by_id(QueueId id) {
  const auto found = ids_.find(id);
  return found == ids_.end() ? nullptr : found->second;
}

Letter* Ledger::by_sender(const mail::ReversePath& sender) {
  if (!sender) return nullptr;
  for (Letter& letter : letters_) {
    if (letter.sender && *letter.sender == *sender) return &letter;
  }
  return nullptr;
}

void Ledger::answered(Letter& letter, bool positive) {
  letter.answer = positive ? Letter::Answer::acknowledged : Letter::Answer::refused;
  stage_.journal.note("letter {} is {}", letter.number, positive ? "acknowledged" : "refused");
  if (positive && letter.stored != Letter::Stored::yes)
    accuse("letter " + std::to_string(letter.number) + " was acknowledged before it was stored");
}

bool Ledger::may_go(const Letter& letter, const Fate& fate, const mail::Mailbox& to,
                    const std::string& hop, SteadyTime since, bool strict) const {
  for (std::size_t i = strict ? fate.routes_from : 0; i < routes_.size(); ++i) {
    if (i + 1 < routes_.size() && routes_[i + 1].first < since) continue;
    auto place = place_of(fate, routes_[i].second);
    if (!place && letter.is_report() && !limits_.report_next_hop.empty())
      place = Place{fate.original, limits_.report_next_hop};
    if (place && place->address == to && way_is_right(fate, *place, hop, strict)) return true;
  }
  return false;
}

void Ledger::commit_begins(QueueId id, const mail::Envelope& envelope, const std::string& content) {
  Letter* letter = nullptr;
  if (envelope.is_report) {
    letter = &letters_.emplace_back();
    letter->content = content;
    letter->fates.resize(1);
    letter->fates[0].original = envelope.recipients.at(0).original;
    letter->fates[0].of_report = true;
    check_notice(content);
  } else {
    letter = by_sender(envelope.reverse_path);
    const std::string number = field(content, "X-Number");
    for (Letter& other : letters_) {
      if (!other.is_report() && std::to_string(other.number) == number) letter = &other;
    }
    if (letter == nullptr) return accuse("a message that nobody sent is stored");
    const auto received = content.find("\r\nX-Number: ");
    // What is above is our Received field.
    if (received == std::string::npos || content.substr(received + 2) != letter->content)
      accuse("letter " + number + " is stored with other content than was sent");
  }
  if (letter->stored != Letter::Stored::no) accuse("letter is stored twice");
  if (const Letter* other = by_id(id); other != nullptr && other->stored != Letter::Stored::no)
    accuse("queue id " + id.to_string() + " is given twice");
  letter->stored = Letter::Stored::trying;
  letter->id = id;
  letter->accepted_at = envelope.accepted_at;
  ids_[id] = letter;
  for (std::size_t i = letter->fates.size(); i-- > 0;) {
    if (letter->fates[i].is_copy) letter->fates.erase(letter->fates.begin() + static_cast<long>(i));
  }
  letter->stored_fates.clear();
  for (const mail::Recipient& recipient : envelope.recipients) {
    const auto fate = std::find_if(letter->fates.begin(), letter->fates.end(),
                                   [&](const Fate& f) { return f.original == recipient.original; });
    if (fate == letter->fates.end()) return accuse("a recipient that nobody named is stored");
    letter->stored_fates.push_back(static_cast<std::size_t>(fate - letter->fates.begin()));
    if (recipient.copy == 0) {
      fate->accepted = recipient.target;
      continue;
    }
    for (const Fate& other : letter->fates) {
      if (other.is_copy && other.accepted == recipient.target)
        accuse(name(*letter, other) + ": a second copy for " + recipient.target.to_string());
    }
    Fate copy;
    copy.original = recipient.original;
    copy.accepted = recipient.target;
    copy.is_copy = true;
    copy.notify = mail::kNotifyNever;
    letter->stored_fates.back() = letter->fates.size();
    letter->fates.push_back(std::move(copy));
  }
  for (const mail::SharedCopy& shared : envelope.shared_copies)
    letter->fates[letter->stored_fates.at(shared.copy)].sharers.push_back(
        envelope.recipients.at(shared.of).original);
}

void Ledger::commit_ends(QueueId id, const Error* error) {
  Letter* letter = by_id(id);
  if (letter == nullptr) return;
  if (error != nullptr) {
    stage_.journal.note("{} is not stored: {}", id.to_string(), error->message);
    // After a failed sync nobody knows what the disk has.
    const bool doubt = error->kind == ErrorKind::read_only || error->kind == ErrorKind::cancelled;
    letter->stored = doubt ? Letter::Stored::in_doubt : Letter::Stored::refused;
    return;
  }
  stage_.journal.note("{} is stored", id.to_string());
  letter->stored = Letter::Stored::yes;
  letter->stored_at = stage_.clock.steady_now();
  letter->stored_in = life_;
  letter->took =
      std::clamp<Duration>(stage_.clock.now() - letter->accepted_at, Duration(0), hours(2));
  if (letter->is_report()) note_report(letter->content);
}

Letter* Ledger::told_about(const std::string& report) {
  const std::string reference = field(report, "References");
  Letter* about = nullptr;
  for (Letter& letter : letters_) {
    if (!letter.is_report() && reference == "<" + std::to_string(letter.number) + "@sim>")
      about = &letter;
  }
  if (about == nullptr) accuse("a report about nothing: " + reference);
  return about;
}

/// A notice is judged when it is written: a crash may come before anybody hears that it is stored,
/// and the life that finds it knows less of the clock than the one that wrote it.
void Ledger::check_notice(const std::string& report) {
  if (report.find("\r\nAction: delayed\r\n") == std::string::npos) return;
  const Letter* about = told_about(report);
  const Duration own = limits_.policy("workmail").delay_notice;
  if (about != nullptr && !is_as_old_as(*about, std::min(own, limits_.delay_notice)))
    accuse("letter " + std::to_string(about->number) + " is reported late too early");
}

void Ledger::note_report(const std::string& content) {
  Letter* about = told_about(content);
  if (about == nullptr || content.find("\r\nAction: failed\r\n") == std::string::npos) return;
  for (Fate& fate : about->fates) {
    const std::string line = "Final-Recipient: rfc822; " + fate.original.to_string() + "\r\n";
    if (content.find(line) == std::string::npos) continue;
    ++fate.reports;
    if (!fate.is_copy && fate.reports > fate.reports_before_reopened + 1)
      accuse(name(*about, fate) + ": failure is reported twice");
  }
}

void Ledger::settled(QueueId id, std::uint32_t recipient, Settlement how) {
  Letter* letter = by_id(id);
  if (letter == nullptr || recipient >= letter->stored_fates.size())
    return accuse("something unknown is settled");
  catch_up();
  Fate& fate = letter->fates[letter->stored_fates[recipient]];
  stage_.journal.note("{} is settled: {}", name(*letter, fate), static_cast<int>(how));
  if (fate.settled != Settlement::open) {
    return accuse(name(*letter, fate) +
                  " is settled twice: " + std::to_string(static_cast<int>(fate.settled)) +
                  ", then " + std::to_string(static_cast<int>(how)));
  }
  fate.settled = how;
  fate.settled_at = stage_.clock.steady_now();
  if (how == Settlement::delivered) {
    if (!is_reached(*letter, fate, true))
      accuse(name(*letter, fate) + " counts as delivered, but no next hop has said so");
    return;
  }
  const bool given_up = fate.given_up != Fate::GivenUp::no;
  if (fate.refusals == 0 && !fate.may_fail && !given_up)
    accuse(name(*letter, fate) + " counts as failed without a reason");
  const bool wanted = letter->sender && (fate.notify == mail::kNotifyUnset ||
                                         (fate.notify & mail::kNotifyFailure) != 0);
  if (how == Settlement::reported && fate.reports == 0 && !fate.untold)
    accuse(name(*letter, fate) + " counts as reported, but there is no report");
  const bool silently = fate.given_up == Fate::GivenUp::deleted;
  if (how == Settlement::failed && wanted && !letter->is_report() && !silently)
    accuse(name(*letter, fate) + " has failed and its sender is not told");
}

void Ledger::tracked(const ops::TrackingEvent& event) {
  catch_up();
  if (event.kind == ops::TrackingKind::reported && event.reply == "not sent") {
    const auto id = QueueId::parse(event.original_queue_id);
    if (Letter* letter = id ? by_id(*id) : nullptr; letter != nullptr) {
      // Only who has no way at all: to whom there is none just now is told later.
      if (letter->sender && routes_.back().second.waits(*letter->sender))
        accuse("letter " + std::to_string(letter->number) +
               ": its report is given up, though routing only can't decide now");
      for (Fate& fate : letter->fates) fate.untold = true;
    }
  }
  if (event.kind != ops::TrackingKind::failed && event.kind != ops::TrackingKind::deferred) return;
  Letter* letter = by_id(event.queue_id);
  if (letter == nullptr) return;
  stage_.journal.note("{} {} {}: {}", event.queue_id.to_string(), ops::to_string(event.kind),
                      event.recipient, event.reply);
  if (event.kind != ops::TrackingKind::failed) return;
  bool reason = false;
  for (Fate& fate : letter->fates) {
    if (fate.original.to_string() != event.recipient) continue;
    reason = reason || fate.given_up != Fate::GivenUp::no;
    if (fate.settled != Settlement::open || !may_fail_so(*letter, fate, event)) continue;
    fate.may_fail = reason = true;
  }
  if (!reason)
    accuse("letter " + std::to_string(letter->number) + ": " + std::string(event.recipient) +
           " fails too early: " + std::string(event.reply) + std::string(event.why));
}

std::vector<std::shared_ptr<Copy>> Ledger::taken(const Taken& taken) {
  std::vector<std::shared_ptr<Copy>> copies;
  Letter* letter = nullptr;
  const bool report = taken.content.starts_with("From: Mail Delivery System");
  const std::string number = report ? "" : field(taken.content, "X-Number");
  if (!report) {
    for (Letter& other : letters_) {
      if (!other.is_report() && std::to_string(other.number) == number) letter = &other;
    }
  } else {
    const std::string id = field(taken.content, "Message-ID");
    const auto parsed =
        QueueId::parse(id.substr(std::min<std::size_t>(1, id.size()), id.find('@') - 1));
    if (parsed) letter = by_id(*parsed);
  }
  if (letter == nullptr) {
    accuse("a next hop gets a message that nobody sent");
    return copies;
  }
  if (letter->stored != Letter::Stored::yes)
    accuse("letter " + number + " is delivered though it was never stored");
  check_content(*letter, taken);
  catch_up();
  const SteadyTime now = stage_.clock.steady_now();
  const SteadyTime since =
      taken.gateway_gone ? letter->stored_at : std::max(letter->stored_at, now - kLongestAttempt);
  for (const mail::Mailbox& recipient : taken.recipients) {
    const auto goes_there = [&](std::size_t fate) {
      return may_go(*letter, letter->fates[fate], recipient, taken.hop, since, !taken.gateway_gone);
    };
    // Whoever stands for this address, before whoever has come to it; the living before the dead.
    const auto& all = letter->stored_fates;
    const auto is_open = [&](std::size_t fate) {
      return letter->fates[fate].settled == Settlement::open && goes_there(fate);
    };
    auto at = std::find_if(all.begin(), all.end(), [&](std::size_t fate) {
      return letter->fates[fate].accepted == recipient && is_open(fate);
    });
    if (at == all.end()) at = std::find_if(all.begin(), all.end(), is_open);
    if (at == all.end()) at = std::find_if(all.begin(), all.end(), goes_there);
    if (at == letter->stored_fates.end()) {
      accuse("letter " + number + " goes to " + recipient.to_string() + " at " + taken.hop +
             ", which routing did not decide");
      continue;
    }
    Fate& fate = letter->fates[*at];
    stage_.journal.note("{} takes {} as {}", taken.hop, name(*letter, fate), recipient.to_string());
    check_copy(*letter, fate, taken);
    check_suspended(*letter, fate, recipient, taken);
    check_address(*letter, recipient, taken);
    copies.push_back(std::make_shared<Copy>(Copy{life_, false, false, recipient}));
    fate.copies.push_back(copies.back());
  }
  return copies;
}

void Ledger::check_content(const Letter& letter, const Taken& taken) {
  std::string_view got = taken.content;
  if (!letter.is_report()) {
    const auto own = got.find("\r\nX-Number: ");
    if (!got.starts_with("Received: ") || own == std::string_view::npos)
      return accuse("a next hop gets a message without our Received field");
    got.remove_prefix(own + 2);
  }
  const bool same = taken.by_bdat ? got == letter.content : got == with_whole_lines(letter.content);
  if (!same)
    accuse("letter " + std::to_string(letter.number) + " arrives with other content than was sent");
}

void Ledger::check_copy(const Letter& letter, const Fate& fate, const Taken& taken) {
  if (taken.gateway_gone) return;  // it could not hear the verdict
  if (fate.held) accuse(name(letter, fate) + " is delivered though an operator holds it");
  if (fate.settled != Settlement::open)
    accuse(name(letter, fate) + " is delivered after it was settled");
  for (const auto& copy : fate.copies) {
    if (copy->heard && copy->life == life_)
      accuse(name(letter, fate) + " is delivered twice though the first verdict was heard");
  }
}

/// By its original address or by the one that it really goes to, whatever it was accepted for.
void Ledger::check_suspended(const Letter& letter, const Fate& fate, const mail::Mailbox& address,
                             const Taken& taken) {
  if (taken.gateway_gone) return;
  const SteadyTime now = stage_.clock.steady_now();
  const auto stopped = suspended_.find(taken.hop);
  if (stopped != suspended_.end() && now > stopped->second)
    accuse(name(letter, fate) + " is delivered by " + taken.hop + ", which is suspended");
  for (const auto& [domain, when] : suspended_domains_) {
    if (now > when && (fate.original.domain == domain || address.domain == domain))
      accuse(name(letter, fate) + " is delivered to " + address.to_string() + ", and " + domain +
             " is suspended");
  }
}

/// Whoever it was meant for.
void Ledger::check_address(const Letter& letter, const mail::Mailbox& address, const Taken& taken) {
  if (taken.gateway_gone) return;
  for (const Fate& fate : letter.fates) {
    for (const auto& copy : fate.copies) {
      // A crash may have lost that it was delivered; then it may have failed since.
      const bool known =
          copy->heard && (copy->life == life_ || fate.settled == Settlement::delivered);
      if (known && copy->address == address)
        accuse(name(letter, fate) + ": " + address.to_string() + " gets the message twice");
    }
  }
}

void Ledger::refused_by_hop(const mail::ReversePath& sender, const mail::Mailbox* recipient,
                            const std::string& hop) {
  stage_.journal.note("{} refuses {} from {}", hop, recipient ? recipient->to_string() : "all",
                      mail::to_string(sender));
  catch_up();
  Letter* letter = by_sender(sender);
  if (letter == nullptr) {
    // A report: which one is not known before its content comes.
    for (Letter& other : letters_) {
      if (other.is_report() || !other.sender) ++other.fates.at(0).refusals;
      if (!other.sender) {
        for (Fate& fate : other.fates) ++fate.refusals;
      }
    }
    return;
  }
  for (Fate& fate : letter->fates) {
    if (recipient == nullptr || may_go(*letter, fate, *recipient, hop, SteadyTime{}, false))
      ++fate.refusals;
  }
}

}  // namespace waypost::sim
