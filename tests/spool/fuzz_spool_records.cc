// Any octets as segments of a spool: recovered, read, settled, moved, recovered again; verify and
// dump read the same octets. The first octet says how much of the checksums is put right before, so
// that hostile lengths and references get past them.
#include "waypost/base/clock.h"
#include "waypost/base/crc32c.h"
#include "waypost/spool/spool.h"

#include "base/fault_disk.h"
#include "spool/content_reader.h"
#include "spool/log.h"

#include <boost/asio/io_context.hpp>

#include <cstdlib>
#include <cstring>

namespace waypost::spool {
namespace {

constexpr std::uint64_t kSegment = 64 * 1024;

Options options() {
  Options options;
  options.directory = "/spool";
  options.segment_octets = kSegment;
  return options;
}

/// Makes the checksums of whatever looks like a record match.
void put_right(std::string& segment, const SegmentHeader& header) {
  const std::uint32_t seed = checksum_seed(header);
  for (std::uint64_t at = kPage; at + sizeof(RecordHeader) <= segment.size(); at += 8) {
    RecordHeader record;
    std::memcpy(&record, segment.data() + at, sizeof record);
    if (record.magic != kRecordMagic) continue;
    record.sequence = header.sequence;
    std::memcpy(segment.data() + at, &record, sizeof record);
    const std::string_view rest = std::string_view(segment).substr(at);
    if (!peek_record(rest, header.sequence, rest.size())) continue;
    const std::string_view head = rest.substr(sizeof record, record.head_octets);
    record.content_crc =
        crc32c(seed, rest.substr(sizeof record + record.head_octets, record.content_octets));
    const std::string sound = encode_record(record, seed, head);
    segment.replace(at, sound.size(), sound);
    at += (record_span(record) - 1) / 8 * 8;
  }
}

std::vector<StoredMessage> recover(Log& log) {
  std::vector<StoredMessage> found;
  RecoveryReport report;
  const auto done = log.recover(report);
  if (done) {
    const auto troubles =
        log.hand_over({[&found](StoredMessage m) { found.push_back(std::move(m)); }});
    if (report.messages != found.size() + troubles.size()) std::abort();
  }
  return found;
}

void read_all(Log& log, const MessageRef& ref) {
  auto reader = make_content_reader(log, ref);
  if (!reader) return;
  std::uint64_t octets = 0;
  while (true) {
    const auto piece = (*reader)->next();
    if (!piece) return;
    if (piece->empty()) break;
    octets += piece->size();
  }
  if (octets != (*reader)->size()) std::abort();
}

SettleRequest* settle(Log& log, const MessageRef& ref, std::uint32_t recipient) {
  const std::lock_guard lock(log.slots().mutex(ref.slot));
  Slot& slot = *log.slots().find(ref.slot);
  if (slot.state(recipient) != 0) return nullptr;
  auto request = std::make_unique<SettleRequest>();
  slot.set_state(recipient, 1);
  --slot.open;
  ++slot.pending;
  request->slot = ref.slot;
  request->entry = {ref.id.value, 0, log.next_stamp(), recipient, 1};
  return request.release();
}

void exercise(FaultDisk& disk) {
  MemoryBudget budget(0);
  std::vector<StoredMessage> again;
  {
    Log log(options(), disk, budget);
    const auto found = recover(log);
    std::deque<Request*> requests;
    for (const StoredMessage& message : found) {
      const auto loaded = load_message(log, message.ref);
      if (!loaded || loaded->envelope != message.envelope) std::abort();
      read_all(log, message.ref);
      if (message.ref.id.value % 2 != 0 || message.ref.recipients > 16) continue;
      for (std::uint32_t i = 0; i < message.ref.recipients; ++i) {
        if (auto* request = settle(log, message.ref, i)) requests.push_back(request);
      }
    }
    for (int turns = 0; turns < 64 && (!requests.empty() || log.has_unwritten_settlements());
         ++turns) {
      log.run_batch(requests);
    }
    for (int turns = 0; turns < 8 && log.reclaim(); ++turns) {
    }
    for (Request* left : requests) delete left;
    for (const StoredMessage& message : found) {
      if (message.ref.id.value % 2 == 0 && message.ref.recipients <= 16) continue;
      again.push_back(message);
    }
  }
  Log log(options(), disk, budget);
  const auto found = recover(log);
  for (const StoredMessage& message : again) {
    const bool there = std::any_of(found.begin(), found.end(), [&message](const auto& other) {
      return other.ref.id == message.ref.id && other.envelope == message.envelope;
    });
    if (!there) std::abort();  // what recovery finds once, it finds again
  }
}

}  // namespace
}  // namespace waypost::spool

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace waypost::spool;
  using waypost::FaultDisk;
  if (size < 2) return 0;
  const unsigned how = data[0];
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  FaultDisk disk;
  const unsigned segments = 1 + how % 3;
  for (unsigned i = 0; i < segments; ++i) {
    const std::size_t part = i + 1 == segments ? rest.size() : rest.size() / (segments - i);
    const SegmentHeader header{i + 1, 77, kSegment};
    std::string bytes = encode_segment_block(header, 0).append(rest.substr(0, part));
    rest.remove_prefix(part);
    bytes.resize(std::max<std::size_t>(kSegment, bytes.size() / 8 * 8), '\0');
    if ((how & 0x80) == 0) put_right(bytes, header);
    const std::string path = "/spool/" + segment_name(i + 1);
    if (!disk.open(path, true)) return 0;
    *disk.bytes(path) = std::move(bytes);
  }
  const auto text = [](std::string_view envelope) { return std::string(envelope); };
  const auto line = [](const std::string&) {};
  (void)verify("/spool", disk, line);
  (void)dump("/spool", disk, text, line);
  exercise(disk);
  return 0;
}
