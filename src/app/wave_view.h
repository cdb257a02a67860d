// Waves as the admin API tells of them. Pure: a router, its waves and a time in, JSON and words
// out.
#pragma once

#include "waypost/routing/wave_facts.h"
#include "waypost/routing/wave_plan.h"

#include <boost/json.hpp>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace waypost::app {

/// "1 person", "50 people", "60 addresses of 50 people". `addresses` 0: not known.
std::string people_words(std::uint64_t people, std::uint64_t addresses);

boost::json::object change_json(const routing::WaveChange& change);
boost::json::array changes_json(const std::vector<routing::WaveChange>& changes);

/// What operators have said of single people who are, or were then, of this wave.
std::vector<std::pair<std::string, routing::MemberWord>> words_of_wave(
    const routing::Router& router, const std::string& wave);

/// One wave in a line of `wave list`.
boost::json::object wave_json(const routing::Router& router, const std::string& name,
                              const routing::WaveCount& count, WallTime now);
/// One address of `wave members`: `now` is the next hop that its mail takes, "held" or "deferred".
boost::json::object member_json(const routing::Router& router, const routing::Entry& entry,
                                WallTime now);
boost::json::object plan_json(const routing::WavePlan& plan);
/// Who stays as they are: `count`, and some of them by name.
boost::json::object unmoved_json(const routing::Unmoved& unmoved);

/// What was scheduled before and is not any more.
std::vector<routing::WaveChange> dropped_between(const routing::Waves& before,
                                                 const routing::Waves& after,
                                                 const std::string& wave, WallTime now);
/// Waves that another configuration makes something else at this time, each in words.
std::vector<std::string> wave_states_changed(const routing::Waves& before,
                                             const routing::Waves& after, WallTime now);
/// Why the command would change nothing at all; empty: it changes something.
std::string nothing_to_do(const routing::Waves& before, const routing::WaveCommand& command);
/// Why the command makes no sense for the wave as it is; empty: it does.
std::string out_of_place(const routing::Waves& waves, const routing::WaveCommand& command);

}  // namespace waypost::app
