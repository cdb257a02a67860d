// The durable store of accepted messages. Format and reasons: src/spool/FORMAT.md.
//
// Owns: the segment log, its committer thread, recovery. One Spool per process (it locks its
// directory). Promise: a commit that completes without error is on stable storage; a failed sync is
// never retried: the spool turns read-only (ErrorKind::read_only), what it holds can still be
// loaded and settled (in memory). The spool does not interpret mail: an envelope is a blob,
// recipients are numbers below `recipients`.
//
// Threads: an IncomingMessage and the awaiting coroutine belong to one shard; commits of all shards
// meet in the committer without a lock; completions come back to the awaiting shard, one post per
// shard and batch. settle(), load() any thread.
#pragma once

#include "waypost/base/block_chain.h"
#include "waypost/base/disk.h"
#include "waypost/base/queue_id.h"
#include "waypost/base/result.h"
#include "waypost/net/task.h"
#include "waypost/ops/metrics.h"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::spool {

struct Options {
  std::string directory = "/var/lib/waypost/spool";
  std::uint64_t segment_octets = 64ull * 1024 * 1024;
  std::uint32_t spare_segments = 2;                          // recycled, zero-filled, ready
  std::uint64_t minimum_free_octets = 512ull * 1024 * 1024;  // below: has_room() is false
  std::uint32_t batch_messages = 128;                        // at most, per sync
  std::uint64_t stream_threshold = 1024 * 1024;  // content above this goes to disk while it arrives
  Duration settle_delay =
      std::chrono::milliseconds(50);  // settlements ride on a batch, at the latest after this
  // For simulation: without threads nothing happens but in step(); a salt other than 0 is used
  // instead of a random one.
  bool own_threads = true;
  std::uint64_t salt = 0;
};

/// Where a message lies; opaque outside the spool, 24 octets, copyable; stays valid until the
/// message is finished (the spool follows moves of stragglers itself).
struct MessageRef {
  QueueId id;
  std::uint32_t recipients = 0;
  std::uint32_t slot = 0;
};

/// The end of one recipient, as recorded.
enum class Settlement : std::uint8_t { open = 0, delivered = 1, failed = 2, reported = 3 };

/// A stored message as it is read back.
struct StoredMessage {
  MessageRef ref;
  std::string envelope;  // the blob given to commit
  std::uint64_t content_octets = 0;
  std::vector<Settlement> settled;  // one per recipient
  bool held = false;
};

/// Content of a stored message, read piece by piece: from memory while it is there, else from the
/// log.
class ContentReader {
 public:
  virtual ~ContentReader() = default;
  virtual std::uint64_t size() const = 0;
  /// The next piece, at most 256 KiB; valid until the next call; empty at the end.
  /// ErrorKind::corrupt, io. Blocking disk reads of pieces that are not in the page cache are
  /// possible.
  virtual Result<std::string_view> next() = 0;
};

class Spool;

/// A message that is arriving. Bytes collect in blocks; above Options::stream_threshold, or when
/// the memory budget is used up, wants_flush() turns true and flush() writes them out and frees the
/// blocks; ErrorKind::exhausted when that would go below Options::minimum_free_octets. Destroying
/// it before commit forgets the message; what was streamed is dead and its space is reclaimed.
class IncomingMessage {
 public:
  virtual ~IncomingMessage() = default;
  virtual void append(std::string_view bytes) = 0;
  virtual std::uint64_t octets() const = 0;
  virtual bool wants_flush() const = 0;
  virtual net::Task<Result<>> flush() = 0;
  /// Returns when message and envelope are on stable storage. `recipients` >= 1. Once only.
  virtual net::Task<Result<MessageRef>> commit(QueueId id, std::string envelope,
                                               std::uint32_t recipients) = 0;
};

struct RecoveryReport {
  std::uint64_t messages = 0, recipients_open = 0, octets_read = 0;
  std::uint64_t segments = 0, segments_indexed = 0;  // the others were scanned
  /// The highest id in any sound record, finished messages and settlements too. Settlements match
  /// by id, so a new id must lie above it even when the wall clock has gone back.
  QueueId highest_id;
  std::vector<std::string>
      set_aside;  // what was torn, corrupt or missing: "segment 00000012.log offset 40960: ..."
};

