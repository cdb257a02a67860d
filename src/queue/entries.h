// What the queue keeps of each message. There may be a million of them: a waiting message with one
// recipient takes a Message, a Job and, while it waits, a timer (about 150 octets); whatever only
// few have, or only under way, is behind `live`.
#pragma once

#include "waypost/mail/envelope.h"
#include "waypost/mail/outcome.h"
#include "waypost/mail/report.h"
#include "waypost/spool/spool.h"

#include "queue/slab.h"

#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace waypost::queue {

/// Why it was deferred last. A thousand deferrals of one next hop share one; only recipients of one
/// job who were told different things have their own in it, for an answer often names an address.
struct Reply : boost::intrusive_ref_counter<Reply, boost::thread_unsafe_counter> {
  using Ref = boost::intrusive_ptr<const Reply>;
  using Own = std::vector<std::pair<std::uint32_t, Ref>>;  // in order of the recipients
  explicit Reply(mail::Outcome why, Own each = {})
      : outcome(std::move(why)), own(std::move(each)) {}
  const std::string& text() const { return outcome.reply; }
  const mail::Outcome& of(std::uint32_t recipient) const {
    const auto found =
        std::lower_bound(own.begin(), own.end(), recipient,
                         [](const auto& one, std::uint32_t wanted) { return one.first < wanted; });
    return found != own.end() && found->first == recipient ? found->second->outcome : outcome;
  }
  const mail::Outcome outcome;
  const Own own;
};
using ReplyRef = Reply::Ref;

/// Settled by nobody yet, because the sender is still to be told.
struct EndedRecipient {
  std::uint32_t index;
  mail::Outcome outcome;
  WallTime at{};
  mail::ReportAction action = mail::ReportAction::failed;
};

/// damage: the envelope can't be read, so nobody knows where it should go.
enum class HeldBy : std::uint8_t { wave, command, suspension, damage };
struct HeldRecipient {
  static constexpr std::uint16_t kNoHop = 0xFFFF;
  std::uint32_t index = 0;
  HeldBy by = HeldBy::wave;
  bool delay_told = false;
  std::uint16_t hop = kNoHop;  // where routing would send it now
};
static_assert(sizeof(HeldRecipient) == 8);

/// What a message has only under way, in trouble or held.
struct Live {
  std::shared_ptr<const mail::Envelope> envelope;
  std::vector<HeldRecipient> held;
  std::vector<EndedRecipient> ended;
  bool empty() const { return !envelope && held.empty() && ended.empty(); }
};

struct Message {
  QueueId id;
  WallTime accepted_at{};
  SteadyTime seen_at{};  // when this process first had it
  std::unique_ptr<Live> live;
  std::uint32_t slot = 0;
  std::uint32_t recipients = 0;
  std::uint32_t open = 0;        // recipients that are not settled
  std::uint32_t moving = 0;      // jobs that are ready or active: a report waits for them
  std::uint32_t generation = 0;  // tells a reused slot from the message that a timer was set for
  std::uint32_t first_job = Slab<int>::kNone;  // of its jobs, linked both ways
  std::uint32_t sender = 0;                    // hash of the reverse-path: its lane
  bool alive = false, marked_held = false, reporting = false, report_timer = false;
  bool is_report = false;
  bool restored = false;  // accepted by an earlier process

  spool::MessageRef ref() const { return {id, recipients, slot}; }
  Live& need_live() {
    if (!live) live = std::make_unique<Live>();
    return *live;
  }
  bool has_held() const { return live && !live->held.empty(); }
  bool has_ended() const { return live && !live->ended.empty(); }
};

/// Numbers of recipients; the usual single one needs no memory of its own.
class RecipientList {
 public:
  RecipientList() = default;
  explicit RecipientList(std::vector<std::uint32_t> all) {
    if (all.size() == 1) {
      only_ = all.front();
      size_ = 1;
    } else if (!all.empty()) {
      size_ = static_cast<std::uint32_t>(all.size());
      many_ = std::make_unique<std::uint32_t[]>(all.size());
      std::copy(all.begin(), all.end(), many_.get());
    }
  }
  const std::uint32_t* begin() const { return many_ ? many_.get() : &only_; }
  const std::uint32_t* end() const { return begin() + size_; }
  std::uint32_t operator[](std::size_t at) const { return begin()[at]; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

 private:
  std::unique_ptr<std::uint32_t[]> many_;
  std::uint32_t only_ = 0, size_ = 0;
};

enum class JobState : std::uint8_t { ready, active, waiting };

/// What routing said last of a job's recipients, to see whether it says something else now.
class RouteMark {
 public:
  void add(std::uint32_t recipient, const mail::Mailbox& target) {
    std::size_t hash = std::hash<std::string>()(target.local_part);
    hash = hash * 31 + std::hash<std::string>()(target.domain);
    mark_ += static_cast<std::uint32_t>((hash + recipient) * 0x9E3779B97F4A7C15ull >> 32);
    mark_ = std::max(mark_, kFirst);
  }
  /// Routing sends them nowhere: refused, deferred, or to wait for a copy at the same address.
  static RouteMark nowhere() {
    RouteMark mark;
    mark.mark_ = kNowhere;
    return mark;
  }
  bool is_nowhere() const { return mark_ == kNowhere; }
  /// False, too, if one of them is not known.
  bool differs(const RouteMark& other) const {
    return mark_ != kUnknown && other.mark_ != kUnknown && mark_ != other.mark_;
  }

 private:
  static constexpr std::uint32_t kUnknown = 0, kNowhere = 1, kFirst = 2;
  std::uint32_t mark_ = kUnknown;
};

/// Some recipients of a message that go to one next hop together.
struct Job {
  std::uint32_t message = 0;
  std::uint16_t hop = 0;
  std::uint16_t failures = 0;  // attempts in vain that count
  std::uint16_t attempts = 0;
  JobState state = JobState::ready;
  bool alive = false;
  bool delay_told = false;
  std::uint32_t generation = 0;
  RouteMark route;
  std::uint32_t previous = Slab<int>::kNone, next = Slab<int>::kNone;  // of the same message
  // In its lane while ready; when it is due while it waits.
  std::uint32_t lane_previous = Slab<int>::kNone, lane_next = Slab<int>::kNone;
  SteadyTime due{};
  RecipientList recipients;
  ReplyRef last_reply;
};

}  // namespace waypost::queue
