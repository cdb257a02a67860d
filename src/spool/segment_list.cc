#include "spool/segment_list.h"

#include "waypost/base/crc32c.h"
#include "waypost/base/durable.h"

#include "spool/scan.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

namespace waypost::spool {
namespace {

constexpr std::string_view kFirstLine =
    "# waypost spool segments 1: the files that hold mail; written by waypost, changes are lost\n";
constexpr const char* kEntry = "%08" PRIu32 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n";
constexpr const char* kLast = "# last %" PRIu64 "\n";
constexpr const char* kChecksum = "# crc %08" PRIx32 "\n";
constexpr std::size_t kChecksumOctets = 15;

template <class... Values>
std::string formatted(const char* how, Values... values) {
  char text[128];
  const int octets = std::snprintf(text, sizeof text, how, values...);
  return {text, static_cast<std::size_t>(octets)};
}

std::unexpected<Error> damaged() { return fail(ErrorKind::corrupt, "its checksum is wrong"); }

}  // namespace

const ListedSegment* SegmentList::find(std::uint32_t number) const {
  const auto found = std::find_if(segments.begin(), segments.end(),
                                  [number](const auto& one) { return one.number == number; });
  return found == segments.end() ? nullptr : &*found;
}

std::string encode_segment_list(const SegmentList& list) {
  std::string text(kFirstLine);
  text += "# file, sequence, size, written up to (0: in use)\n";
  for (const ListedSegment& one : list.segments)
    text += formatted(kEntry, one.number, one.sequence, one.octets, one.written);
  text += formatted(kLast, list.last_sequence);
  return text + formatted(kChecksum, crc32c(0, text));
}

Result<SegmentList> decode_segment_list(std::string_view text) {
  if (text.size() < kChecksumOctets || !text.starts_with(kFirstLine)) return damaged();
  const auto body = text.substr(0, text.size() - kChecksumOctets);
  if (text.substr(body.size()) != formatted(kChecksum, crc32c(0, body))) return damaged();
  SegmentList list;
  for (std::size_t at = 0; at < body.size();) {
    const auto end = std::min(body.find('\n', at), body.size());
    const std::string line(body.substr(at, end - at));
    at = end + 1;
    ListedSegment one;
    if (std::sscanf(line.c_str(), kLast, &list.last_sequence) == 1 || line.starts_with("#"))
      continue;
    if (std::sscanf(line.c_str(), "%" SCNu32 " %" SCNu64 " %" SCNu64 " %" SCNu64, &one.number,
                    &one.sequence, &one.octets, &one.written) != 4)
      return damaged();
    list.segments.push_back(one);
  }
  return list;
}

std::string segment_list_path(const std::string& directory) { return directory + "/segments"; }

Result<std::optional<SegmentList>> read_segment_list(Disk& disk, const std::string& directory) {
  auto file = disk.open(segment_list_path(directory), false);
  if (!file && file.error().kind == ErrorKind::not_found) return std::nullopt;
  if (!file) return fail(file.error());
  const auto text = content_of(**file);
  if (!text) return fail(text.error());
  auto list = decode_segment_list(*text);
  if (!list) return fail(list.error());
  return std::move(*list);
}

std::string loss_of(const ListedSegment& listed) {
  const std::string lost = "mail that it held is not delivered";
  if (listed.written == 0) return lost + "; it was the file in use, how much it held is not known";
  return lost + "; " + octets_in_words(listed.written) +
         " were written to it, some of it perhaps delivered";
}

}  // namespace waypost::spool
