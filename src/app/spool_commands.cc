#include "waypost/config/config.h"
#include "waypost/mail/envelope.h"

#include "app/commands.h"
#include "app/daemon_calls.h"

#include <iostream>

namespace waypost::app {
namespace {

constexpr int kExitNoInput = 66;

/// As given, else as the configuration says. nullopt: it was meant to say, and does not; that has
/// been said.
std::optional<std::string> directory_of(const CommandOptions& options, const std::string& directory,
                                        const char* who) {
  if (!directory.empty()) return directory;
  if (is_default_and_missing(options.config_file)) return spool::Options().directory;
  const auto loaded = config::load_file(options.config_file, {.check_files = false});
  if (loaded.usable()) return loaded.config.spool.directory;
  for (const auto& one : loaded.diagnostics) std::cerr << one.to_string() << "\n";
  std::cerr << who << ": it is not known where the spool is: mend the configuration, or name "
            << "the folder\n";
  return std::nullopt;
}

void print_line(const std::string& line) { std::cout << line << "\n"; }

/// "from <ann@ext.example> for <bob@corp.example> -> <bob@orgname.awsapps.com> via workmail"
std::string describe_envelope(std::string_view bytes) {
  const auto envelope = mail::decode_envelope(bytes);
  if (!envelope) return "envelope unreadable: " + envelope.error().message;
  std::string text = "from " + mail::to_string(envelope->reverse_path);
  if (!envelope->message_id.empty()) text += " message-id " + envelope->message_id;
  for (const auto& recipient : envelope->recipients) {
    text += "\n    for " + recipient.original.to_string() + " -> " + recipient.target.to_string() +
            " via " + recipient.next_hop;
  }
  return text;
}

}  // namespace

int spool_verify(const CommandOptions& options, const std::string& directory) {
  const auto where = directory_of(options, directory, "waypost spool verify");
  if (!where) return kExitConfig;
  const auto sound = spool::verify(*where, Disk::system(), print_line);
  if (!sound) {
    std::cerr << "waypost spool verify: " << *where << ": " << sound.error().message << "\n";
    return kExitNoInput;
  }
  std::cout << *where
            << (*sound ? ": sound\n"
                       : ": damaged, see above; what is readable is still delivered\n");
  return *sound ? 0 : 1;
}

int spool_dump(const CommandOptions& options, const std::string& directory) {
  const auto where = directory_of(options, directory, "waypost spool dump");
  if (!where) return kExitConfig;
  const auto dumped = spool::dump(*where, Disk::system(), describe_envelope, print_line);
  if (!dumped) {
    std::cerr << "waypost spool dump: " << *where << ": " << dumped.error().message << "\n";
    return kExitNoInput;
  }
  return 0;
}

}  // namespace waypost::app
