#include "sink/fault_schedule.h"

#include "load/units.h"
#include "sink/behaviour.h"

#include <array>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <optional>

namespace waypost::sink {

const char* const kScheduleHelp =
    "A schedule has lines  WHEN FAULT [ARGUMENT] DURATION ; '#' begins a comment.\n"
    "  WHEN      02:00 or 02:00:30 (local time, the next one), or +30s (after the start)\n"
    "  FAULT     throttle      454 4.7.0 to each RCPT\n"
    "            unavailable   421 instead of a greeting\n"
    "            tempfail      451 4.3.0 after the content\n"
    "            full          452 4.2.2 to each RCPT\n"
    "            reject        550 5.1.1 to each RCPT\n"
    "            slow TIME     wait before each verdict\n"
    "            drop          close instead of a verdict\n"
    "            rule RULE     any rule (its text stands in quotes if it has blanks)\n"
    "  Example:  +1m throttle 30s\n"
    "            02:00 slow 500ms 5m\n"
    "            +2m rule \"at=rcpt;match=bob@*;reply=451 4.3.0 Later\" 1m\n";

namespace {

using Words = std::vector<std::string>;

Words words_of(std::string_view line) {
  Words words;
  bool quoted = false, open = false;
  for (const char c : line) {
    if (c == '"') {
      quoted = !quoted;
      if (!open) words.emplace_back();
      open = true;
    } else if (!quoted && (c == ' ' || c == '\t' || c == '\r')) {
      open = false;
    } else if (!quoted && c == '#') {
      break;
    } else {
      if (!open) words.emplace_back();
      open = true;
      words.back() += c;
    }
  }
  return words;
}

/// The next moment at which the local clock shows this.
std::optional<WallTime> next_clock_time(const std::string& text, WallTime started) {
  int hour = 0, minute = 0, second = 0, used = 0;
  const int found = std::sscanf(text.c_str(), "%2d:%2d%n", &hour, &minute, &used);
  if (found != 2) return std::nullopt;
  const std::string rest = text.substr(static_cast<std::size_t>(used));
  if (!rest.empty()) {
    int more = 0;
    if (std::sscanf(rest.c_str(), ":%2d%n", &second, &more) != 1) return std::nullopt;
    if (static_cast<std::size_t>(more) != rest.size()) return std::nullopt;
  }
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59) {
    return std::nullopt;
  }
  const std::time_t now = std::chrono::system_clock::to_time_t(
      std::chrono::time_point_cast<std::chrono::seconds>(started));
  std::tm parts{};
  ::localtime_r(&now, &parts);
  parts.tm_hour = hour;
  parts.tm_min = minute;
  parts.tm_sec = second;
  parts.tm_isdst = -1;
  std::time_t at = std::mktime(&parts);
  if (at < now) {
    ++parts.tm_mday;
    parts.tm_isdst = -1;
    at = std::mktime(&parts);
  }
  return WallTime(std::chrono::seconds(at));
}

Result<WallTime> parse_when(const std::string& text, WallTime started) {
  if (text.starts_with('+')) {
    const auto after = load::parse_duration(std::string_view(text).substr(1));
    if (!after) return fail(after.error());
    return started + *after;
  }
  if (const auto at = next_clock_time(text, started)) return *at;
  return fail(ErrorKind::invalid, "'" + text + "' is neither HH:MM[:SS] nor +TIME");
}

Result<std::string> rule_of(const Words& words) {
  using Named = std::pair<std::string_view, std::string_view>;
  static constexpr std::array<Named, 6> kNamed = {{
      {"throttle", "at=rcpt;reply=454 4.7.0 Throttling failure: maximum sending rate exceeded"},
      {"unavailable", "at=connect;reply=421 4.3.2 Service not available, by schedule"},
      {"tempfail", "at=end;reply=451 4.3.0 Temporary failure, by schedule"},
      {"full", "at=rcpt;reply=452 4.2.2 Mailbox full, by schedule"},
      {"reject", "at=rcpt;reply=550 5.1.1 Mailbox unavailable, by schedule"},
      {"drop", "at=end;drop"},
  }};
  const std::string& fault = words[1];
  for (const auto& [name, rule] : kNamed) {
    if (fault != name) continue;
    if (words.size() != 3) return fail(ErrorKind::invalid, "write: WHEN " + fault + " DURATION");
    return std::string(rule);
  }
  if (fault != "slow" && fault != "rule") {
    return fail(ErrorKind::invalid, "'" + fault + "' is not a fault that is known");
  }
  if (words.size() != 4) {
    return fail(ErrorKind::invalid, "write: WHEN " + fault + " ARGUMENT DURATION");
  }
  if (fault == "rule") return words[2];
  const auto delay = load::parse_duration(words[2]);
  if (!delay) return fail(delay.error());
  return "at=end;delay=" + std::to_string(delay->count() / 1000);
}

Result<ScheduledFault> parse_fault(const Words& words, WallTime started) {
  if (words.size() < 3) return fail(ErrorKind::invalid, "write: WHEN FAULT [ARGUMENT] DURATION");
  ScheduledFault fault;
  fault.name = words[1];
  const auto when = parse_when(words[0], started);
  if (!when) return fail(when.error());
  const auto duration = load::parse_duration(words.back());
  if (!duration) return fail(duration.error());
  auto rule = rule_of(words);
  if (!rule) return fail(std::move(rule).error());
  Behaviour trial;
  if (auto good = trial.add(*rule); !good) return fail(std::move(good).error());
  fault.begin = *when;
  fault.end = *when + *duration;
  fault.rule = std::move(*rule);
  return fault;
}

}  // namespace

Result<std::vector<ScheduledFault>> parse_fault_schedule(std::string_view text,
                                                         const std::string& file,
                                                         WallTime started) {
  std::vector<ScheduledFault> faults;
  unsigned number = 0;
  for (const auto line : load::split(text, '\n')) {
    ++number;
    const Words words = words_of(line);
    if (words.empty()) continue;
    auto fault = parse_fault(words, started);
    if (!fault) {
      return fail(ErrorKind::invalid,
                  file + ":" + std::to_string(number) + ": " + fault.error().message);
    }
    faults.push_back(std::move(*fault));
  }
  return faults;
}

Result<std::vector<ScheduledFault>> read_fault_schedule(const std::string& file, WallTime started) {
  std::ifstream in(file);
  if (!in) return fail(ErrorKind::not_found, "--schedule " + file + ": can't be read");
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  return parse_fault_schedule(text, file, started);
}

WallTime apply_faults(const std::vector<ScheduledFault>& faults, std::vector<bool>& state,
                      WallTime now, Behaviour& behaviour) {
  WallTime next = WallTime::max();
  for (std::size_t i = 0; i < faults.size(); ++i) {
    const ScheduledFault& fault = faults[i];
    const bool wanted = now >= fault.begin && now < fault.end;
    if (wanted && !state[i]) (void)behaviour.add(fault.rule);  // was tried when it was parsed
    if (!wanted && state[i]) behaviour.remove(fault.rule);
    state[i] = wanted;
    if (now < fault.begin) next = std::min(next, fault.begin);
    if (now >= fault.begin && now < fault.end) next = std::min(next, fault.end);
  }
  return next;
}

}  // namespace waypost::sink
