// Any octets as a journal line, a time and a members file: refused with a reason, or what was read
// survives being written again.
#include "waypost/routing/waves.h"

#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace waypost;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto command = routing::wave_command_from_json(text)) {
    const auto line = routing::to_json(*command);
    if (line.find('\n') != std::string::npos) std::abort();
    const auto again = routing::wave_command_from_json(line);
    if (!again || routing::to_json(*again) != line) std::abort();
    if (again->said_at != command->said_at || again->at != command->at) std::abort();
    const auto waves = routing::Waves::make({}, {*command, *command});
    const auto* wave = waves->find(command->wave);
    if (wave == nullptr || wave->changes.empty()) std::abort();
    const auto next = waves->next_change_after(command->said_at);
    if (next && *next <= command->said_at) std::abort();
  } else if (command.error().message.empty()) {
    std::abort();
  }
  const WallTime now(std::chrono::seconds(1'796'126'400));
  if (const auto at = routing::parse_time(text, now)) {
    if (routing::format_time(*at).size() != std::string_view("2026-12-01T02:00:00Z").size())
      std::abort();
  } else if (at.error().message.find('\n') != std::string::npos) {
    std::abort();
  }
  routing::TableBuilder builder;
  builder.add_members("w", "members.txt", text);
  builder.add_csv("t.csv", "bob@corp.example,bob@orgname.awsapps.com\n");
  const auto table = builder.build();
  if (table->size() != 1) std::abort();
  return 0;
}
