// Where a report goes, and the sender's run around it.
#include "load/cli_send.h"
#include "load/progress.h"

#include <unistd.h>

#include <fstream>
#include <iostream>

namespace waypost::load {
namespace {

Result<> write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (!file) return fail(ErrorKind::io, path + ": the report can't be written");
  return {};
}

Result<Report> read_report(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(ErrorKind::not_found, "--compare " + path + ": can't be read");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  return report_from_json(text, path);
}

}  // namespace

void run_sender(Sender& sender, const ReportArguments& arguments,
                std::function<std::string()> extra) {
  const bool terminal = ::isatty(STDERR_FILENO) != 0;
  Progress progress(arguments.progress || (terminal && !arguments.quiet), std::move(extra));
  watch(sender, progress);
}

Result<> check_reports(const ReportArguments& arguments) {
  if (!arguments.compare_file.empty()) {
    if (auto earlier = read_report(arguments.compare_file); !earlier) return fail(earlier.error());
  }
  for (const auto& path : {arguments.json_file, arguments.html_file}) {
    if (path.empty()) continue;
    const std::ofstream probe(path, std::ios::app);
    if (!probe) return fail(ErrorKind::io, path + ": the report can't be written there");
  }
  return {};
}

Result<> publish(const Report& report, const ReportArguments& arguments) {
  if (!arguments.quiet) std::cout << to_text(report) << std::flush;
  std::optional<Report> earlier;
  if (!arguments.compare_file.empty()) {
    auto read = read_report(arguments.compare_file);
    if (!read) return fail(std::move(read).error());
    earlier = std::move(*read);
    if (!arguments.quiet) std::cout << compare_text(report, *earlier) << std::flush;
  }
  if (!arguments.json_file.empty()) {
    if (auto done = write_file(arguments.json_file, to_json(report)); !done) return done;
  }
  if (!arguments.html_file.empty()) {
    const std::string page = to_html(report, earlier ? &*earlier : nullptr);
    if (auto done = write_file(arguments.html_file, page); !done) return done;
  }
  return {};
}

}  // namespace waypost::load
