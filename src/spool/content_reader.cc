#include "spool/content_reader.h"

#include "waypost/base/crc32c.h"

#include <algorithm>

namespace waypost::spool {
namespace {

constexpr std::uint64_t kPiece = 256 * 1024;
constexpr int kRetries = 100;

std::unexpected<Error> unknown(const MessageRef& ref) {
  return fail(ErrorKind::not_found, "message " + ref.id.to_string() + " is not in the spool");
}

class MemoryReader final : public ContentReader {
 public:
  explicit MemoryReader(std::shared_ptr<const BlockChain> content) : content_(std::move(content)) {
    content_->append_iovecs(pieces_);
  }
  std::uint64_t size() const override { return content_->size(); }
  Result<std::string_view> next() override {
    if (at_ == pieces_.size()) return std::string_view{};
    const iovec& piece = pieces_[at_++];
    return std::string_view(static_cast<const char*>(piece.iov_base), piece.iov_len);
  }

 private:
  std::shared_ptr<const BlockChain> content_;
  std::vector<iovec> pieces_;
  std::size_t at_ = 0;
};

/// Where one run of content lies at this moment.
struct Run {
  std::shared_ptr<File> file;
  std::uint64_t offset = 0;
  std::uint64_t octets = 0;
  std::uint32_t seed = 0;
  std::uint32_t crc = 0;
  std::uint32_t generation = 0;
};

class LogReader final : public ContentReader {
 public:
  LogReader(Log& log, const MessageRef& ref, std::uint64_t size)
      : log_(log), ref_(ref), size_(size), buffer_(std::min(size, kPiece)) {}
  std::uint64_t size() const override { return size_; }

  Result<std::string_view> next() override {
    for (int tries = 0; tries < kRetries; ++tries) {
      const auto run = locate();
      if (!run) return fail(run.error());
      if (!run->file) continue;  // moved between two looks
      if (at_ == run->octets) {
        if (last_run_) return std::string_view{};
        next_run();
        continue;
      }
      if (at_ == 0) {
        crc_ = run->seed;
        generation_ = run->generation;
      }
      const std::uint64_t want = std::min<std::uint64_t>(buffer_.size(), run->octets - at_);
      const auto got = run->file->read_at(run->offset + at_, {buffer_.data(), want});
      const auto again = locate();
      if (!again) return fail(again.error());
      if (again->generation != run->generation) continue;
      if (!got) {
        log_.note_failed_read();
        return fail(got.error());
      }
      if (*got != want) return corrupt();
      return take(*run, want);
    }
    return fail(ErrorKind::io, "message " + ref_.id.to_string() + " kept moving while it was read");
  }

 private:
  Result<std::string_view> take(const Run& run, std::uint64_t octets) {
    const std::string_view piece(buffer_.data(), octets);
    // A move has checked the whole run already; its checksum has another seed now.
    const bool checkable = generation_ == run.generation;
    if (checkable) crc_ = crc32c(crc_, piece);
    at_ += octets;
    if (at_ == run.octets && checkable && crc_ != run.crc) return corrupt();
    return piece;
  }

  void next_run() {
    ++run_;
    at_ = 0;
  }

  std::unexpected<Error> corrupt() const {
    return fail(ErrorKind::corrupt, "the content of message " + ref_.id.to_string() +
                                        " does not match its checksum; see waypost spool verify");
  }

  Result<Run> locate() {
    Run run;
    std::uint32_t segment = 0;
    std::uint64_t sequence = 0;
    {
      const std::lock_guard lock(log_.slots().mutex(ref_.slot));
      const Slot* slot = log_.slots().find(ref_.slot);
      if (slot->id != ref_.id.value) return unknown(ref_);
      const std::size_t extents = slot->extents() != nullptr ? slot->extents()->size() : 0;
      run.generation = slot->generation;
      last_run_ = run_ >= extents;
      if (last_run_) {
        run.offset = slot->offset() + sizeof(RecordHeader) + slot->head_octets;
        run.octets = slot->inline_octets;
        run.crc = slot->content_crc;
        segment = slot->segment;
      } else {
        const Extent& extent = (*slot->extents())[run_];
        run.offset = extent.offset;
        run.octets = extent.octets;
        run.crc = extent.crc;
        sequence = extent.sequence;
      }
    }
    run.file = last_run_ ? log_.file_of(segment) : log_.file_of_sequence(sequence, run.seed);
    if (last_run_) run.seed = log_.seed_of(segment);
    return run;
  }

