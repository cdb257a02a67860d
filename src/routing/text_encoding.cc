#include "routing/text_encoding.h"

#include "waypost/base/utf8.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace waypost::routing {
namespace {

enum class Endian : std::uint8_t { little, big };

void append_utf8(std::string& out, std::uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | (c >> 6));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | (c >> 12));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | (c >> 18));
    out += static_cast<char>(0x80 | ((c >> 12) & 0x3F));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  }
}

Result<std::string_view> decode_utf16(std::string_view content, Endian endian,
                                      std::string& storage) {
  if (content.size() % 2 != 0)
    return fail(ErrorKind::invalid,
                "the file is UTF-16 but ends in the middle of a character: it was cut off; export "
                "it again");
  storage.clear();
  storage.reserve(content.size() / 2 + 16);
  const auto unit = [&](std::size_t i) {
    const auto a = static_cast<unsigned char>(content[i]);
    const auto b = static_cast<unsigned char>(content[i + 1]);
    return static_cast<std::uint32_t>(endian == Endian::little ? a | b << 8 : a << 8 | b);
  };
  for (std::size_t i = 0; i < content.size(); i += 2) {
    const auto c = unit(i);
    if (c < 0xD800 || c > 0xDFFF) {
      append_utf8(storage, c);
      continue;
    }
    const auto low = c < 0xDC00 && i + 3 < content.size() ? unit(i + 2) : 0;
    if (low < 0xDC00 || low > 0xDFFF)
      return fail(ErrorKind::invalid, "the file is UTF-16 with a broken character at octet " +
                                          std::to_string(i) + "; save it as UTF-8");
    append_utf8(storage, 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00));
    i += 2;
  }
  return std::string_view(storage);
}

}  // namespace

Result<std::string_view> decode_text(std::string_view content, std::string& storage) {
  if (content.starts_with("\xEF\xBB\xBF")) return content.substr(3);
  if (content.starts_with("\xFF\xFE"))
    return decode_utf16(content.substr(2), Endian::little, storage);
  if (content.starts_with("\xFE\xFF")) return decode_utf16(content.substr(2), Endian::big, storage);
  if (content.size() >= 4 && content[0] != 0 && content[1] == 0 && content[2] != 0 &&
      content[3] == 0)
    return decode_utf16(content, Endian::little, storage);
  if (content.size() >= 4 && content[0] == 0 && content[1] != 0 && content[2] == 0 &&
      content[3] != 0)
    return decode_utf16(content, Endian::big, storage);
  return content;
}

std::optional<std::size_t> first_invalid_utf8(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    if (i + 8 <= text.size()) {
      std::uint64_t word;
      std::memcpy(&word, text.data() + i, 8);
      if ((word & 0x8080808080808080ull) == 0) {
        i += 8;
        continue;
      }
    }
    const auto length = utf8_length(text.substr(i));
    if (length == 0) return i;
    i += length;
  }
  return std::nullopt;
}

LineEndTrouble line_end_trouble(std::string_view text) {
  if (text.empty() || text.back() == '\n') return {};
  const bool no_lines = text.find('\n') == std::string_view::npos;
  if (no_lines && text.find('\r') != std::string_view::npos)
    return {1, true,
            "the lines end with CR alone, as programs of the old Mac OS write them; save the file "
            "with LF or CRLF at the end of each line"};
  return {static_cast<std::uint32_t>(std::count(text.begin(), text.end(), '\n') + 1), false,
          "the file ends in the middle of a line: still being written? Copy it whole, or end its "
          "last line with a line break"};
}

}  // namespace waypost::routing
