#include "waypost/routing/unseen.h"

#include "waypost/base/utf8.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <span>

namespace waypost::routing {
namespace {

struct Range {
  std::uint32_t first, last;
};

// Unicode 14: categories Cc, Cf, Zl, Zp, Zs without U+0020; Default_Ignorable_Code_Point; U+2800.
constexpr auto kUnseen = std::to_array<Range>({
    {0x0000, 0x001F},   {0x007F, 0x00A0},   {0x00AD, 0x00AD},   {0x034F, 0x034F},
    {0x0600, 0x0605},   {0x061C, 0x061C},   {0x06DD, 0x06DD},   {0x070F, 0x070F},
    {0x0890, 0x0891},   {0x08E2, 0x08E2},   {0x115F, 0x1160},   {0x1680, 0x1680},
    {0x17B4, 0x17B5},   {0x180B, 0x180F},   {0x2000, 0x200F},   {0x2028, 0x202F},
    {0x205F, 0x206F},   {0x2800, 0x2800},   {0x3000, 0x3000},   {0x3164, 0x3164},
    {0xFE00, 0xFE0F},   {0xFEFF, 0xFEFF},   {0xFFA0, 0xFFA0},   {0xFFF0, 0xFFFB},
    {0x110BD, 0x110BD}, {0x110CD, 0x110CD}, {0x13430, 0x1343F}, {0x1BCA0, 0x1BCA3},
    {0x1D173, 0x1D17A}, {0xE0000, 0xE0FFF},
});

// Unicode 14: NFC_Quick_Check No or Maybe.
constexpr auto kDecomposed = std::to_array<Range>({
    {0x0300, 0x0304},   {0x0306, 0x030C},   {0x030F, 0x030F},   {0x0311, 0x0311},
    {0x0313, 0x0314},   {0x031B, 0x031B},   {0x0323, 0x0328},   {0x032D, 0x032E},
    {0x0330, 0x0331},   {0x0338, 0x0338},   {0x0340, 0x0345},   {0x0374, 0x0374},
    {0x037E, 0x037E},   {0x0387, 0x0387},   {0x0653, 0x0655},   {0x093C, 0x093C},
    {0x0958, 0x095F},   {0x09BE, 0x09BE},   {0x09D7, 0x09D7},   {0x09DC, 0x09DD},
    {0x09DF, 0x09DF},   {0x0A33, 0x0A33},   {0x0A36, 0x0A36},   {0x0A59, 0x0A5B},
    {0x0A5E, 0x0A5E},   {0x0B3E, 0x0B3E},   {0x0B56, 0x0B57},   {0x0B5C, 0x0B5D},
    {0x0BBE, 0x0BBE},   {0x0BD7, 0x0BD7},   {0x0C56, 0x0C56},   {0x0CC2, 0x0CC2},
    {0x0CD5, 0x0CD6},   {0x0D3E, 0x0D3E},   {0x0D57, 0x0D57},   {0x0DCA, 0x0DCA},
    {0x0DCF, 0x0DCF},   {0x0DDF, 0x0DDF},   {0x0F43, 0x0F43},   {0x0F4D, 0x0F4D},
    {0x0F52, 0x0F52},   {0x0F57, 0x0F57},   {0x0F5C, 0x0F5C},   {0x0F69, 0x0F69},
    {0x0F73, 0x0F73},   {0x0F75, 0x0F76},   {0x0F78, 0x0F78},   {0x0F81, 0x0F81},
    {0x0F93, 0x0F93},   {0x0F9D, 0x0F9D},   {0x0FA2, 0x0FA2},   {0x0FA7, 0x0FA7},
    {0x0FAC, 0x0FAC},   {0x0FB9, 0x0FB9},   {0x102E, 0x102E},   {0x1161, 0x1175},
    {0x11A8, 0x11C2},   {0x1B35, 0x1B35},   {0x1F71, 0x1F71},   {0x1F73, 0x1F73},
    {0x1F75, 0x1F75},   {0x1F77, 0x1F77},   {0x1F79, 0x1F79},   {0x1F7B, 0x1F7B},
    {0x1F7D, 0x1F7D},   {0x1FBB, 0x1FBB},   {0x1FBE, 0x1FBE},   {0x1FC9, 0x1FC9},
    {0x1FCB, 0x1FCB},   {0x1FD3, 0x1FD3},   {0x1FDB, 0x1FDB},   {0x1FE3, 0x1FE3},
    {0x1FEB, 0x1FEB},   {0x1FEE, 0x1FEF},   {0x1FF9, 0x1FF9},   {0x1FFB, 0x1FFB},
    {0x1FFD, 0x1FFD},   {0x2000, 0x2001},   {0x2126, 0x2126},   {0x212A, 0x212B},
    {0x2329, 0x232A},   {0x2ADC, 0x2ADC},   {0x3099, 0x309A},   {0xF900, 0xFA0D},
    {0xFA10, 0xFA10},   {0xFA12, 0xFA12},   {0xFA15, 0xFA1E},   {0xFA20, 0xFA20},
    {0xFA22, 0xFA22},   {0xFA25, 0xFA26},   {0xFA2A, 0xFA6D},   {0xFA70, 0xFAD9},
    {0xFB1D, 0xFB1D},   {0xFB1F, 0xFB1F},   {0xFB2A, 0xFB36},   {0xFB38, 0xFB3C},
    {0xFB3E, 0xFB3E},   {0xFB40, 0xFB41},   {0xFB43, 0xFB44},   {0xFB46, 0xFB4E},
    {0x110BA, 0x110BA}, {0x11127, 0x11127}, {0x1133E, 0x1133E}, {0x11357, 0x11357},
    {0x114B0, 0x114B0}, {0x114BA, 0x114BA}, {0x114BD, 0x114BD}, {0x115AF, 0x115AF},
    {0x11930, 0x11930}, {0x1D15E, 0x1D164}, {0x1D1BB, 0x1D1C0}, {0x2F800, 0x2FA1D},
});

bool holds(std::span<const Range> ranges, std::uint32_t code) {
  const auto at = std::lower_bound(ranges.begin(), ranges.end(), code,
                                   [](const Range& one, std::uint32_t c) { return one.last < c; });
  return at != ranges.end() && at->first <= code;
}

std::optional<UnseenCharacter> first_of(std::span<const Range> ranges, std::string_view text) {
  std::size_t number = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto one = utf8_front(text.substr(at));
    ++number;
    if (one.octets > 0 && holds(ranges, one.code)) return UnseenCharacter{one.code, at, number};
    at += std::max<std::size_t>(one.octets, 1);
  }
  return std::nullopt;
}

std::string hex(const char* format, std::uint32_t code) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), format, static_cast<unsigned>(code));
  return text.data();
}

