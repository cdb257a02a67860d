// Any octets as a configuration: read, complained about, audited.
#include "waypost/config/config.h"

#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace waypost;
  const std::string_view yaml(reinterpret_cast<const char*>(data), size);
  const auto loaded = config::load_text(yaml, "fuzz.yaml", {.check_files = false});
  for (const auto& diagnostic : loaded.diagnostics) {
    const auto line = diagnostic.to_string();
    if (diagnostic.message.empty() || line.find('\n') != std::string::npos) std::abort();
  }
  if (loaded.usable() && loaded.config.next_hops.empty()) std::abort();
  config::audit(loaded.config);
  return 0;
}
