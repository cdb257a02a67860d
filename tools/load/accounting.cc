#include "load/accounting.h"

#include "load/identity.h"
#include "load/recipient_mix.h"
#include "load/units.h"

#include <algorithm>
#include <charconv>

namespace waypost::load {
namespace {

constexpr std::size_t kMostExamples = 20;
constexpr std::uint64_t kMostMessages = 1ull << 32;

bool number(std::string_view text, std::uint64_t& into) {
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, into);
  return !text.empty() && parsed.ec == std::errc{} && parsed.ptr == end;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool same_address(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                            [](char x, char y) { return lower(x) == lower(y); });
}

void split_fields(std::string_view line, std::vector<std::string_view>& fields) {
  fields.clear();
  for (;;) {
    const auto tab = line.find('\t');
    fields.push_back(line.substr(0, tab));
    if (tab == std::string_view::npos) return;
    line.remove_prefix(tab + 1);
  }
}

/// Calls take(fields) for each whole line behind the first; the number of the first bad line, or 0.
template <class Take>
std::uint64_t each_line(std::string_view text, Take take) {
  std::vector<std::string_view> fields;
  std::uint64_t line_number = 1;
  auto end = text.find('\n');
  while (end != std::string_view::npos) {
    text.remove_prefix(end + 1);
    ++line_number;
    end = text.find('\n');
    if (end == std::string_view::npos) break;  // nothing, or a line that is not finished yet
    split_fields(text.substr(0, end), fields);
    if (!take(fields)) return line_number;
  }
  return 0;
}

Error bad_line(const std::string& name, std::uint64_t line) {
  return {ErrorKind::invalid, name + ":" + std::to_string(line) +
                                  ": this line is not of a log that waypost-load has written"};
}

}  // namespace

Result<> Ledger::add_sent(std::string text, const std::string& name) {
  texts_.push_back(std::move(text));
  const std::string_view all = texts_.back();
  std::vector<std::string_view> head;
  split_fields(all.substr(0, all.find('\n')), head);
  const auto id = head.size() == 2 ? parse_hex(head[1]) : std::nullopt;
  if (!id || head[0] != kSendMagic) {
    return fail(ErrorKind::invalid, name + ": not a log of waypost-load send");
  }
  if (runs_.contains(*id)) {
    return fail(ErrorKind::invalid,
                name + ": a log of run " + std::string(head[1]) + " has been read already");
  }
  Run& run = runs_[*id];
  const auto bad = each_line(all, [&](const Fields& fields) { return take_sent(run, fields); });
  if (bad != 0) return fail(bad_line(name, bad));
  return {};
}

// M seq at_us latency_us size digest outcome code queue-id { fate address expected }*
bool Ledger::take_sent(Run& run, const Fields& f) {
  std::uint64_t sequence = 0, at = 0, latency = 0;
  Message message;
  if (f.size() < 9 || (f.size() - 9) % 3 != 0 || f[0] != "M" || !number(f[1], sequence) ||
      !number(f[2], at) || !number(f[3], latency) || f[6].size() != 1 ||
      sequence >= kMostMessages) {
    return false;
  }
  const auto digest = parse_hex(f[5]);
  if (!digest || std::string_view("arln").find(f[6][0]) == std::string_view::npos) return false;
  message.due_us = at > latency ? at - latency : 0;
  message.digest = *digest;
  message.outcome = f[6][0];
  message.queue_id = f[8];
  message.first = run.recipients.size();
  for (std::size_t i = 9; i < f.size(); i += 3) {
    if (f[i].size() != 2) return false;
    Recipient one;
    one.fate = f[i][0];
    one.silent = f[i][1] == kGroupMember;
    one.kind = one.silent ? letter(RecipientKind::known) : f[i][1];
    one.address = f[i + 1];
    one.expected = f[i + 2] == "=" ? one.address : f[i + 2];
    run.recipients.push_back(one);
    ++message.count;
  }
  if (run.messages.size() <= sequence) run.messages.resize(sequence + 1);
  if (run.messages[sequence].outcome != 0) return false;
  run.messages[sequence] = message;
  return true;
}

