// Parts of the HTML page. Private to the report.
#pragma once

#include "load/report.h"

#include <string>

namespace waypost::load {

/// Over time, by phase, by wave; `earlier` may be null.
std::string charts(const Report& report, const Report* earlier);

}  // namespace waypost::load
