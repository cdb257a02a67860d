// Any bytes as a server's replies: the client dialogue ends in a step that its driver knows.
#include "waypost/smtp/client_dialogue.h"

#include <algorithm>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace waypost;
  if (size < 1) return 0;
  smtp::ClientOptions options;
  options.own_name = "gw.corp.example";
  options.want_starttls = (data[0] & 1) != 0;
  options.require_starttls = (data[0] & 2) != 0;
  options.implicit_tls = (data[0] & 4) != 0;
  if ((data[0] & 8) != 0) options.auth_user = options.auth_password = "user";
  options.use_pipelining = (data[0] & 16) != 0;
  options.use_chunking = (data[0] & 32) != 0;
  smtp::ClientDialogue dialogue(options);
  smtp::ClientTransaction transaction;
  transaction.size = (data[0] & 64) != 0 ? 1'000'000 : 100;
  transaction.recipients.resize(2,
                                {{"bob", "t.example"}, "rfc822;b@c.example", mail::kNotifyNever});
  std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  for (int begun = 0; !bytes.empty();) {
    std::string_view input = bytes.substr(0, 1 + bytes.size() % 31);
    bytes.remove_prefix(input.size());
    for (bool more = true; more;) {
      switch (dialogue.advance(input)) {
        case smtp::ClientStep::need_input:
          WAYPOST_INVARIANT(input.empty());
          more = false;
          break;
        case smtp::ClientStep::start_tls:
          dialogue.tls_started();
          break;
        case smtp::ClientStep::send_content:
          dialogue.content_sent();
          break;
        case smtp::ClientStep::ready:
        case smtp::ClientStep::done:
          if (!dialogue.reusable() || ++begun > 3) return 0;
          dialogue.begin(transaction);
          break;
        case smtp::ClientStep::failed:
          WAYPOST_INVARIANT(!dialogue.failure().message.empty() && !dialogue.reusable());
          return 0;
      }
    }
  }
  dialogue.connection_lost({ErrorKind::closed, "closed"});
  std::string_view nothing;
  dialogue.advance(nothing);
  return 0;
}
