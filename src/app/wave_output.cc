#include "app/wave_output.h"

#include "waypost/base/counted.h"
#include "waypost/routing/local_time.h"
#include "waypost/routing/waves.h"

#include "app/answers.h"
#include "app/wave_view.h"

#include <algorithm>
#include <iomanip>
#include <iostream>
#include <set>

namespace waypost::app {
namespace {

namespace json = boost::json;

constexpr const char* kIndent = "            ";

WallTime now() { return Clock::system().now(); }

WallTime time_of(const json::object& object, std::string_view key) {
  const auto at = routing::parse_time(text_of(object, key), now());
  return at ? *at : WallTime{};
}

/// "Sat 28 Nov 02:00" here; empty if there is none.
std::string local(const json::object& object, std::string_view key) {
  if (text_of(object, key).empty()) return {};
  return routing::short_local_time(time_of(object, key), now(), routing::local_zone());
}

/// "2026-11-28 02:00 Europe/Berlin (01:00 UTC), in 12 h 10 min".
std::string echo(const json::object& object, const std::string& asked) {
  const WallTime at = time_of(object, "at");
  return routing::full_local_time(at, routing::zone_in(asked)) + ", in " +
         routing::duration_words(at - now());
}

const json::array& list_of(const json::object& object, std::string_view key) {
  static const json::array none;
  const auto* found = object.if_contains(key);
  return found != nullptr && found->is_array() ? found->as_array() : none;
}

std::string sentence_of(const json::object& change) {
  std::string words = text_of(change, "to");
  if (const auto at = local(change, "at"); !at.empty()) words += " from " + at;
  if (const auto by = text_of(change, "by"); !by.empty()) words += ", said by " + by;
  if (const auto reason = text_of(change, "reason"); !reason.empty()) words += " (" + reason + ")";
  return words;
}

std::string people_of(const json::object& object) {
  return people_words(count_of(object, "people"), count_of(object, "addresses"));
}

/// Rows whose columns are as wide as their widest cell; the last is not filled up.
void print_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] - row[i].size() + 2, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    std::cout << line << "\n";
  }
}

std::string overruled_words(const json::object& one) {
  return text_of(one, "to") + " from " + local(one, "at") + " (configuration) has no effect: '" +
         text_of(one, "verb") + "' by " + text_of(one, "overruled_by") +
         " has replaced it; 'waypost reload' takes a new time";
}

/// "49+1* (60)": those who follow the wave, those who do not, all addresses.
std::string crowd(const json::object& wave) {
  const auto people = count_of(wave, "people");
  const auto own = std::min(count_of(wave, "own"), people);
  std::string words = std::to_string(people - own);
  if (count_of(wave, "own") > 0) words += "+" + std::to_string(count_of(wave, "own")) + "*";
  return words + " (" + std::to_string(count_of(wave, "addresses")) + ")";
}

void print_footnotes(const json::array& waves) {
  std::set<std::string> troubles;
  for (const auto& value : waves) {
    const auto& wave = value.as_object();
    const auto name = text_of(wave, "wave");
    if (const auto own = count_of(wave, "own"); own > 0)
      std::cout << "* " << own << noun(own, " has a state of its own", " have states of their own")
                << ": waypost wave members " << name << "\n";
    for (const auto& one : list_of(wave, "overruled"))
      std::cout << name << ": " << overruled_words(one.as_object()) << "\n";
    if (const auto trouble = text_of(wave, "trouble"); !trouble.empty()) troubles.insert(trouble);
  }
  for (const auto& trouble : troubles)
    std::cout << "nobody of a wave is routed (451): " << trouble << "\n";
}

void print_counts(const char* label, const json::object& counts) {
  std::cout << label;
  const char* separator = "";
  for (const auto& [name, count] : counts) {
    std::cout << separator << json::serialize(count) << " " << std::string_view(name);
    separator = ", ";
  }
  std::cout << "\n";
}

void print_clocks(const json::object& clocks) {
  const auto from = time_of(clocks, "held_from");
  const auto bounce = time_of(clocks, "first_bounce_at");
  std::cout << "clocks      held mail goes back to its sender "
            << routing::duration_words(bounce - from) << " after it was accepted (expiry):\n"
            << kIndent << "activate or roll back before "
            << routing::short_local_time(bounce, now(), routing::local_zone()) << "\n";
  const auto* const notice = clocks.if_contains("delay_notice_seconds");
  if (notice != nullptr && notice->to_number<std::int64_t>() > 0)
    std::cout << kIndent << "a sender is told of the delay after "
              << routing::duration_words(std::chrono::seconds(notice->to_number<std::int64_t>()))
              << " (delay_notice)\n";
}

