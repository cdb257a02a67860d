// Waves as text for people: tables of at most 100 columns, times by the clock on the wall.
#pragma once

#include <boost/json.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace waypost::app {

/// Recipients of one wave in the queue, by state.
struct WaveQueued {
  std::uint64_t messages = 0, recipients = 0;
  std::map<std::string, std::uint64_t> states;

  boost::json::object to_json() const;
  std::string words() const;
};

/// `held`: recipients of queued mail that are held, by wave.
void print_wave_list(const boost::json::array& waves,
                     const std::map<std::string, std::uint64_t>& held);
void print_wave(const boost::json::object& wave, const WaveQueued& queued);
/// By person; REQUIRES: sorted so.
void print_wave_members(const std::vector<boost::json::object>& members);
/// `at`: as it was asked for, which may name a time zone.
void print_wave_plan(const boost::json::object& plan, const WaveQueued& queued,
                     const std::string& at);
void print_wave_outcome(const boost::json::object& outcome, const WaveQueued& queued,
                        const std::string& at);

}  // namespace waypost::app