bool is_joiner(std::uint32_t code) { return code == 0x200C || code == 0x200D; }

}  // namespace

std::optional<UnseenCharacter> first_unseen(std::string_view text) {
  return first_of(kUnseen, text);
}

std::optional<UnseenCharacter> first_decomposed(std::string_view text) {
  return first_of(kDecomposed, text);
}

std::string unseen_complaint(std::string_view text) {
  const auto found = first_unseen(text);
  if (!found) return {};
  const bool control = found->code < 0x20 || (found->code >= 0x7f && found->code < 0xA0);
  const auto code = hex("U+%04X", found->code);
  return (control ? "holds the control character " + code
                  : "holds " + code + ", which can't be seen,") +
         " as character " + std::to_string(found->number) + "; type it anew";
}

std::string shown_text(std::string_view text, std::size_t most) {
  std::string out;
  std::size_t at = 0;
  while (at < text.size()) {
    const auto one = utf8_front(text.substr(at));
    const auto octets = std::max<std::size_t>(one.octets, 1);
    if (at + octets > most) break;
    if (one.octets == 0)
      out += '?';
    else if (holds(kUnseen, one.code))
      out += hex(one.code > 0xFFFF ? "\\U%08x" : "\\u%04x", one.code);
    else
      out += text.substr(at, octets);
    at += octets;
  }
  return at < text.size() ? out + "..." : out;
}

Result<mail::Mailbox> read_address(std::string_view text) {
  if (const auto unseen = first_unseen(text)) {
    // In domains of some scripts joiners have a meaning, and IDNA knows where (RFC 5892 A.1, A.2).
    const auto domain = text.rfind('@');
    const bool in_domain = domain != std::string_view::npos && unseen->offset > domain;
    if (!in_domain || !is_joiner(unseen->code))
      return fail(ErrorKind::invalid, "it " + unseen_complaint(text));
  }
  return mail::parse_mailbox(text);
}

}  // namespace waypost::routing