void print_history(const json::array& history) {
  std::cout << "history     times are " << routing::local_zone() << "\n";
  for (const auto& value : history) {
    const auto& said = value.as_object();
    std::cout << "  " << local(said, "time") << "  " << text_of(said, "verb");
    if (const auto at = local(said, "at"); !at.empty()) std::cout << " at " << at;
    std::cout << ", " << people_of(said) << ", " << count_of(said, "queued") << " queued, by "
              << text_of(said, "by");
    if (const auto reason = text_of(said, "reason"); !reason.empty())
      std::cout << " (" << reason << ")";
    const char* separator = ": ";
    for (const auto& member : list_of(said, "members")) {
      std::cout << separator << std::string_view(member.as_string());
      separator = ", ";
    }
    std::cout << "\n";
  }
  if (history.empty()) std::cout << "  nobody has said anything yet\n";
}

void print_changes(const json::object& object, const char* key, const char* label) {
  const char* start = label;
  for (const auto& one : list_of(object, key)) {
    std::cout << start << sentence_of(one.as_object()) << "\n";
    start = kIndent;
  }
}

}  // namespace

json::object WaveQueued::to_json() const {
  return {{"messages", messages}, {"recipients", recipients}, {"states", json::value_from(states)}};
}

std::string WaveQueued::words() const {
  if (recipients == 0) return "nothing";
  std::string text = counted(recipients, "recipient") + " in " + counted(messages, "message");
  const char* separator = ": ";
  for (const auto& [state, count] : states) {
    text += separator + std::to_string(count) + " " + state;
    separator = ", ";
  }
  return text;
}

void print_wave_list(const json::array& waves, const std::map<std::string, std::uint64_t>& held) {
  if (waves.empty()) {
    std::cout << "no entry of the table is of a wave, and none is configured\n";
    return;
  }
  std::vector<std::vector<std::string>> rows{
      {"WAVE", "STATE", "PEOPLE (ADDR)", "SINCE", "HELD", "NEXT (" + routing::local_zone() + ")"}};
  for (const auto& value : waves) {
    const auto& wave = value.as_object();
    const auto name = text_of(wave, "wave");
    const auto* since = wave.if_contains("since");
    const auto begun = since != nullptr ? local(since->as_object(), "at") : std::string();
    const auto count = held.find(name);
    rows.push_back({name, text_of(wave, "state") + (flag_of(wave, "shadow") ? ", shadow" : ""),
                    crowd(wave), begun.empty() ? "-" : begun,
                    count == held.end() ? "-" : std::to_string(count->second), "-"});
    bool first = true;
    for (const auto& one : list_of(wave, "scheduled")) {
      const auto& change = one.as_object();
      if (!std::exchange(first, false)) rows.push_back({"", "", "", "", "", ""});
      rows.back().back() = text_of(change, "to") + " " + local(change, "at");
    }
  }
  print_table(rows);
  print_footnotes(waves);
}

void print_wave(const json::object& wave, const WaveQueued& queued) {
  std::cout << "wave        " << text_of(wave, "wave") << "\n"
            << "state       " << text_of(wave, "state") << "\n";
  if (const auto* since = wave.if_contains("since"))
    std::cout << kIndent << sentence_of(since->as_object()) << "\n";
  if (const auto trouble = text_of(wave, "trouble"); !trouble.empty())
    std::cout << "trouble     " << trouble << "\n";
  print_changes(wave, "scheduled", "next        ");
  if (flag_of(wave, "shadow")) std::cout << "shadow      yes: the new route is logged, not used\n";
  if (flag_of(wave, "schedule_replaced"))
    std::cout << "schedule    that of the configuration is replaced by what was said since\n";
  for (const auto& one : list_of(wave, "overruled"))
    std::cout << kIndent << overruled_words(one.as_object()) << "\n";
  std::cout << "people      " << people_of(wave) << "\n";
  print_counts("states      ", wave.at("states").as_object());
  if (const auto own = count_of(wave, "with_own_state"); own > 0)
    std::cout << kIndent
              << counted(own, "has a state of its own in its source",
                         "have a state of their own in their source")
              << "\n";
  if (const auto* exceptions = wave.if_contains("exception_states"))
    for (const auto& [address, state] : exceptions->as_object())
      std::cout << "by name     " << std::string_view(address) << " is "
                << std::string_view(state.as_string()) << "\n";
  print_counts("sources     ", wave.at("sources").as_object());
  std::cout << "queued      " << queued.words() << "\n";
  if (const auto* clocks = wave.if_contains("clocks")) print_clocks(clocks->as_object());
  print_history(list_of(wave, "history"));
}

