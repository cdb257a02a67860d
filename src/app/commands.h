// The subcommands but `serve`. Each returns the process's exit code and writes to standard output
// and error.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace waypost::app {

/// Where a command finds the daemon or, without one, the configuration.
struct CommandOptions {
  std::string config_file = "/etc/waypost/waypost.yaml";
  std::string socket;  // empty: as the configuration says
  bool json = false;
};

struct ExplainArguments {
  std::vector<std::string> addresses;  // "-": those on standard input
  std::string at, sender;              // empty: now; not asked
  std::uint64_t size = 0;              // octets; 0: not asked
};

/// 0: applied. 1: refused, the daemon goes on as before. 69: no daemon.
int reload(const CommandOptions& options, bool confirm_shrink);
/// All that ask the daemon end with 78 if the configuration that was named can't say where it is.
/// 0: all go somewhere. 1: one is refused or deferred. 64: one is no address (the others are
/// answered). 69: no daemon and no usable configuration. 74: the daemon could not answer.
int explain_route(const CommandOptions& options, const ExplainArguments& arguments);
int status(const CommandOptions& options);
int version(bool as_json);
/// Reads a password (twice from a terminal, one line otherwise) and prints the line for
/// admission.password_file.
int make_password(const std::string& user);

/// 0: sound. 1: damage was found. 66: the directory can't be read.
int spool_verify(const CommandOptions& options, const std::string& directory);
int spool_dump(const CommandOptions& options, const std::string& directory);

}  // namespace waypost::app
