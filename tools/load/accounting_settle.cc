// From logs to figures, and which of them are wrong.
#include "load/accounting.h"
#include "load/units.h"

#include <algorithm>

namespace waypost::load {
namespace {

struct Figure {
  const char* word;
  std::uint64_t Accounting::* count;
  const char* sentence;
};

const std::vector<Figure>& wrong_figures() {
  static const std::vector<Figure> figures = {
      {"lost", &Accounting::lost, "accepted, but neither arrived nor reported nor queued"},
      {"unreported", &Accounting::unreported,
       "did not arrive, and NOTIFY=NEVER asked for no report: failed or lost"},
      {"unjudged", &Accounting::unjudged,
       "not judged: they have not arrived, and may still be queued; --admin-socket asks the "
       "gateway "
       "(or --queued, --queued-ids), --wait waits longer"},
      {"twice", &Accounting::arrived_twice, "arrived more than once"},
      {"wrong-address", &Accounting::wrong_address, "arrived at an address that they were not for"},
      {"changed", &Accounting::changed, "arrived, but not as they were sent"},
      {"bounced", &Accounting::bounced, "came back as failure reports"},
      {"refused", &Accounting::refused, "were refused, but should have been accepted"},
      {"queued", &Accounting::queued, "are still queued"},
      {"unsent", &Accounting::unsent, "were never sent: no connection held"},
      {"uninvited", &Accounting::uninvited, "arrived although they were refused or never sent"},
      {"unknown", &Accounting::unknown_delivered, "were for unknown addresses, and were delivered"},
      {"foreign", &Accounting::foreign_delivered, "were for foreign addresses, and were accepted"},
      {"foreign-refused", &Accounting::foreign_refused, "were for foreign addresses, and refused"},
  };
  return figures;
}

}  // namespace

const std::vector<std::string>& wrong_words() {
  static const std::vector<std::string> words = [] {
    std::vector<std::string> list;
    for (const auto& figure : wrong_figures()) list.emplace_back(figure.word);
    return list;
  }();
  return words;
}

void Ledger::settle_accepted(Accounting& sum, const VerifyRules& rules, const Message& message,
                             std::uint64_t sequence, const Recipient& one, bool& missing) const {
  const auto note = [&](const char* what) {
    example(sum, what, one.address, sequence, message.queue_id);
  };
  if (one.kind == 'u' && one.arrivals > 0) {
    ++sum.unknown_delivered;
    return note("unknown address, but delivered");
  }
  if (one.kind == 'f' && rules.foreign == ForeignRule::refuse) {
    ++sum.foreign_delivered;
    return note("foreign address, but accepted");
  }
  if (one.arrivals > 1) {
    ++sum.arrived_twice;
    return note("arrived more than once");
  }
  if (one.bounced) {
    ++(one.kind == 'u' ? sum.bounced_as_expected : sum.bounced);
    if (one.kind != 'u') {
      note(one.arrivals > 0 ? "arrived and was bounced too"
           : one.silent     ? "bounced, although NOTIFY=NEVER asked for no report"
                            : "bounced");
    }
    return;
  }
  if (one.arrivals == 1) {
    ++(one.changed ? sum.changed : one.at_old_system ? sum.at_old_system : sum.arrived_once);
    if (one.changed) note("changed");
    return;
  }
  if (rules.queued_ids.contains(std::string(message.queue_id)) ||
      rules.queued.holds(message.queue_id, one.address)) {
    ++sum.queued;
    return;
  }
  missing = true;
}

void Ledger::settle_one(Accounting& sum, const VerifyRules& rules, const Message& message,
                        std::uint64_t sequence, const Recipient& one, bool& missing) const {
  const auto note = [&](const char* what) {
    example(sum, what, one.address, sequence, message.queue_id);
  };
  ++sum.recipients;
  const bool refused = one.fate == 'r' || message.outcome == 'r';
  if (message.outcome == 'a' && !refused) {
    settle_accepted(sum, rules, message, sequence, one, missing);
  } else if (message.outcome == 'l' && !refused) {
    if (one.arrivals > 1) {
      ++sum.arrived_twice;
      note("arrived more than once");
    } else if (one.changed) {
      ++sum.changed;
      note("changed");
    } else {
      ++(one.arrivals == 1 ? sum.unacknowledged_arrived : sum.unacknowledged_missing);
    }
  } else if (one.arrivals > 0) {
    ++sum.uninvited;
    note(refused ? "refused, but delivered" : "never sent, but delivered");
  } else if (!refused) {
    ++sum.unsent;
  } else if (one.kind == 'k') {
    ++sum.refused;
    note("refused");
  } else if (one.kind == 'f' && rules.foreign == ForeignRule::deliver) {
    ++sum.foreign_refused;
    note("foreign address, refused");
  } else {
    ++sum.refused_as_expected;
  }
}

/// What arrived when, and when the sink misbehaved, on the clock of the first message.
void Ledger::settle_times(Accounting& sum) const {
  constexpr std::uint64_t kSecond = 1'000'000, kLongest = 86'400;
  std::uint64_t start = UINT64_MAX, last = 0;
  for (const auto& [id, run] : runs_)
    for (const auto& message : run.messages)
      if (message.outcome != 0) start = std::min(start, message.due_us);
  for (const auto at : arrived_at_us_) {
    const std::uint64_t second = at > start ? (at - start) / kSecond : 0;
    last = std::max(last, at);
    if (second >= kLongest) continue;
    if (sum.arrived_each_second.size() <= second) sum.arrived_each_second.resize(second + 1);
    ++sum.arrived_each_second[second];
  }
  const auto since_start = [start](std::uint64_t at) {
    return at > start ? static_cast<double>(at - start) / kSecond : 0.0;
  };
  for (const auto& change : fault_changes_) {
    if (change.begins) {  // until it ends, or for as long as anything came
      const double from = since_start(change.at_us);
      sum.faults.push_back({std::string(change.name), from, std::max(from, since_start(last))});
      continue;
    }
    for (auto fault = sum.faults.rbegin(); fault != sum.faults.rend(); ++fault)
      if (fault->name == change.name) {
        fault->until = since_start(change.at_us);
        break;
      }
  }
}

Accounting Ledger::settle(const VerifyRules& rules) {
  Accounting sum = sum_;
  std::uint64_t queue_left = rules.queued_messages;
  std::vector<const Recipient*> missing;
  for (const auto& [id, run] : runs_) {
    for (std::uint64_t sequence = 0; sequence < run.messages.size(); ++sequence) {
      const Message& message = run.messages[sequence];
      if (message.outcome == 0) continue;
      ++sum.messages;
      missing.clear();
      for (std::uint32_t i = 0; i < message.count; ++i) {
        const Recipient& one = run.recipients[message.first + i];
        bool is_missing = false;
        settle_one(sum, rules, message, sequence, one, is_missing);
        if (is_missing) missing.push_back(&one);
      }
      // Who got it elsewhere has been counted there.
      missing.resize(missing.size() - std::min<std::size_t>(missing.size(), message.elsewhere));
      if (missing.empty()) continue;
      if (!rules.queue_known) {
        sum.unjudged += missing.size();
        example(sum, "not judged", missing.back()->address, sequence, message.queue_id);
        continue;
      }
      if (queue_left > 0) {
        --queue_left;
        sum.queued += missing.size();
        continue;
      }
      for (const Recipient* one : missing) ++(one->silent ? sum.unreported : sum.lost);
      example(sum, missing.back()->silent ? "missing, no report asked for" : "lost",
              missing.back()->address, sequence, message.queue_id);
    }
  }
  for (const auto& figure : wrong_figures()) {
    const std::uint64_t count = sum.*figure.count;
    if (count == 0 || rules.allowed.contains(figure.word)) continue;
    sum.wrong.push_back(with_commas(count) + (count == 1 ? " recipient: " : " recipients: ") +
                        figure.sentence + " (" + figure.word + ")");
  }
  settle_times(sum);
  if (sum.messages == 0) sum.wrong.emplace_back("no message was sent at all");
  return sum;
}

}  // namespace waypost::load