  Log& log_;
  MessageRef ref_;
  std::uint64_t size_;
  std::vector<char> buffer_;
  std::size_t run_ = 0;   // extent, then the inline rest
  std::uint64_t at_ = 0;  // inside the run
  bool last_run_ = false;
  std::uint32_t crc_ = 0;
  std::uint32_t generation_ = 0;
};

}  // namespace

Result<std::unique_ptr<ContentReader>> make_content_reader(Log& log, const MessageRef& ref) {
  std::uint64_t size = 0;
  {
    if (log.slots().find(ref.slot) == nullptr) return unknown(ref);
    const std::lock_guard lock(log.slots().mutex(ref.slot));
    const Slot* slot = log.slots().find(ref.slot);
    if (slot->id != ref.id.value) return unknown(ref);
    if (slot->extra && slot->extra->content) {
      return std::make_unique<MemoryReader>(slot->extra->content);
    }
    size = slot->content_octets();
  }
  return std::make_unique<LogReader>(log, ref, size);
}

void describe(const Slot& slot, std::uint32_t number, StoredMessage& stored) {
  stored.ref = {QueueId{slot.id}, slot.recipients, number};
  stored.content_octets = slot.content_octets();
  stored.held = slot.held != 0;
  for (std::uint32_t i = 0; i < slot.recipients; ++i) {
    stored.settled.push_back(static_cast<Settlement>(slot.state(i)));
  }
}

Result<StoredMessage> load_message(Log& log, const MessageRef& ref) {
  for (int tries = 0; tries < kRetries; ++tries) {
    StoredMessage stored;
    std::uint32_t segment = 0;
    std::uint32_t generation = 0;
    std::uint64_t offset = 0;
    std::uint32_t head_octets = 0;
    if (log.slots().find(ref.slot) == nullptr) return unknown(ref);
    {
      const std::lock_guard lock(log.slots().mutex(ref.slot));
      const Slot* slot = log.slots().find(ref.slot);
      if (slot->id != ref.id.value) return unknown(ref);
      describe(*slot, ref.slot, stored);
      stored.envelope.resize(slot->envelope_octets);
      segment = slot->segment;
      offset = slot->offset();
      generation = slot->generation;
      head_octets = slot->head_octets;
    }
    const auto file = log.file_of(segment);
    const std::uint32_t seed = log.seed_of(segment);
    std::string bytes(sizeof(RecordHeader) + head_octets, '\0');
    const auto got =
        file ? file->read_at(offset, {bytes.data(), bytes.size()}) : Result<std::size_t>(0);
    {
      const std::lock_guard lock(log.slots().mutex(ref.slot));
      const Slot* slot = log.slots().find(ref.slot);
      if (slot->id != ref.id.value) return unknown(ref);
      if (slot->generation != generation) continue;
    }
    if (!got) {
      log.note_failed_read();
      return fail(got.error());
    }
    RecordHeader header;
    std::memcpy(&header, bytes.data(), sizeof header);
    const std::string_view head = std::string_view(bytes).substr(sizeof header);
    if (*got != bytes.size() || !head_is_sound(header, head, seed)) {
      return fail(ErrorKind::corrupt, "the envelope of message " + ref.id.to_string() +
                                          " does not match its checksum; see waypost spool verify");
    }
    stored.envelope.assign(head.substr(0, stored.envelope.size()));
    return stored;
  }
  return fail(ErrorKind::io, "message " + ref.id.to_string() + " kept moving while it was read");
}

}  // namespace waypost::spool
