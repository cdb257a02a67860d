#include "app/reconcile_command.h"

#include "waypost/base/spelling.h"
#include "waypost/config/config.h"
#include "waypost/routing/reconcile.h"

#include "app/reconcile_output.h"
#include "app/version.h"
#include "app/waves_on_disk.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <set>

namespace waypost::app {
namespace {

constexpr int kExitFindings = 1, kExitUsage = 64, kExitInput = 66, kExitConfig = 78;
constexpr std::array<std::string_view, 3> kFormats = {"table", "csv", "json"};
constexpr std::size_t kMaxFile = std::size_t{1} << 30;

std::ostream& complain() { return std::cerr << "waypost reconcile: "; }

Result<routing::ExportFile> read_file(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  routing::ExportFile out{path, {}};
  std::array<char, 65536> block{};
  while (file.read(block.data(), block.size()) || file.gcount() > 0) {
    out.content.append(block.data(), static_cast<std::size_t>(file.gcount()));
    if (out.content.size() > kMaxFile)
      return fail(ErrorKind::exhausted, path + ": larger than 1 GiB; no export is");
  }
  if (!file.is_open() || file.bad() || (out.content.empty() && errno != 0))
    return fail(ErrorKind::io, path + ": can't be read: " + describe_errno(errno));
  return out;
}

Result<std::vector<routing::ExportFile>> read_files(const std::vector<std::string>& paths) {
  std::vector<routing::ExportFile> out;
  for (const auto& path : paths) {
    auto file = read_file(path);
    if (!file) return fail(file.error());
    out.push_back(std::move(*file));
  }
  return out;
}

/// Prints what the readers say; false if it can't be used.
bool tell(const std::vector<routing::Problem>& problems) {
  bool good = true;
  for (const auto& problem : problems) {
    std::cerr << problem.to_string() << "\n";
    good = good && !problem.error;
  }
  return good;
}

struct Exports {
  routing::ExchangeExport exchange;
  routing::WorkMailExport workmail;
};

Result<Exports> read_exports(const ReconcileArguments& arguments) {
  const auto exchange = read_files(arguments.exchange);
  if (!exchange) return fail(exchange.error());
  const auto workmail = read_files(arguments.workmail);
  if (!workmail) return fail(workmail.error());
  const auto aliases = read_files(arguments.aliases);
  if (!aliases) return fail(aliases.error());
  Exports out;
  bool good = true;
  for (const auto& file : *exchange) {
    auto one = routing::read_exchange_export(file.name, file.content);
    good = tell(one.problems) && good;
    std::move(one.recipients.begin(), one.recipients.end(),
              std::back_inserter(out.exchange.recipients));
  }
  out.workmail = routing::read_workmail_export(*workmail, *aliases);
  good = tell(out.workmail.problems) && good;
  if (!good) return fail(ErrorKind::invalid, "mend the errors above and run it again");
  return out;
}

Result<std::shared_ptr<const routing::Router>> load_router(const std::string& config_file) {
  // Keys and certificates of the gateway are of no interest here.
  const auto loaded = config::load_file(config_file, {.check_files = false});
  if (!loaded.usable()) {
    for (const auto& diagnostic : loaded.diagnostics)
      if (diagnostic.level == config::Diagnostic::Level::error)
        std::cerr << diagnostic.to_string() << "\n";
    return fail(ErrorKind::invalid,
                config_file + " can't be used; see waypost check --config " + config_file);
  }
  std::vector<routing::Problem> problems;
  return routing::Router::load(loaded.config.routing, problems, waves_on_disk(loaded.config));
}

/// A word that is not known is never taken for "nothing found".
template <class Words>
bool all_known(const char* option, const std::vector<std::string>& given, const Words& words) {
  for (const auto& word : given) {
    if (std::find(words.begin(), words.end(), word) != words.end()) continue;
    complain() << option << ": '" << word << "' is not known"
               << suggestion(word, std::vector<std::string_view>(words.begin(), words.end()))
               << "\n";
    return false;
  }
  return true;
}

bool is_usable(const ReconcileArguments& arguments) {
  if (arguments.exchange.empty() || arguments.workmail.empty()) {
    complain() << "--exchange and --workmail are both needed: the exports of Get-MailUser (and "
                  "Get-Mailbox), and of aws workmail list-users\n";
    return false;
  }
  return all_known("--kind", arguments.kinds, routing::kFindingKinds) &&
         all_known("--format", {arguments.format}, kFormats);
}

std::set<std::string, std::less<>> waves_of(const routing::Table& table) {
  std::set<std::string, std::less<>> out;
  table.for_each([&](const routing::Entry& entry) {
    if (!entry.wave.empty()) out.insert(entry.wave);
  });
  return out;
}

void keep_kinds(routing::Reconciliation& result, const std::vector<std::string>& kinds) {
  if (kinds.empty()) return;
  std::erase_if(result.findings, [&](const routing::Finding& finding) {
    return std::find(kinds.begin(), kinds.end(), to_string(finding.kind)) == kinds.end();
  });
}

int run(const ReconcileArguments& arguments) {
  if (!is_usable(arguments)) return kExitUsage;
  const auto router = load_router(arguments.config_file);
  if (!router) {
    complain() << router.error().message << "\n";
    return kExitConfig;
  }
  if (!arguments.waves.empty() &&
      !all_known("--wave", arguments.waves, waves_of((*router)->table())))
    return kExitUsage;
  const auto exports = read_exports(arguments);
  if (!exports) {
    complain() << exports.error().message << "\n";
    return kExitInput;
  }
  routing::ReconcileOptions options;
  if (!arguments.organisation.empty()) options.organisation = arguments.organisation;
  options.waves = arguments.waves;
  options.at = Clock::system().now();
  auto result = routing::reconcile(exports->exchange, exports->workmail, **router, options);
  keep_kinds(result, arguments.kinds);
  tell(result.notes);
  if (arguments.format == "json") {
    std::cout << as_json(result);
  } else if (arguments.format == "csv") {
    // The mark tells a spreadsheet that it is UTF-8; what std::cout is given is escaped, this is
    // not.
    std::cout.flush();
    std::fputs("\xEF\xBB\xBF", stdout);
    std::cout << as_csv(result);
    std::cerr << summarise(result) << "\n";
  } else {
    std::cout << as_table(result) << summarise(result) << "\n";
  }
  std::cout.flush();
  return result.findings.empty() ? 0 : kExitFindings;
}

}  // namespace

void add_reconcile_command(CLI::App& app, ReconcileArguments& arguments, int& exit_code) {
  auto* command = app.add_subcommand(
      "reconcile",
      "Exchange's export against WorkMail's against the table: who would lose mail, and the line "
      "that mends it; changes nothing");
  command->add_option("-c,--config", arguments.config_file, "Configuration file, for the table")
      ->envname("WAYPOST_CONFIG")
      ->capture_default_str();
  command->add_option("--exchange", arguments.exchange,
                      "Exports of Get-MailUser and Get-Mailbox (CSV)");
  command->add_option("--workmail", arguments.workmail,
                      "Outputs of aws workmail list-users (JSON), all pages");
  command->add_option("--aliases", arguments.aliases,
                      "Outputs of aws workmail list-aliases, of any number of users");
  command->add_option("--organisation,--organization-id", arguments.organisation,
                      "Its id (m-...), for the lines that are printed");
  command->add_option("--kind", arguments.kinds, "Only findings of these kinds");
  command->add_option("--wave", arguments.waves,
                      "Only the people of these waves, as if the waves were active already");
  command->add_option("--format", arguments.format, "table, csv or json")->capture_default_str();
  command->footer(
      "Exit code: 0 nothing to do, 1 findings, 64 usage, 66 an export can't be read, 78 "
      "configuration. " WAYPOST_DOCS "reconcile.md tells each kind.");
  command->callback([&arguments, &exit_code] { exit_code = run(arguments); });
}

}  // namespace waypost::app
