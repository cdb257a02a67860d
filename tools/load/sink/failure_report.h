// What a failure report (RFC 3464) that came back says: about which message of a run, and whom.
//
// Pure text in, values out; any thread.
#pragma once

#include "load/identity.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::sink {

/// So much of a message with the null sender is kept for a look.
inline constexpr std::size_t kReportOctets = 512 * 1024;

struct FailureReport {
  std::optional<load::Identity> about;  // from the returned header
  std::vector<std::string> recipients;  // that failed; as the sender named them, where said
};

FailureReport read_failure_report(std::string_view content);

}  // namespace waypost::sink
