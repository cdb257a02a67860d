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

inline const CLI::Option* option_of(const CLI::App* command, const std::string& name) {
  for (; command != nullptr; command = command->get_parent()) {
    if (const auto* found = command->get_option_no_throw(name); found != nullptr) return found;
  }
  return nullptr;
}

inline const CLI::App* command_in(const CLI::App& app, const std::string& name) {
  const auto found =
      app.get_subcommands([&](const CLI::App* one) { return one->check_name(name); });
  return found.empty() ? nullptr : found.front();
}

/// What would be read otherwise than it is meant: a value that is missing, so that the option
/// behind it is taken for it ("--reason $WHY --dry-run" with WHY unset acts), and one that is
/// empty, which would count as not given (`--sender "$WHO"` selects everybody's mail). Empty:
/// nothing.
inline std::string misread(const CLI::App& app, const std::vector<std::string>& words) {
  const std::string hint = "is a variable without a value? What is not meant is left out";
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i].empty())
      return (i > 0 ? "an empty word behind '" + words[i - 1] + "'"
                    : std::string("an empty word")) +
             ": " + hint;
  }
  const CLI::App* command = &app;
  for (std::size_t i = 0; i < words.size() && words[i] != "--"; ++i) {
    const std::string& word = words[i];
    if (!word.starts_with("-") || word == "-") {
      if (const auto* inner = command_in(*command, word); inner != nullptr) command = inner;
      continue;
    }
    if (word.starts_with("--") && word.ends_with('=') && word.find('=') == word.size() - 1)
      return "'" + word + "' has no value: " + hint;
    const bool alone =
        word.starts_with("--") ? word.find('=') == std::string::npos : word.size() == 2;
    const auto* option = alone ? option_of(command, word) : nullptr;
    if (option == nullptr || option->get_items_expected_min() == 0 || i + 1 == words.size())
      continue;
    const std::string& value = words[++i];
    const bool number = value.size() > 1 && value[1] >= '0' && value[1] <= '9';
    if (value.starts_with("-") && value != "-" && !number)
      return "'" + word + "' has no value: '" + value + "' stands there. To mean that, write " +
             (word.starts_with("--") ? word + "=" + value : word + value);
  }
  return {};
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
  if (const auto wrong = command_line::misread(app, words); !wrong.empty()) {
    std::cerr << program << ": " << wrong << ".\n";
    return kExitBadCommandLine;
  }
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
