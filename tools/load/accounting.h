// Compares what was sent with what arrived: a fate for each recipient of each message.
//
// Ledger: one thread. add_sent() and add_received() take the text of whole logs (journal.h has the
// formats) and keep views into it; settle() gives the figures and says which are wrong.
#pragma once

#include "waypost/base/result.h"

#include "load/histogram.h"
#include "load/journal.h"
#include "load/queued_mail.h"

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace waypost::load {

/// A fault of the sink's schedule, in seconds since the first message was due.
struct FaultSpan {
  std::string name;
  double from = 0, until = 0;
};

/// Fates of recipients, counted.
struct Accounting {
  std::uint64_t messages = 0, recipients = 0;
  // As it should be.
  std::uint64_t arrived_once = 0, refused_as_expected = 0, bounced_as_expected = 0,
                unacknowledged_arrived = 0, unacknowledged_missing = 0,
                at_old_system = 0;  // once, at the address that it was sent to, there
  // Wrong, unless allowed.
  std::uint64_t arrived_twice = 0, wrong_address = 0, changed = 0, bounced = 0, refused = 0,
                queued = 0, lost = 0, unreported = 0, unjudged = 0, unsent = 0, uninvited = 0,
                unknown_delivered = 0, foreign_delivered = 0, foreign_refused = 0;
  std::uint64_t other_mail = 0;                    // at the sink, of no run or of another
  Histogram delivery;                              // from when the message was due to its arrival
  std::vector<std::uint64_t> arrived_each_second;  // recipients, since the first message was due
  std::vector<FaultSpan> faults;
  std::vector<std::string> examples;
  std::vector<std::string> wrong;  // one sentence for each figure that fails the run
  bool good() const { return wrong.empty(); }
};

enum class ForeignRule : std::uint8_t { either, deliver, refuse };

struct VerifyRules {
  std::unordered_set<std::string> allowed;  // words of wrong_words(): figures that may be above 0
  ForeignRule foreign = ForeignRule::either;
  std::uint64_t queued_messages = 0;           // by number: which ones is not known
  std::unordered_set<std::string> queued_ids;  // by queue id, with all their recipients
  QueuedMail queued;                           // by queue id and recipient
  /// Nobody has told what is still queued: what is missing may be there, and is not called lost.
  bool queue_known = true;
};

/// Whose log it is: the new system gets rewritten addresses, the old one those that were sent.
enum class Receiver : std::uint8_t { new_system, old_system };
/// "twice", "wrong-address", "changed", "bounced", "refused", "queued", "lost", "unsent", ...
const std::vector<std::string>& wrong_words();

class Ledger {
 public:
  /// ErrorKind::invalid: "FILE:LINE: what is wrong". `name` is the file's.
  Result<> add_sent(std::string text, const std::string& name);
  Result<> add_received(std::string text, const std::string& name,
                        Receiver receiver = Receiver::new_system);
  /// Call once, when all logs are in.
  Accounting settle(const VerifyRules& rules);

 private:
  struct Recipient {
    std::string_view address, expected;
    char fate = 'n', kind = 'k';
    bool changed = false, bounced = false, at_old_system = false;
    bool silent = false;  // NOTIFY=NEVER: a failure is told to nobody
    std::uint32_t arrivals = 0;
  };
  struct Message {
    std::uint64_t due_us = 0, digest = 0;
    char outcome = 0;  // 0: there is no such message
    std::string_view queue_id;
    std::uint64_t first = 0;  // in recipients
    std::uint32_t count = 0;
    std::uint32_t elsewhere = 0;  // arrivals at addresses that it was not for
  };
  struct Run {
    std::vector<Message> messages;
    std::vector<Recipient> recipients;
  };
  using Fields = std::vector<std::string_view>;
  bool take_sent(Run& run, const Fields& fields);
  bool take_received(const Fields& fields);
  bool take_arrival(const Fields& fields);
  bool take_report(const Fields& fields);
  bool take_fault(const Fields& fields);
  void settle_times(Accounting& sum) const;
  Message* find(std::string_view run_hex, std::string_view sequence, Run*& run);
  void example(Accounting& sum, const std::string& what, std::string_view address,
               std::uint64_t sequence, std::string_view queue_id) const;
  void settle_one(Accounting& sum, const VerifyRules& rules, const Message& message,
                  std::uint64_t sequence, const Recipient& one, bool& missing) const;
  void settle_accepted(Accounting& sum, const VerifyRules& rules, const Message& message,
                       std::uint64_t sequence, const Recipient& one, bool& missing) const;

  std::deque<std::string> texts_;
  std::unordered_map<std::uint64_t, Run> runs_;
  Receiver reading_ = Receiver::new_system;
  struct FaultChange {
    std::uint64_t at_us = 0;
    std::string_view name;
    bool begins = false;
  };
  std::vector<std::uint64_t> arrived_at_us_;
  std::vector<FaultChange> fault_changes_;
  Accounting sum_;  // what is counted while reading
};

}  // namespace waypost::load
