#include "app/table_size_file.h"

#include "app/table_size_mark.h"

#include <sys/stat.h>

#include <cerrno>
#include <fstream>
#include <sstream>

namespace waypost::app {

std::string table_size_path(const config::Config& config) {
  return config.spool.directory + "/table-size.json";
}

KeptTableSize read_table_size(const std::string& path) {
  KeptTableSize kept;
  struct stat about{};
  if (::stat(path.c_str(), &about) != 0 && errno == ENOENT) {
    const auto mark = table_size_mark(path);
    if (::stat(mark.c_str(), &about) == 0)
      kept.trouble = path + " is gone (" + mark + " says that it was there)";
    return kept;
  }
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (file) text << file.rdbuf();
  if (!file || file.bad()) {
    kept.may_not_be_read = errno == EACCES;
    if (!kept.may_not_be_read) kept.trouble = path + ": can't be read: " + describe_errno(errno);
    return kept;
  }
  auto size = routing::TableSize::from_json(text.str());
  if (size)
    kept.size = std::move(*size);
  else
    kept.trouble = path + ": " + size.error().message;
  return kept;
}

std::string confirm_hint(const std::string& suspicion) {
  return suspicion + "; if that is meant, say 'waypost reload --confirm-shrink'";
}

std::string unknown_size(const std::string& trouble) {
  return trouble +
         "; so nobody can say whether the table has shrunk since the last run: see that the "
         "table's files are whole, then say 'waypost reload --confirm-shrink'";
}

std::string refusal_at_start(const KeptTableSize& kept, const routing::TableSize& now,
                             const routing::Router& router) {
  if (!kept.trouble.empty()) return unknown_size(kept.trouble);
  if (!kept.size) return {};
  const auto losses = routing::losses_by_number(*kept.size, now, router, Clock::system().now());
  const auto found = routing::suspicious_shrink(*kept.size, now, losses, router.options());
  return found ? confirm_hint(*found) : std::string();
}

}  // namespace waypost::app
