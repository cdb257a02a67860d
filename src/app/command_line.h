// Reading a command line: what `waypost` and `waypost-load` say of one that they can't use, and how
// they end then.
//
// Header only, because both programs use it. parse_command_line() is called once, from main(),
// after all commands have been added; the callbacks of the commands run inside of it. Usage errors
// end with 64 (EX_USAGE of sysexits.h) and name what was probably meant.
#pragma once

#include "waypost/base/spelling.h"

#include <CLI/CLI.hpp>

#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::app {

inline constexpr int kExitBadCommandLine = 64;

namespace command_line {

/// The innermost command that was recognised, and its whole name: "waypost queue".
struct Reached {
  const CLI::App* command;
  std::string name;
};

inline Reached reached(const CLI::App& app, const std::string& program) {
  Reached out{&app, program};
  for (auto inner = out.command->get_subcommands(); !inner.empty();
       inner = out.command->get_subcommands()) {
    out.command = inner.front();
    out.name += " " + out.command->get_name();
  }
  return out;
}

inline std::string suggestion(std::string_view word, const std::vector<std::string>& known) {
  return waypost::suggestion(word, std::vector<std::string_view>(known.begin(), known.end()));
}

inline std::vector<std::string> commands_of(const CLI::App& app) {
  std::vector<std::string> out;
  for (const auto* one : app.get_subcommands([](const CLI::App*) { return true; }))
    out.push_back(one->get_name());
  return out;
}

inline std::vector<std::string> options_of(const CLI::App& app) {
  std::vector<std::string> out;
  for (const auto* one : app.get_options())
    for (const auto& name : one->get_lnames()) out.push_back("--" + name);
  return out;
}

inline std::string complaint(const Reached& at, const CLI::ParseError& error) {
  const auto rest = at.command->remaining();
  const auto commands = commands_of(*at.command);
  for (const auto& word : rest) {
    if (word.starts_with("--")) {
      const auto option = word.substr(0, word.find('='));
      return "unknown option '" + option + "'" + suggestion(option, options_of(*at.command));
    }
    if (word.starts_with("-") && word.size() > 1) return "unknown option '" + word + "'";
    if (!commands.empty()) return "unknown command '" + word + "'" + suggestion(word, commands);
    return "too many words: '" + word + "' is one more than this command takes";
  }
  if (!commands.empty() && at.command->get_subcommands().empty() &&
      error.get_name() == "RequiredError") {
    std::string listed;
    for (const auto& name : commands) listed += (listed.empty() ? "" : ", ") + name;
    return "which command? There are " + listed;
  }
  return error.what();
}

}  // namespace command_line

/// nullopt: the line was good and its command has run. Else what the process ends with: 0 after
/// --help and --version, 64 after a mistake, which has been told on standard error. `help [COMMAND
/// ...]` is `[COMMAND ...] --help`.
inline std::optional<int> parse_command_line(CLI::App& app, const std::string& program, int argc,
                                             char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  if (!words.empty() && words.front() == "help") {
    words.erase(words.begin());
    words.emplace_back("--help");
  }
  app.name(program);
  try {
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));  // CLI11 wants it backwards
    return std::nullopt;
  } catch (const CLI::Success& wanted) {
    return app.exit(wanted);
  } catch (const CLI::ParseError& error) {
    const auto at = command_line::reached(app, program);
    std::cerr << at.name << ": " << command_line::complaint(at, error) << "\nSee '" << at.name
              << " --help'.\n";
    return kExitBadCommandLine;
  }
}

}  // namespace waypost::app
