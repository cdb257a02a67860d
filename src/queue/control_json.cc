#include "waypost/queue/control_json.h"

#include "waypost/routing/waves.h"

#include "queue/json_values.h"

#include <array>

namespace waypost::queue {
namespace json = boost::json;
namespace {

constexpr std::array kVerbs = {Verb::hold,  Verb::release, Verb::suspend, Verb::resume,
                               Verb::flush, Verb::bounce,  Verb::remove,  Verb::reroute};
constexpr std::array kStates = {RecipientState::ready, RecipientState::active,
                                RecipientState::waiting, RecipientState::held,
                                RecipientState::ended};

void set(json::object& object, std::string_view key, const std::string& value) {
  if (!value.empty()) object[key] = value;
}

Result<std::string> text_of(const json::value& value, std::string_view key) {
  if (!value.is_string())
    return fail(ErrorKind::invalid, "'" + std::string(key) + "' must be a string");
  return std::string(value.as_string());
}

template <class Enum, std::size_t N>
Result<Enum> word_of(const std::array<Enum, N>& all, const json::value& value,
                     std::string_view key) {
  const auto text = text_of(value, key);
  if (!text) return fail(text.error());
  for (const Enum one : all) {
    if (to_string(one) == *text) return one;
  }
  return fail(ErrorKind::invalid, "'" + *text + "' is no " + std::string(key));
}

Result<> read_ids(const json::value& value, Selector& selector) {
  if (!value.is_array()) return fail(ErrorKind::invalid, "'ids' must be a list of queue ids");
  for (const auto& one : value.as_array()) {
    const auto text = text_of(one, "ids");
    if (!text) return fail(text.error());
    const auto id = QueueId::parse(*text);
    if (!id) return fail(id.error());
    selector.ids.push_back(*id);
  }
  return {};
}

}  // namespace

json::object selector_object(const Selector& selector) {
  json::object object;
  if (!selector.ids.empty()) {
    json::array ids;
    for (const QueueId id : selector.ids) ids.emplace_back(id.to_string());
    object["ids"] = std::move(ids);
  }
  set(object, "next_hop", selector.next_hop);
  set(object, "sender", selector.sender);
  set(object, "recipient", selector.recipient);
  set(object, "domain", selector.domain);
  set(object, "wave", selector.wave);
  set(object, "reply", selector.reply);
  if (selector.state) object["state"] = to_string(*selector.state);
  if (selector.older_than > Duration::zero()) object["older_us"] = selector.older_than.count();
  if (selector.younger_than > Duration::zero())
    object["younger_us"] = selector.younger_than.count();
  return object;
}

Result<Selector> selector_from(const json::value& value) {
  if (!value.is_object()) return fail(ErrorKind::invalid, "'selector' must be an object");
  Selector selector;
  for (const auto& member : value.as_object()) {
    const std::string_view key(member.key().data(), member.key().size());
    std::string* const field = key == "next_hop"    ? &selector.next_hop
                               : key == "sender"    ? &selector.sender
                               : key == "recipient" ? &selector.recipient
                               : key == "domain"    ? &selector.domain
                               : key == "wave"      ? &selector.wave
                               : key == "reply"     ? &selector.reply
                                                    : nullptr;
    if (field != nullptr) {
      auto text = text_of(member.value(), key);
      if (!text) return fail(text.error());
      *field = std::move(*text);
    } else if (key == "ids") {
      if (auto read = read_ids(member.value(), selector); !read) return fail(read.error());
    } else if (key == "state") {
      const auto state = word_of(kStates, member.value(), key);
      if (!state) return fail(state.error());
      selector.state = *state;
    } else if ((key == "older_us" || key == "younger_us") && member.value().is_int64()) {
      (key == "older_us" ? selector.older_than : selector.younger_than) =
          Duration(member.value().as_int64());
    } else {
      return fail(ErrorKind::invalid, "'" + std::string(key) + "' makes no sense in a selector");
    }
  }
  // What an old version has written down in another spelling. What can fit nothing stays.
  static_cast<void>(normalise(selector));
  return selector;
}

json::object command_object(const Command& command) {
  json::object object{{"verb", to_string(command.verb)},
                      {"selector", selector_object(command.selector)}};
  if (command.dry_run) object["dry_run"] = true;
  set(object, "by", command.by);
  set(object, "reason", command.reason);
  set(object, "next_hop", command.next_hop);
  return object;
}

Result<Command> command_from(const json::value& value) {
  if (!value.is_object()) return fail(ErrorKind::invalid, "a command must be a JSON object");
  const json::object& object = value.as_object();
  Command command;
  const auto* verb = object.if_contains("verb");
  if (verb == nullptr) return fail(ErrorKind::invalid, "'verb' is missing");
  const auto word = word_of(kVerbs, *verb, "verb");
  if (!word) return fail(word.error());
  command.verb = *word;
  if (const auto* what = object.if_contains("selector")) {
    auto selector = selector_from(*what);
    if (!selector) return fail(selector.error());
    command.selector = std::move(*selector);
  }
  if (const auto* dry = object.if_contains("dry_run"))
    command.dry_run = dry->is_bool() && dry->as_bool();
  for (const auto& [key, field] :
       {std::pair{"by", &command.by}, std::pair{"reason", &command.reason},
        std::pair{"next_hop", &command.next_hop}}) {
    const auto* found = object.if_contains(key);
    if (found == nullptr) continue;
    auto text = text_of(*found, key);
    if (!text) return fail(text.error());
    *field = std::move(*text);
  }
  if (command.verb == Verb::reroute && command.next_hop.empty())
    return fail(ErrorKind::invalid, "reroute needs 'next_hop': where to");
  const bool standing = command.verb == Verb::suspend || command.verb == Verb::resume;
  if (const auto member = command.selector.about_queued_mail(); standing && !member.empty())
    return fail(ErrorKind::invalid, std::string(to_string(command.verb)) +
                                        " is also for mail that is still to come, of " + "which '" +
                                        std::string(member) +
                                        "' can't be told; use hold and release");
  return command;
}

Result<json::value> parse_json(std::string_view text) {
  boost::system::error_code error;
  json::value value = json::parse(json::string_view(text.data(), text.size()), error);
  if (error) return fail(ErrorKind::invalid, "not JSON: " + error.message());
  return value;
}

std::string to_json(const Selector& selector) { return json::serialize(selector_object(selector)); }

std::string to_json(const Command& command) { return json::serialize(command_object(command)); }

Result<Command> command_from_json(std::string_view text) {
  const auto value = parse_json(text);
  if (!value) return fail(value.error());
  return command_from(*value);
}

std::string to_json(const ListedMessage& message) {
  json::array open;
  for (const ListedRecipient& one : message.open) {
    json::object recipient{{"state", to_string(one.state)}, {"address", one.address}};
    set(recipient, "target", one.target);
    set(recipient, "next_hop", one.next_hop);
    set(recipient, "wave", one.wave);
    set(recipient, "why", one.why);
    if (one.attempts > 0) recipient["attempts"] = one.attempts;
    if (one.next_attempt != WallTime{})
      recipient["next_attempt"] = routing::format_time(one.next_attempt);
    open.emplace_back(std::move(recipient));
  }
  return json::serialize(json::object{{"queue_id", message.id.to_string()},
                                      {"message_id", message.message_id},
                                      {"sender", message.sender},
                                      {"client", message.client},
                                      {"accepted_at", routing::format_time(message.accepted_at)},
                                      {"expires_at", routing::format_time(message.expires_at)},
                                      {"size", message.size},
                                      {"recipients", message.recipients},
                                      {"settled", message.settled},
                                      {"open", std::move(open)}});
}

}  // namespace waypost::queue
