// What a run came to, in one structure: shown as text, JSON and HTML, read back for comparison.
//
// Report: plain data. to_json/from_json are each other's inverse (docs/load.md describes the
// fields).
#pragma once

#include "waypost/base/result.h"

#include "load/statistics.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace waypost::load {

/// Fates of recipients, counted by verify.
struct Accounting {
  std::uint64_t messages = 0, recipients = 0;
  // As it should be.
  std::uint64_t arrived_once = 0, refused_as_expected = 0, bounced_as_expected = 0,
                not_acknowledged_arrived = 0, not_acknowledged_missing = 0, not_sent = 0;
  // Wrong unless allowed.
  std::uint64_t arrived_twice = 0, wrong_address = 0, changed = 0, bounced = 0, queued = 0,
                lost = 0, refused = 0, uninvited = 0, unknown_delivered = 0;
  std::uint64_t foreign_mail = 0;  // at the sink, of no run or of another
  std::vector<std::string> examples;
  std::vector<std::string> wrong;  // one sentence a figure that fails the run
  bool good() const { return wrong.empty(); }
};

struct Report {
  std::string title, started, run_id;
  std::vector<std::pair<std::string, std::string>> settings;
  double seconds = 0, sender_cpu_seconds = 0;
  std::vector<std::string> wave_names;
  Statistics statistics;
  std::optional<Accounting> accounting;

  double rate() const;
};

std::string to_text(const Report& report);
std::string to_text(const Accounting& accounting);
std::string to_json(const Report& report);
Result<Report> report_from_json(const std::string& text, const std::string& where);
std::string to_html(const Report& report, const Report* earlier);
/// Figures of both side by side, with the ratio.
std::string compare_text(const Report& now, const Report& earlier);

/// The percentiles that every report shows.
inline constexpr double kPercents[] = {50, 90, 99, 99.9, 99.99};

}  // namespace waypost::load
