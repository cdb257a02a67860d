// Commands to waves as JSON: the lines of the journal.
#include "waypost/routing/waves.h"

#include "routing/instant.h"

#include <boost/json.hpp>

#include <algorithm>

namespace waypost::routing {
namespace json = boost::json;
namespace {

constexpr std::size_t kMaxName = 64;  // of a wave, as in the sources

std::unexpected<Error> nonsense(std::string_view member, std::string_view why) {
  return fail(ErrorKind::invalid,
              "'" + std::string(member) + "' makes no sense: " + std::string(why));
}

bool is_plain(std::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

/// A member that may be missing (`out` stays) but not be something else than a plain text.
Result<> take_text(const json::object& object, std::string_view name, std::string& out) {
  const auto* value = object.if_contains(name);
  if (value == nullptr) return {};
  if (!value->is_string()) return nonsense(name, "it is no text");
  out.assign(value->as_string().data(), value->as_string().size());
  if (!is_plain(out)) return nonsense(name, "it holds control characters");
  return {};
}

Result<> take_count(const json::object& object, std::string_view name, std::uint64_t& out) {
  const auto* value = object.if_contains(name);
  if (value == nullptr) return {};
  if (value->is_uint64()) {
    out = value->as_uint64();
  } else if (value->is_int64() && value->as_int64() >= 0) {
    out = static_cast<std::uint64_t>(value->as_int64());
  } else {
    return nonsense(name, "it is no number from 0 on");
  }
  return {};
}

Result<std::optional<WallTime>> take_time(const json::object& object, std::string_view name) {
  std::string text;
  if (auto taken = take_text(object, name, text); !taken) return fail(taken.error());
  if (!object.contains(name)) return std::nullopt;
  const auto at = parse_instant(text);
  if (!at) return nonsense(name, at.error().message);
  return *at;
}

Result<> take_addresses(const json::object& object, std::string_view name, bool may_be_empty,
                        std::vector<std::string>& out) {
  const auto* value = object.if_contains(name);
  if (value == nullptr) return {};
  if (!value->is_array()) return nonsense(name, "it is no list");
  for (const auto& one : value->as_array()) {
    if (!one.is_string() || (one.as_string().empty() && !may_be_empty))
      return nonsense(name, "each must be an address");
    out.emplace_back(one.as_string().data(), one.as_string().size());
    if (!is_plain(out.back())) return nonsense(name, "one holds control characters");
  }
  return {};
}

Result<> take_flag(const json::object& object, std::string_view name, bool& out) {
  const auto* value = object.if_contains(name);
  if (value == nullptr) return {};
  if (!value->is_bool()) return nonsense(name, "it is neither true nor false");
  out = value->as_bool();
  return {};
}

Result<std::optional<EntryState>> take_state(const json::object& object, std::string_view member) {
  std::string name;
  if (auto taken = take_text(object, member, name); !taken) return fail(taken.error());
  if (!object.contains(member)) return std::nullopt;
  for (const auto state :
       {EntryState::pending, EntryState::migrating, EntryState::active, EntryState::rolled_back})
    if (name == to_string(state)) return state;
  return nonsense(member, "known are pending, migrating, active and rolled_back");
}

Result<std::optional<WaveConfigured>> take_configured(const json::object& object) {
  const auto* value = object.if_contains("configured");
  if (value == nullptr) return std::nullopt;
  if (!value->is_object()) return nonsense("configured", "it is no object");
  const auto& inner = value->as_object();
  WaveConfigured configured;
  const auto state = take_state(inner, "state");
  if (!state) return fail(state.error());
  configured.state = *state;
  const auto hold_at = take_time(inner, "hold_at");
  if (!hold_at) return fail(hold_at.error());
  configured.hold_at = *hold_at;
  const auto activate_at = take_time(inner, "at");
  if (!activate_at) return fail(activate_at.error());
  configured.activate_at = *activate_at;
  if (auto taken = take_flag(inner, "shadow", configured.shadow); !taken)
    return fail(taken.error());
  return configured;
}

json::object configured_json(const WaveConfigured& configured) {
  json::object object;
  if (configured.state) object["state"] = to_string(*configured.state);
  if (configured.hold_at) object["hold_at"] = exact_time(*configured.hold_at);
  if (configured.activate_at) object["at"] = exact_time(*configured.activate_at);
  if (configured.shadow) object["shadow"] = true;
  return object;
}

Result<WaveVerb> take_verb(const json::object& object) {
  std::string name;
  if (auto taken = take_text(object, "verb", name); !taken) return fail(taken.error());
  for (const auto verb : {WaveVerb::hold, WaveVerb::activate, WaveVerb::rollback, WaveVerb::reset,
                          WaveVerb::shadow, WaveVerb::unshadow, WaveVerb::cancel})
    if (name == to_string(verb)) return verb;
  return nonsense("verb", "known are hold, activate, rollback, reset, shadow, unshadow and cancel");
}

/// Members that contradict each other.
Result<> check(const WaveCommand& command) {
  if (command.wave.empty()) return nonsense("wave", "it is missing");
  if (command.wave.size() > kMaxName) return nonsense("wave", "it is longer than 64 octets");
  const bool sets_state = state_after(command.verb).has_value();
  if (!sets_state && !command.members.empty())
    return nonsense("members", std::string(to_string(command.verb)) + " is about the whole wave");
  if (!sets_state && command.at)
    return nonsense("at", std::string(to_string(command.verb)) + " can't be scheduled");
  if (!command.targets.empty() && command.targets.size() != command.members.size())
    return nonsense("targets", "there is not one for each of 'members'");
  if (!command.members.empty() && command.at)
    return nonsense("at", "a change of single members can't be scheduled");
  return {};
}

}  // namespace

std::string to_json(const WaveCommand& command) {
  json::object line{{"time", exact_time(command.said_at)},
                    {"verb", to_string(command.verb)},
                    {"wave", command.wave}};
  if (command.at) line["at"] = exact_time(*command.at);
  if (!command.members.empty())
    line["members"] = json::array(command.members.begin(), command.members.end());
  if (!command.targets.empty())
    line["targets"] = json::array(command.targets.begin(), command.targets.end());
  if (!command.by.empty()) line["by"] = command.by;
  if (!command.reason.empty()) line["reason"] = command.reason;
  if (command.holds) line["holds"] = to_string(*command.holds);
  if (command.address_only) line["address_only"] = true;
  if (command.configured) line["configured"] = configured_json(*command.configured);
  line["people"] = command.people;
  if (command.addresses > 0) line["addresses"] = command.addresses;
  line["queued"] = command.queued;
  return json::serialize(line);
}

Result<WaveCommand> wave_command_from_json(std::string_view text) {
  boost::system::error_code trouble;
  const auto value = json::parse({text.data(), text.size()}, trouble);
  if (trouble || !value.is_object())
    return fail(ErrorKind::invalid, "this is no JSON object: " + trouble.message());
  const auto& object = value.as_object();
  WaveCommand command;
  const auto verb = take_verb(object);
  if (!verb) return fail(verb.error());
  command.verb = *verb;
  const auto said_at = take_time(object, "time");
  if (!said_at) return fail(said_at.error());
  if (!*said_at) return nonsense("time", "it is missing");
  command.said_at = **said_at;
  const auto at = take_time(object, "at");
  if (!at) return fail(at.error());
  command.at = *at;
  const auto configured = take_configured(object);
  if (!configured) return fail(configured.error());
  command.configured = *configured;
  const auto holds = take_state(object, "holds");
  if (!holds) return fail(holds.error());
  command.holds = *holds;
  for (const auto& taken :
       {take_text(object, "wave", command.wave), take_text(object, "by", command.by),
        take_text(object, "reason", command.reason),
        take_addresses(object, "members", false, command.members),
        take_addresses(object, "targets", true, command.targets),
        take_count(object, "people", command.people),
        take_count(object, "addresses", command.addresses),
        take_count(object, "queued", command.queued),
        take_flag(object, "address_only", command.address_only), check(command)})
    if (!taken) return fail(taken.error());
  return command;
}

}  // namespace waypost::routing
