// A queue whose recipients are all of one wave, and what may be said to it.
#pragma once

#include "queue_fixture.h"

namespace waypost::queue::testing {

using routing::EntryState;

/// u0 to u9, all of wave w1: at t0 by h0 while it is active, else unchanged by h1.
inline std::shared_ptr<const routing::Router> wave(EntryState state,
                                                   const std::string& target = "t0") {
  routing::Options options;
  options.own_domains = {"corp.example"};
  options.target_domains = {{"t0.example", "h0"}, {"t2.example", "h2"}};
  options.pending_next_hop = "h1";
  auto& source = options.sources.emplace_back();
  source.kind = routing::TableSource::Kind::inline_yaml;
  for (int n = 0; n < 10; ++n) {
    routing::Entry entry;
    entry.address = {"u" + std::to_string(n), "corp.example"};
    entry.target = {"u" + std::to_string(n), target + ".example"};
    entry.state = state;
    entry.has_state = true;
    entry.wave = "w1";
    source.entries.push_back(entry);
  }
  std::vector<routing::Problem> problems;
  auto router = routing::Router::load(options, problems);
  EXPECT_TRUE(router) << (router ? "" : router.error().message);
  return *router;
}

class Review : public QueueTest {
 protected:
  Review() { router.set(wave(EntryState::active)); }

  static Command command(Verb verb, const std::string& hop = "") {
    Command made;
    made.verb = verb;
    made.selector.next_hop = hop;
    made.by = "ann";
    return made;
  }
  ControlResult say(const Command& what) {
    if (what.verb == Verb::suspend || what.verb == Verb::resume) queue->stand(what);
    ControlResult result = queue->control(what, Slice{0, 100000});
    settle();
    return result;
  }
  /// As inbound makes it while the wave is in this state.
  mail::Envelope mail_for(const std::vector<int>& users, EntryState state = EntryState::active) {
    auto made = envelope(users);
    for (auto& one : made.recipients) {
      const bool old = state == EntryState::pending || state == EntryState::rolled_back;
      one.target = old ? one.original : mail::Mailbox{one.original.local_part, "t0.example"};
      one.next_hop = old ? "h1" : "h0";
    }
    return made;
  }
  AskedAgain wave_says(EntryState state) {
    router.set(wave(state));
    AskedAgain sum;
    for (Slice slice{};;) {
      const AskedAgain some = queue->ask_again("w1", slice);
      sum.let_go += some.let_go;
      sum.in_delivery += some.in_delivery;
      sum.rerouted += some.rerouted;
      sum.suspended += some.suspended;
      sum.held += some.held;
      slice.from = some.next;
      if (slice.from == 0) break;
    }
    settle();
    return sum;
  }
  std::vector<std::string> last_targets(const FakeDeliverer& hop) const {
    return hop.seen.empty() ? std::vector<std::string>{} : hop.seen.back().targets;
  }
};

}  // namespace waypost::queue::testing
