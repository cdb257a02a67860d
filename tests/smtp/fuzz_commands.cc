// Any bytes as a session: however they are cut, replies and messages are the same.
#include "smtp/fuzz_driver.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace waypost;
  if (size < 1) return 0;
  smtp::ServerOptions options;
  options.own_name = "gw.corp.example";
  options.offer_auth = true;
  options.max_message_size = 5000;
  options.max_recipients = 5;
  if ((data[0] & 1) != 0) options.bare_newline = smtp::BareNewline::reject;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  const auto whole = smtp::testing::drive(bytes, std::max<std::size_t>(bytes.size(), 1), options);
  const auto pieces = smtp::testing::drive(bytes, 1 + data[0] / 2 % 13, options);
  WAYPOST_INVARIANT(whole == pieces);
  for (const char c : whole.replies) {
    WAYPOST_INVARIANT(c == '\r' || c == '\n' ||
                      (static_cast<unsigned char>(c) >= 0x20 && c != 0x7F));
  }
  return 0;
}
