// CRC-32C (Castagnoli), by the processor's own instruction where it has one. Pure, any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace waypost {

/// Continues `crc` over `bytes`; start with 0 or a seed. Not inverted twice between pieces: pieces
/// may be joined.
std::uint32_t crc32c(std::uint32_t crc, std::string_view bytes);
/// The table form, for processors without SSE 4.2 and for the test that compares both.
std::uint32_t crc32c_portable(std::uint32_t crc, std::string_view bytes);

}  // namespace waypost
