// What an operator may ask of the queue: look, hold, release, bring forward, give up, send another
// way. Plain values; the command line and the admin API share them.
#pragma once

#include "waypost/base/clock.h"
#include "waypost/base/queue_id.h"
#include "waypost/base/result.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::queue {

/// ready: waits for its turn. active: an attempt runs. waiting: for its next attempt. held: by a
/// wave that is migrating, by a command or by a suspension. ended: failed, its report is to come.
enum class RecipientState : std::uint8_t { ready, active, waiting, held, ended };
std::string_view to_string(RecipientState state);

/// What is meant. Everything that is set must fit; nothing set fits everything. Patterns are those
/// of a shell (`*`, `?`, `[...]`), without regard to case; `sender` of a null sender is "<>".
struct Selector {
  std::vector<QueueId> ids;
  std::string next_hop;   // configured name, exact
  std::string sender;     // pattern of the reverse-path
  std::string recipient;  // pattern of the original address, or of that where routing sends it now
  std::string domain;     // of one of these, exact
  std::string wave;       // exact
  std::string reply;      // pattern of the last answer
  std::optional<RecipientState> state;
  Duration older_than{};    // zero: any
  Duration younger_than{};  // zero: any

  bool everything() const;
  /// Only a next hop is named, or nothing: such a suspension stops the next hop as a whole.
  bool only_next_hop() const;
  /// The first of its members that says something of mail only once it is queued (ids, state,
  /// reply, age); empty: none, so it can be judged for mail that is still to come.
  std::string_view about_queued_mail() const;
  bool operator==(const Selector&) const = default;
};

/// What is wrong with one member of a selector.
struct SelectorTrouble {
  std::string member;  // "sender"
  std::string why;     // goes on after its name: "can't be '@x': ..."
};
/// Domains and patterns of addresses in the form in which mail is compared: lower case, no final
/// dot, A-labels. Gives the members that can fit no mail at all, which stay as they are: whoever
/// stops or looks for something must not be told that there is none because of a typing mistake.
std::vector<SelectorTrouble> normalise(Selector& selector);

enum class Verb : std::uint8_t { hold, release, suspend, resume, flush, bounce, remove, reroute };
std::string_view to_string(Verb verb);

struct Command {
  Verb verb = Verb::flush;
  Selector selector;
  bool dry_run = false;
  std::string by;        // who did it
  std::string reason;    // bounce: what the sender is told; else for the tracking log
  std::string next_hop;  // reroute: where to
};

/// Some recipients of one message.
struct Touched {
  QueueId id;
  std::vector<std::uint32_t> recipients;
  std::vector<std::string> routes;  // reroute: of each of them, what it is about (Reroute::of)
};

/// A walk through the queue in bounded steps, so that a million entries never stop the mail. What
/// comes or goes during the walk may be seen or not.
struct Slice {
  std::uint32_t from = 0;         // 0: the beginning; else `next` of the slice before
  std::uint32_t most_seen = 512;  // messages looked at
};

struct ControlResult {
  std::vector<Touched> touched;
  std::uint64_t recipients = 0;
  /// suspend: wait for the resume now. resume: have waited for it. flush and release: of those that
  /// are meant, wait behind a suspension all the same.
  std::uint64_t suspended = 0;
  /// Are meant, and left alone: an attempt runs, and the other server may have taken them already.
  std::uint64_t in_delivery = 0;
  std::uint32_t next = 0;  // 0: that was all
};

struct ListedRecipient {
  std::uint32_t index = 0;
  RecipientState state = RecipientState::ready;
  std::string address, target, next_hop, wave;  // no target, no next hop: routing sends it nowhere
  std::string why;                              // held: by what; waiting: the last answer
  std::uint32_t attempts = 0;
  WallTime next_attempt{};
};

struct ListedMessage {
  QueueId id;
  std::string message_id, sender, client;
  WallTime accepted_at{}, expires_at{};
  std::uint64_t size = 0;
  std::uint32_t recipients = 0, settled = 0;
  std::vector<ListedRecipient> open;  // those that were asked for
};

struct ListResult {
  std::vector<ListedMessage> messages;
  std::uint32_t next = 0;  // 0: that was all
};

}  // namespace waypost::queue
