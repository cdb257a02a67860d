// Faults that come and go by the clock: "02:00 throttle 5m", "+30s slow 500ms 1m".
//
// FaultSchedule: parsed once. events() says what begins and ends when; whoever drives it (cli_sink,
// run) adds and removes the rules. Grammar in kScheduleHelp.
#pragma once

#include "waypost/base/clock.h"
#include "waypost/base/result.h"

#include <string>
#include <string_view>
#include <vector>

namespace waypost::sink {

class Behaviour;

extern const char* const kScheduleHelp;

struct ScheduledFault {
  WallTime begin{}, end{};
  std::string rule;  // as Behaviour understands it
  std::string name;  // "throttle"
};

/// `started`: what "+30s" counts from; "02:00" is the next time that the local clock shows this.
/// ErrorKind::invalid: "FILE:LINE: what is wrong".
Result<std::vector<ScheduledFault>> parse_fault_schedule(std::string_view text,
                                                         const std::string& file, WallTime started);
/// Reads the file. ErrorKind::not_found names it.
Result<std::vector<ScheduledFault>> read_fault_schedule(const std::string& file, WallTime started);

/// Brings `behaviour` to what the schedule wants at `now`; returns when to call again
/// (WallTime::max(): never). `state`: one entry per fault, all false at first.
WallTime apply_faults(const std::vector<ScheduledFault>& faults, std::vector<bool>& state,
                      WallTime now, Behaviour& behaviour);

}  // namespace waypost::sink
