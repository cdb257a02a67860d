// The truth about every message of a schedule, kept outside of the gateway, and the promises that
// it is held to. Whoever knows something tells the ledger; the ledger says what is wrong with it.
//
//   sender     offered, acknowledged or refused
//   spool      a commit begins and ends, a recipient is settled, what recovery found
//   next hop   a message was taken, a recipient was refused, a verdict was heard
//   operator   the table has changed, the gateway has gone down, what was said to the queue and of
//              the waves
#pragma once

#include "waypost/mail/envelope.h"
#include "waypost/ops/tracking.h"
#include "waypost/queue/queue.h"
#include "waypost/spool/spool.h"

#include "sim/routes.h"

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace waypost::sim {

/// A next hop has taken the message for this recipient.
struct Copy {
  unsigned life = 0;     // of the gateway
  bool heard = false;    // the gateway has read the verdict
  bool spoiled = false;  // ... behind a reply that was none, so it need not have understood
  mail::Mailbox address = {};
};

/// Of a recipient that the sender has named, or of a copy for a further target of its entry.
struct Fate {
  mail::Mailbox original;
  mail::Mailbox accepted = {};  // for which address it is stored
  bool is_copy = false;
  std::vector<mail::Mailbox> sharers = {};  // a copy: originals of others that have it, too
  std::uint8_t notify = mail::kNotifyUnset;
  bool acknowledged = false;
  std::vector<std::shared_ptr<Copy>> copies;
  unsigned refusals = 0;  // permanent ones, by a next hop
  spool::Settlement settled = spool::Settlement::open;
  SteadyTime settled_at{};
  unsigned reports = 0;  // of failure, stored
  unsigned reports_before_reopened = 0;
  bool may_fail = false;  // a reason to fail that is not a next hop's word
  bool untold = false;    // its report had no way to go
  /// What routing was when it was last seen in no delivery: whatever attempt comes asks that or
  /// what is later.
  std::size_t routes_from = 0;
  std::optional<std::size_t> lies_since = {};  // seen in a lane, untouched since these routes
  // What operators said. Until the journal has it, a crash may forget it.
  enum class GivenUp : std::uint8_t { no, bounced, deleted } given_up = GivenUp::no;
  bool held = false, hold_promised = false;
  struct Way {
    std::string hop;
    std::optional<Place> about = {};  // as the table had it then; nothing: nowhere
    bool promised = false, doubtful = false;
  };
  std::vector<Way> ways;  // rerouted
  bool of_report = false;
};

struct Letter {
  enum class Answer : std::uint8_t { none, acknowledged, refused };
  enum class Stored : std::uint8_t { no, trying, yes, refused, in_doubt };
  std::uint64_t number = 0;  // 0: a report
  std::string content;       // as the spool must have it, below our own Received field
  mail::ReversePath sender;
  std::vector<Fate> fates;
  Answer answer = Answer::none;
  Stored stored = Stored::no;
  QueueId id;
  WallTime accepted_at{};
  SteadyTime stored_at{};
  unsigned stored_in = 0;  // which life
  Duration took{};         // from acceptance, as it stands in the envelope, to the commit
  std::vector<std::size_t> stored_fates;  // by number in the stored envelope
  bool is_report() const { return number == 0; }
};

/// What a next hop took in one transaction.
struct Taken {
  std::string hop;
  std::vector<mail::Mailbox> recipients;  // those that it accepted
  std::string content;
  bool by_bdat = false;
  bool gateway_gone = false;  // it does not wait for the answer any more
};

class Ledger {
 public:
  explicit Ledger(Stage& stage) : stage_(stage) {}
  const std::string& wrong() const { return wrong_; }
  void accuse(std::string what);

  Letter& compose();
  Letter* by_sender(const mail::ReversePath& sender);
  void answered(Letter& letter, bool positive);

  void routes_are(const Routes& routes);
  void limits_are(const queue::Options& limits, Duration settled_within) {
    limits_ = limits;
    settled_within_ = settled_within;
  }

  /// Tells what the waves are until now; before the clock is set, too.
  void catch_up();
  void clock_jumped(Duration by);
  void disk_has_trouble() { disk_trouble_ = true; }
  void went_down(bool cleanly) {
    clean_stop_ = cleanly;
    down_at_ = stage_.clock.steady_now();
  }
  void commit_begins(QueueId id, const mail::Envelope& envelope, const std::string& content);
  void commit_ends(QueueId id, const Error* error);
  void settled(QueueId id, std::uint32_t recipient, spool::Settlement how);
  void tracked(const ops::TrackingEvent& event);
  /// `touched`: what it will do something to.
  void operator_says(const queue::Command& command, const std::vector<queue::Touched>& touched);
  /// It is done, and is to survive whatever comes.
  void operator_was_promised(const queue::Command& command,
                             const std::vector<queue::Touched>& touched);
  /// Something that may change the way of what waits.
  void said() { said_at_ = stage_.clock.steady_now(); }
  /// From `when` on nothing goes there any more.
  void hop_is_suspended(const std::string& hop, SteadyTime when) { suspended_[hop] = when; }
  void hop_is_resumed(const std::string& hop) { suspended_.erase(hop); }
  /// The same of whoever has an address there, or goes to one.
  void domain_is_suspended(const std::string& domain, SteadyTime when) {
    suspended_domains_[domain] = when;
  }
  void domain_is_resumed(const std::string& domain) { suspended_domains_.erase(domain); }
  void all_is_resumed() {
    suspended_.clear();
    suspended_domains_.clear();
  }
  /// What the gateway says of where everything waits.
  void waits(const std::vector<queue::ListedMessage>& listed);
  /// The same: what is in no delivery now can't go by what routing was before.
  void in_no_delivery(const std::vector<queue::ListedMessage>& listed);

  // Waves (ledger_waves.cc).
  const WaveBook& waves() const { return waves_; }
  /// It is acknowledged, and is to hold whatever comes.
  void wave_word(const WaveWord& word);
  void wave_word_in_vain(const WaveWord& word);
  /// The gateway says that it would change nothing.
  void wave_word_needless(const WaveWord& word);
  void waves_found(const std::vector<routing::WaveCommand>& commands, bool damaged);
  void doubt_found_waves() { waves_.doubt_what_was_found(); }
  void waves_accepted();
  /// What the gateway tells operators.
  void waves_told(const std::map<std::string, routing::EntryState>& told);
  /// When a schedule comes due next, if nobody sets the clock.
  SteadyTime next_wave_change() const;
  /// The next life begins with what recovery found.
  void recovered(const std::vector<spool::StoredMessage>& found);

  std::vector<std::shared_ptr<Copy>> taken(const Taken& taken);
  void refused_by_hop(const mail::ReversePath& sender, const mail::Mailbox* recipient,
                      const std::string& hop);

  /// The gateway says that it has nothing left to do.
  void all_done();
  struct Sums {
    std::uint64_t letters = 0, recipients = 0, copies = 0, doubled = 0, failed = 0, reports = 0;
    std::uint64_t bounced = 0, deleted = 0, held = 0, rerouted = 0;  // touched by operators
    std::uint64_t wave_words = 0, wave_words_in_vain = 0, wave_schedules_due = 0;
  };
  Sums sums() const;

 private:
  Letter* by_id(QueueId id);
  /// `strict`: the attempt that brings it has begun after all that operators have said.
  bool may_go(const Letter& letter, const Fate& fate, const mail::Mailbox& to,
              const std::string& hop, SteadyTime since, bool strict) const;
  WaveWord with_people(WaveWord word) const;
  void stand(SteadyTime when, WallTime clock);
  void check_held(const Letter& letter, const Fate& fate, const queue::ListedRecipient& one);
  static bool way_is_right(const Fate& fate, const Place& routed, const std::string& hop,
                           bool strict);
  /// Where this recipient goes by these routes; nullopt: nowhere, or it ends.
  static std::optional<Place> place_of(const Fate& fate, const Routes& routes);
  static bool is_gone(const Fate& fate, const Routes& routes);
  static bool is_held_by_routes(const Fate& fate, const Routes& routes);
  static bool waits_for_copy(const Letter& letter, const Fate& fate, const Place& place);
  static bool may_be_at(const Fate& fate, const mail::Mailbox& to, const Routes& routes);
  /// `test(routes)` for one of those that have held since.
  template <class Test>
  bool at_some_time(SteadyTime since, Test test) const {
    for (std::size_t i = 0; i < routes_.size(); ++i) {
      if (i + 1 < routes_.size() && routes_[i + 1].first < since) continue;
      if (test(routes_[i].second)) return true;
    }
    return false;
  }
  bool is_reached(const Letter& letter, const Fate& fate, bool heard) const;
  bool wall_stood_so(SteadyTime from, SteadyTime until) const;
  bool is_as_old_as(const Letter& letter, Duration limit) const;
  bool may_fail_so(const Letter& letter, const Fate& fate, const ops::TrackingEvent& event) const;
  template <class Each>
  void each_touched(const std::vector<queue::Touched>& touched, Each each);
  void check_content(const Letter& letter, const Taken& taken);
  void check_address(const Letter& letter, const mail::Mailbox& address, const Taken& taken);
  void check_copy(const Letter& letter, const Fate& fate, const Taken& taken);
  void check_suspended(const Letter& letter, const Fate& fate, const mail::Mailbox& address,
                       const Taken& taken);
  bool is_rerouted(const Fate& fate) const;
  std::optional<Place> about_now(const Fate& fate) const;
  static void forget_unpromised(Fate& fate);
  void note_found(Letter& letter);
  void check_found(Letter& letter, const spool::StoredMessage& stored);
  void check_missing(Letter& letter);
  Letter* told_about(const std::string& report);
  void check_notice(const std::string& report);
  void note_report(const std::string& content);
  std::string name(const Letter& letter, const Fate& fate) const;
  bool crash_may_lose(const Fate& fate) const;

  Stage& stage_;
  std::deque<Letter> letters_;
  std::map<QueueId, Letter*> ids_;
  std::map<std::string, Letter*> senders_;
  /// The table with what the waves were, from when on.
  std::vector<std::pair<SteadyTime, Routes>> routes_;
  Routes table_;
  WaveBook waves_;
  WallTime caught_up_{};  // by the wall clock
  std::string wrong_;
  SteadyTime down_at_{};
  queue::Options limits_;
  std::map<std::string, SteadyTime> suspended_, suspended_domains_;
  Sums said_;
  Duration settled_within_{};
  SteadyTime born_at_{}, said_at_{};
  /// How far the wall clock is ahead of where it began, from when on.
  std::vector<std::pair<SteadyTime, Duration>> wall_ahead_ = {{SteadyTime{}, Duration(0)}};
  unsigned life_ = 0;
  std::uint64_t composed_ = 0;
  bool disk_trouble_ = false, clean_stop_ = false;
};

/// Bare CR and LF made CRLF, and CRLF at the end: what DATA does to content.
std::string with_whole_lines(std::string_view content);

}  // namespace waypost::sim
