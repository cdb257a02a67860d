// What a run came to, in one structure: shown as text, JSON and HTML, read back for comparison.
//
// Report: plain data. to_json/from_json are each other's inverse (docs/load.md describes the
// fields).
#pragma once

#include "waypost/base/result.h"

#include "load/accounting.h"
#include "load/statistics.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace waypost::load {

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

/// One figure of two runs.
struct Comparison {
  std::string name, now, earlier;
  double ratio = 0;  // now / earlier; 0: not known
  bool more_is_better = false;
};
std::vector<Comparison> compare(const Report& now, const Report& earlier);
std::string compare_text(const Report& now, const Report& earlier);

/// The percentiles that every report shows.
inline constexpr double kPercents[] = {50, 90, 99, 99.9, 99.99};

}  // namespace waypost::load
