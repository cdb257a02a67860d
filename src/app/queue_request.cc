#include "app/queue_request.h"

#include <array>
#include <limits>

namespace waypost::app {
namespace {

using admin::Fields;
using admin::Need;
using queue::RecipientState;
using queue::Verb;

constexpr std::array kVerbs = {Verb::hold,  Verb::release, Verb::suspend, Verb::resume,
                               Verb::flush, Verb::bounce,  Verb::remove,  Verb::reroute};
constexpr std::array kStates = {RecipientState::ready, RecipientState::active,
                                RecipientState::waiting, RecipientState::held,
                                RecipientState::ended};

template <class Enum, std::size_t N>
std::optional<Enum> word_of(Fields& fields, std::string_view name, const std::array<Enum, N>& all,
                            Need need) {
  std::array<std::string_view, N> words;
  for (std::size_t i = 0; i < N; ++i) words[i] = to_string(all[i]);
  const std::string given = fields.word(name, words, need);
  for (std::size_t i = 0; i < N; ++i) {
    if (words[i] == given) return all[i];
  }
  return std::nullopt;
}

void read_ids(Fields& fields, queue::Selector& selector) {
  for (const std::string& text : fields.texts("ids")) {
    const auto id = QueueId::parse(text);
    if (id)
      selector.ids.push_back(*id);
    else
      fields.refuse("ids", "can't have '" + text + "': " + id.error().message);
  }
}

/// An age of zero would fit everything.
Duration read_age(Fields& fields, std::string_view name) {
  const auto age = fields.count(name);
  if (age && *age == 0) fields.refuse(name, "must be more than 0 microseconds");
  return Duration(static_cast<Duration::rep>(age.value_or(0)));
}

queue::Selector read_selector(Fields& fields) {
  queue::Selector selector;
  read_ids(fields, selector);
  selector.next_hop = fields.text("next_hop");
  selector.sender = fields.text("sender");
  selector.recipient = fields.text("recipient");
  selector.domain = fields.text("domain");
  selector.wave = fields.text("wave");
  selector.reply = fields.text("reply");
  selector.state = word_of(fields, "state", kStates, Need::optional);
  selector.older_than = read_age(fields, "older_us");
  selector.younger_than = read_age(fields, "younger_us");
  return selector;
}

/// What fits no mail at all is a typing mistake, never an empty queue.
void require_sense(Fields& fields, queue::Selector& selector) {
  for (const auto& [member, why] : queue::normalise(selector)) fields.refuse(member, why);
}

/// No selection means nothing, never everything.
void require_selection(Fields& fields, const queue::Selector& selector) {
  const bool all = fields.flag("all");
  if (!fields.good()) return;
  if (all && !selector.everything()) fields.refuse("all", "can't stand beside a selection");
  if (!all && selector.everything())
    fields.refuse("all",
                  "is not said, and nothing is selected: select what is meant, or say that "
                  "all is true");
}

QueueCursor read_cursor(Fields& fields, std::size_t shards) {
  QueueCursor cursor;
  cursor.shard = fields.count("shard", Need::optional, shards - 1).value_or(0);
  constexpr auto most = std::numeric_limits<std::uint32_t>::max();
  cursor.from = static_cast<std::uint32_t>(fields.count("from", Need::optional, most).value_or(0));
  return cursor;
}

void check_standing(Fields& fields, Fields& selection, const queue::Command& command) {
  const bool standing = command.verb == Verb::suspend || command.verb == Verb::resume;
  if (const std::string member(command.selector.about_queued_mail()); standing && !member.empty())
    selection.refuse(selection.has(member) ? member : member + "_us",
                     "can't be told of mail that is still to come, which " +
                         std::string(to_string(command.verb)) +
                         " is about as well; use hold and release");
  if (command.verb == Verb::reroute && command.next_hop.empty() && !fields.has("next_hop"))
    fields.refuse("next_hop", "is missing: where to reroute");
  if (command.verb != Verb::reroute && !command.next_hop.empty())
    fields.refuse("next_hop",
                  "is only for reroute: where to; what is selected by its next hop "
                  "stands in 'selector.next_hop'");
}

}  // namespace

QueueRequest read_queue_question(Fields& fields, std::size_t shards) {
  QueueRequest request;
  request.command.selector = read_selector(fields);
  require_sense(fields, request.command.selector);
  require_selection(fields, request.command.selector);
  request.cursor = read_cursor(fields, shards);
  return request;
}

QueueRequest read_queue_command(Fields& fields, std::size_t shards) {
  QueueRequest request;
  queue::Command& command = request.command;
  const auto verb = word_of(fields, "verb", kVerbs, Need::required);
  Fields selection = fields.group("selector");
  command.selector = read_selector(selection);
  command.dry_run = fields.flag("dry_run");
  command.reason = fields.text("reason");
  command.next_hop = fields.text("next_hop");
  // What stands ends by its own words, though nothing like it would be taken today.
  if (verb == Verb::resume)
    static_cast<void>(queue::normalise(command.selector));
  else
    require_sense(selection, command.selector);
  if (verb) {
    command.verb = *verb;
    check_standing(fields, selection, command);
  }
  require_selection(fields, command.selector);
  request.cursor = read_cursor(fields, shards);
  return request;
}

QueueRequest read_queue_export(Fields& fields, std::size_t shards) {
  QueueRequest request;
  Fields selection = fields.group("selector");
  request.command.selector = read_selector(selection);
  require_sense(selection, request.command.selector);
  request.command.reason = fields.text("reason");
  require_selection(fields, request.command.selector);
  request.cursor = read_cursor(fields, shards);
  return request;
}

}  // namespace waypost::app