struct SpoolHealth {
  bool read_only = false;
  bool stuck = false;  // see Spool::stuck()
  std::string reason;  // why read-only
  /// A file that a restart needs was removed, moved or covered while it is in use: no mail is
  /// taken.
  std::string displaced;
  /// Nothing could be written (or read) for ten seconds, and why; the next success ends it.
  std::string failing;
  /// Ends of recipients that could not be written when it was tried last, and why: they are in
  /// memory and are tried again, but a restart finds these recipients open.
  std::uint64_t unwritten_ends = 0;
  std::string ends_trouble;
  bool room = true;  // see Spool::has_room()
  std::uint64_t free_octets = 0, used_octets = 0;
  std::uint64_t messages = 0;
  std::uint32_t segments_live = 0, segments_spare = 0;
};

class Spool {
 public:
  using Taker = std::function<void(StoredMessage)>;
  /// Opens and recovers: every message that has an open recipient is passed to `found` (content not
  /// read), in order of acceptance but for what was moved meanwhile. With no `found` they wait for
  /// hand_over(). REQUIRES: `disk`, `metrics`, `budget` outlive the spool.
  static Result<std::unique_ptr<Spool>> open(const Options& options, Disk& disk, const Clock& clock,
                                             MemoryBudget& budget, ops::Metrics& metrics,
                                             Taker found, RecoveryReport& report);
  virtual ~Spool() = default;

  /// Once, before anything is settled: what open() found goes to `takers` in turn, each on a thread
  /// of its own (a single one on this thread); an envelope is in memory only while it is handed
  /// over. Returns what could not be read.
  virtual std::vector<std::string> hand_over(const std::vector<Taker>& /*takers*/) { return {}; }

  /// False below the free-space limit or when read-only; a relaxed atomic read. Ask before 354.
  virtual bool has_room() const = 0;
  /// Also while files of it are not in their place (SpoolHealth::displaced), which may pass.
  virtual bool read_only() const = 0;
  /// The disk has not answered the committer for kPatience: whoever asks for a commit now may wait
  /// for ever. A relaxed atomic read; passes when the disk answers.
  virtual bool stuck() const { return false; }
  static constexpr std::chrono::seconds kPatience{30};
  /// REQUIRES: used on the shard that runs `executor`.
  virtual std::unique_ptr<IncomingMessage> begin(net::Executor executor) = 0;
  /// Records ends of recipients; durable with the next batch, at the latest after settle_delay.
  /// When all recipients are settled the message is finished and its space is free. Never blocks on
  /// the disk.
  virtual void settle(const MessageRef& ref, std::uint32_t recipient, Settlement how) = 0;
  /// Survives a restart. Rides on the next batch.
  virtual void set_held(const MessageRef& ref, bool held) = 0;
  virtual Result<StoredMessage> load(const MessageRef& ref) = 0;
  virtual Result<std::unique_ptr<ContentReader>> read(const MessageRef& ref) = 0;
  /// Keeps the content of a just committed message in memory for its first attempt; forget() or a
  /// finished message frees it. Under memory pressure the spool forgets by itself.
  virtual void forget_content(const MessageRef& ref) = 0;
  virtual SpoolHealth health() const = 0;
  /// Without own_threads: does what the spool's threads would do now, and says when it wants to be
  /// called again; earlier if something was asked of it.
  virtual SteadyTime step() { return SteadyTime::max(); }
  /// Waits until everything submitted is written and synced; then no more commits are taken. For
  /// shutdown.
  virtual void close() = 0;
};

/// Reads a spool directory without changing it (also that of a running daemon).
/// Calls `line` for each finding; returns false if anything is wrong. For `waypost spool verify`.
Result<bool> verify(const std::string& directory, Disk& disk,
                    const std::function<void(std::string)>& line);
/// Every record in order, for `waypost spool dump`. `decode_envelope`: makes a blob readable.
Result<> dump(const std::string& directory, Disk& disk,
              const std::function<std::string(std::string_view)>& decode_envelope,
              const std::function<void(std::string)>& line);

}  // namespace waypost::spool
