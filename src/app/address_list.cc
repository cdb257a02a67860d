#include "app/address_list.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <iostream>

namespace waypost::app {
namespace {

std::string trimmed(std::string line) {
  constexpr const char* kBlank = " \t\r";
  const auto begin = line.find_first_not_of(kBlank);
  if (begin == std::string::npos) return {};
  return line.substr(begin, line.find_last_not_of(kBlank) - begin + 1);
}

}  // namespace

std::vector<std::string> with_standard_input(const std::vector<std::string>& words) {
  std::vector<std::string> all;
  for (const auto& word : words) {
    if (word != "-") {
      all.push_back(word);
      continue;
    }
    bool first = true;
    for (std::string line; std::getline(std::cin, line); first = false) {
      if (first && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);
      line = trimmed(std::move(line));
      if (!line.empty() && !line.starts_with('#')) all.push_back(line);
    }
  }
  return all;
}

Result<std::string> standard_input_as_file() {
  const int file = ::memfd_create("standard input", 0);  // stays open: its path names it
  if (file < 0)
    return fail(ErrorKind::io, "standard input can't be kept: " + describe_errno(errno));
  char block[65'536];
  for (;;) {
    const ssize_t got = ::read(STDIN_FILENO, block, sizeof block);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      return fail(ErrorKind::io, "standard input can't be read: " + describe_errno(errno));
    if (got == 0) break;
    for (ssize_t done = 0; done < got;) {
      const ssize_t put = ::write(file, block + done, static_cast<std::size_t>(got - done));
      if (put < 0 && errno != EINTR)
        return fail(ErrorKind::io, "standard input can't be kept: " + describe_errno(errno));
      if (put > 0) done += put;
    }
  }
  return "/proc/self/fd/" + std::to_string(file);
}

}  // namespace waypost::app