Result<> Ledger::add_received(std::string text, const std::string& name, Receiver receiver) {
  reading_ = receiver;
  texts_.push_back(std::move(text));
  const std::string_view all = texts_.back();
  if (all.substr(0, all.find('\n')) != kSinkMagic) {
    return fail(ErrorKind::invalid, name + ": not a log of waypost-load sink --log");
  }
  const auto bad = each_line(all, [&](const Fields& fields) { return take_received(fields); });
  if (bad != 0) return fail(bad_line(name, bad));
  return {};
}

bool Ledger::take_received(const Fields& fields) {
  if (fields[0] == "R") return take_arrival(fields);
  if (fields[0] == "B") return take_report(fields);
  if (fields[0] == "F") return take_fault(fields);
  if (fields[0] != "X") return false;
  ++sum_.other_mail;
  return true;
}

Ledger::Message* Ledger::find(std::string_view run_hex, std::string_view sequence, Run*& run) {
  const auto id = parse_hex(run_hex);
  std::uint64_t index = 0;
  if (!id || !number(sequence, index)) return nullptr;
  const auto found = runs_.find(*id);
  if (found == runs_.end()) return nullptr;
  run = &found->second;
  if (index >= run->messages.size() || run->messages[index].outcome == 0) return nullptr;
  return &run->messages[index];
}

// R run seq digest-said digest-found at_us size sender { address }*
bool Ledger::take_arrival(const Fields& f) {
  if (f.size() < 9) return false;
  Run* run = nullptr;
  Message* message = find(f[1], f[2], run);
  const auto said = parse_hex(f[3]), seen = parse_hex(f[4]);
  std::uint64_t at = 0;
  if (!said || !seen || !number(f[5], at)) return false;
  if (message == nullptr) {
    ++sum_.other_mail;
    return true;
  }
  const bool changed = *said != message->digest || *seen != message->digest;
  Recipient* const first = run->recipients.data() + message->first;
  for (std::size_t i = 8; i < f.size(); ++i) {
    Recipient* const end = first + message->count;
    const auto meant = [&](const Recipient& one) {
      const bool as_sent = one.kind == 'u' || reading_ == Receiver::old_system;
      return same_address(as_sent ? one.address : one.expected, f[i]);
    };
    // Two addresses of one message may have the same target: each takes one arrival.
    Recipient* at_home = std::find_if(
        first, end, [&](const Recipient& one) { return one.arrivals == 0 && meant(one); });
    if (at_home == end) at_home = std::find_if(first, end, meant);
    if (at_home == end) {
      ++sum_.wrong_address;
      ++message->elsewhere;
      std::uint64_t sequence = 0;
      number(f[2], sequence);
      example(sum_, "at a wrong address", f[i], sequence, message->queue_id);
      continue;
    }
    arrived_at_us_.push_back(at);
    if (++at_home->arrivals == 1)
      sum_.delivery.add(at > message->due_us ? at - message->due_us : 0);
    at_home->changed = at_home->changed || changed;
    at_home->at_old_system = reading_ == Receiver::old_system;
  }
  return true;
}

// B run seq { address }*: the report names the address of the sender's RCPT, or the rewritten one.
bool Ledger::take_report(const Fields& f) {
  if (f.size() < 3) return false;
  Run* run = nullptr;
  const Message* message = find(f[1], f[2], run);
  if (message == nullptr) {
    ++sum_.other_mail;
    return true;
  }
  for (std::uint64_t i = message->first; i < message->first + message->count; ++i) {
    Recipient& one = run->recipients[i];
    for (std::size_t at = 3; at < f.size(); ++at) {
      if (same_address(one.address, f[at]) || same_address(one.expected, f[at])) one.bounced = true;
    }
  }
  return true;
}

// F at_us name begins|ends
bool Ledger::take_fault(const Fields& f) {
  FaultChange change;
  if (f.size() != 4 || !number(f[1], change.at_us)) return false;
  change.name = f[2];
  change.begins = f[3] == "begins";
  fault_changes_.push_back(change);
  return change.begins || f[3] == "ends";
}

void Ledger::example(Accounting& sum, const std::string& what, std::string_view address,
                     std::uint64_t sequence, std::string_view queue_id) const {
  if (sum.examples.size() >= kMostExamples) return;
  std::string text = what + ": message " + std::to_string(sequence) + " to " + std::string(address);
  if (!queue_id.empty() && queue_id != "-") text += ", queue id " + std::string(queue_id);
  sum.examples.push_back(std::move(text));
}

}  // namespace waypost::load
