// Addresses on a command line, where `-` stands for those on standard input. Private to app.
#pragma once

#include "waypost/base/result.h"

#include <string>
#include <vector>

namespace waypost::app {

/// `words` with each `-` replaced by the lines of standard input; empty ones and those that begin
/// with '#' are left out, and so are a byte order mark and carriage returns.
std::vector<std::string> with_standard_input(const std::vector<std::string>& words);

/// Standard input as a regular file, for what reads files only: its path, good as long as this
/// process. ErrorKind::io.
Result<std::string> standard_input_as_file();

}  // namespace waypost::app