void print_wave_members(const std::vector<json::object>& members) {
  std::vector<std::vector<std::string>> rows{{"ADDRESS", "STATE", "NOW", "TARGET", "PLACE"}};
  std::set<std::string> people;
  for (const auto& member : members) {
    people.insert(text_of(member, "person"));
    rows.push_back({text_of(member, "address"),
                    text_of(member, "state") + (flag_of(member, "own_word")    ? "*"
                                                : flag_of(member, "own_state") ? "+"
                                                                               : ""),
                    text_of(member, "now"), text_of(member, "target"), text_of(member, "place")});
  }
  if (!members.empty()) print_table(rows);
  std::cout << people_words(people.size(), members.size())
            << " (* by an operator's word about this person, + by the state in its source)\n";
}

void print_wave_plan(const json::object& plan, const WaveQueued& queued, const std::string& at) {
  std::cout << "wave        " << text_of(plan, "wave") << ": " << text_of(plan, "verb") << ", "
            << (at.empty() || at == "now" ? std::string("now") : "at " + echo(plan, at)) << "\n"
            << "people      " << people_of(plan) << ", of whom " << count_of(plan, "changed")
            << " would change\n";
  for (const auto& value : list_of(plan, "moves")) {
    const auto& move = value.as_object();
    const bool same = text_of(move, "from") == text_of(move, "to");
    std::cout << kIndent << count_of(move, "people") << " "
              << (same ? "stay " + text_of(move, "from")
                       : text_of(move, "from") + " -> " + text_of(move, "to"));
    if (count_of(move, "addresses") != count_of(move, "people"))
      std::cout << " (" << counted(count_of(move, "addresses"), "address", "addresses") << ")";
    std::cout << "\n";
  }
  print_changes(plan, "dropped", "drops       ");
  std::cout << "queued      " << queued.words() << "\n";
  if (const auto* clocks = plan.if_contains("clocks")) print_clocks(clocks->as_object());
  std::cout << "conflicts   " << count_of(plan, "conflict_count") << "\n";
  for (const auto& one : list_of(plan, "conflicts"))
    std::cout << "  " << std::string_view(one.as_string()) << "\n";
  const auto& changes = list_of(plan, "changes");
  if (changes.empty()) return;
  std::cout << "changes     "
            << (changes.size() < count_of(plan, "changed_addresses")
                    ? "the first " + std::to_string(changes.size()) + "; --names N shows more\n"
                    : std::string("\n"));
  for (const auto& value : changes) {
    const auto& change = value.as_object();
    std::cout << "  " << text_of(change, "address") << ": " << text_of(change, "from") << " -> "
              << text_of(change, "to");
    if (flag_of(change, "held"))
      std::cout << ", held for " << text_of(change, "target");
    else if (const auto hop = text_of(change, "next_hop"); !hop.empty())
      std::cout << ", to " << text_of(change, "target") << " by " << hop;
    std::cout << "\n";
  }
}

void print_wave_outcome(const json::object& outcome, const WaveQueued& queued,
                        const std::string& at) {
  const bool changed = !outcome.contains("changed") || flag_of(outcome, "changed");
  const bool by_name = outcome.contains("named");
  std::cout << text_of(outcome, "wave") << ": " << text_of(outcome, "verb");
  if (!changed)
    std::cout << ": nothing changed: " << text_of(outcome, "why") << "\n";
  else {
    if (outcome.contains("at"))
      std::cout << " at " << echo(outcome, at) << "; until then " << text_of(outcome, "state");
    else if (!by_name)
      std::cout << ": " << text_of(outcome, "state_before") << " -> " << text_of(outcome, "state");
    std::cout << ", " << people_of(outcome) << (by_name ? " by name" : "")
              << "; queued: " << queued.words() << "\n";
  }
  for (const auto& value : list_of(outcome, "named")) {
    const auto& one = value.as_object();
    std::cout << "  " << text_of(one, "address") << ": " << text_of(one, "was") << " -> "
              << text_of(one, "state");
    const auto goes = text_of(one, "now");
    std::cout << (goes == "held" || goes == "deferred" || goes == "refused" ? ", now "
                                                                            : ", now to ")
              << goes << "\n";
  }
  print_changes(outcome, "dropped", "  dropped   ");
  print_changes(outcome, "scheduled", "  scheduled ");
  const auto* unmoved = outcome.if_contains("unmoved");
  if (unmoved == nullptr) return;
  const auto& some = list_of(unmoved->as_object(), "some");
  for (const auto& value : some) {
    const auto& one = value.as_object();
    std::cout << "  " << text_of(one, "address") << " stays " << text_of(one, "state")
              << (text_of(one, "why") == "word" ? ": by an operator's word about this person"
                                                : ": its source gives it a state of its own")
              << "\n";
  }
  const auto count = count_of(unmoved->as_object(), "count");
  if (count > some.size())
    std::cout << "  and "
              << counted(count - some.size(), "more stays as it is", "more stay as they are")
              << "\n";
}

}  // namespace waypost::app
