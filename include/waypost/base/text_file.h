// Small text files that people edit: passwords and secrets.
//
// One way to read them for the daemon and for what checks them before, and one that bears what
// Windows editors do: a byte order mark is skipped. Any thread; reads the disk, so not a shard's.
// Errors name the file: ErrorKind::io where it can't be read, invalid where it is no such text.
#pragma once

#include "waypost/base/result.h"

#include <string>

namespace waypost {

/// The whole text. A regular file of at most 16 MiB; UTF-16 is an error that says so.
Result<std::string> read_text_file(const std::string& path);

/// The first line without its end; never empty. For a password.
Result<std::string> first_line_of(const std::string& path);

}  // namespace waypost
