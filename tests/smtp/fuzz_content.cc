// Any bytes as content, by DATA and by BDAT: cuts make no difference, BDAT changes nothing, and
// what DATA lets through can be sent on without a second message in it.
#include "waypost/smtp/dot_stuffer.h"

#include "smtp/fuzz_driver.h"

namespace {

constexpr std::string_view kOpen =
    "EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<bob@corp.example>\r\n";

std::string sent_on(std::string_view content) {
  waypost::smtp::DotStuffer stuffer;
  std::vector<iovec> out;
  stuffer.feed(content, out);
  stuffer.finish(out);
  std::string wire;
  for (const auto& part : out) wire.append(static_cast<const char*>(part.iov_base), part.iov_len);
  return wire;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace waypost;
  if (size < 1) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  smtp::ServerOptions options;
  options.own_name = "gw.corp.example";
  const std::size_t piece = 1 + data[0] % 17;
  const std::string chunk = std::string(kOpen) + "BDAT " + std::to_string(bytes.size()) +
                            " LAST\r\n" + std::string(bytes);
  const auto by_bdat = smtp::testing::drive(chunk, piece, options);
  WAYPOST_INVARIANT(by_bdat.accepted.size() == 1 && by_bdat.accepted[0].content == bytes);
  const std::string stuffed = sent_on(bytes);
  const auto by_data =
      smtp::testing::drive(std::string(kOpen) + "DATA\r\n" + stuffed, piece, options);
  WAYPOST_INVARIANT(by_data.accepted.size() == 1);
  WAYPOST_INVARIANT(sent_on(by_data.accepted[0].content) == stuffed);
  const std::string raw = std::string(kOpen) + "DATA\r\n" + std::string(bytes);
  WAYPOST_INVARIANT(smtp::testing::drive(raw, raw.size(), options) ==
                    smtp::testing::drive(raw, piece, options));
  return 0;
}
