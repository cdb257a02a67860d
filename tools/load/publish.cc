// Where a report goes, and the sender's run around it.
#include "load/cli_send.h"
#include "load/progress.h"

#include <unistd.h>

#include <fstream>
#include <iostream>

namespace waypost::load {

void run_sender(Sender& sender, const ReportArguments& arguments) {
  Progress progress(arguments.progress || (::isatty(STDERR_FILENO) != 0 && !arguments.quiet), {});
  watch(sender, progress);
}

Result<> publish(const Report& report, const ReportArguments& arguments) {
  if (!arguments.quiet) std::cout << to_text(report) << std::flush;
  return {};
}

}  // namespace waypost::load
