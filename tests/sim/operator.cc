// An operator who says things to the queue, without much sense but with all verbs.
#include "sim/world.h"

namespace waypost::sim {

using queue::Selector;
using queue::Verb;

Selector World::draw_selector(bool standing) {
  Chance& chance = stage_.chance;
  Selector selector;
  constexpr const char* kHops[] = {"workmail", "exchange", "internet"};
  switch (chance.below(standing ? 5 : 7)) {
    case 0:
      break;
    case 1:
      selector.next_hop = kHops[chance.below(3)];
      break;
    case 2:
      selector.recipient = "u" + std::to_string(chance.below(kUsers)) + "*";
      break;
    case 3:
      selector.sender = chance.odds(0.3) ? "<>" : "s*@*";
      break;
    case 4:
      selector.domain = chance.odds(0.5) ? kOwnDomain : kTargetDomain;
      break;
    case 5:
      selector.state =
          chance.odds(0.5) ? queue::RecipientState::held : queue::RecipientState::waiting;
      break;
    default:
      selector.older_than = chance.span(seconds(10), hours(1));
  }
  return selector;
}

void World::give_command() {
  if (!gateway_ || stopping_) return;
  Chance& chance = stage_.chance;
  constexpr Verb kVerbs[] = {Verb::hold,    Verb::hold,    Verb::release, Verb::release,
                             Verb::suspend, Verb::resume,  Verb::flush,   Verb::bounce,
                             Verb::remove,  Verb::reroute, Verb::reroute};
  queue::Command command;
  command.verb = kVerbs[chance.below(std::size(kVerbs))];
  command.by = "operator";
  const bool standing = command.verb == Verb::suspend || command.verb == Verb::resume;
  command.selector = draw_selector(standing);
  // The emergency: the next hop, or the new addresses, are stopped, then people are rolled back.
  if (command.verb == Verb::suspend && chance.odds(0.5)) {
    command.selector = {};
    if (chance.odds(0.3))
      command.selector.domain = kTargetDomain;
    else
      command.selector.next_hop = chance.odds(0.7) ? "workmail" : "exchange";
    stage_.agenda.at(stage_.in(chance.span(seconds(1), minutes(20))), [this] {
      if (act_ == Act::storm) change_routes();
    });
  }
  if (command.verb == Verb::suspend) suspensions_.push_back(command.selector);
  if (command.verb == Verb::resume && !suspensions_.empty())
    command.selector = suspensions_[chance.below(suspensions_.size())];
  if (command.verb == Verb::reroute) command.next_hop = chance.odds(0.5) ? "exchange" : "workmail";
  const bool final = command.verb == Verb::bounce || command.verb == Verb::remove;
  // Not the end of everything: the rest of the schedule is to tell something, too.
  if (final && command.selector.everything()) command.selector.recipient = "u1*";
  gateway_->say(command);
  stage_.agenda.at(stage_.in(seconds(2)), [this] { inspect(); });
}

/// False: a restart is needed first.
bool World::let_all_go() {
  for (const Verb verb : {Verb::resume, Verb::release}) {
    queue::Command command;
    command.verb = verb;
    command.by = "operator";
    gateway_->say(command);
  }
  return settle_waves();
}

}  // namespace waypost::sim
