// The segment log itself: what is written where, what lives, what may be reused. No threads here:
// the committer calls everything, except where a member says otherwise, so that a test can drive it
// operation by operation.
//
// The rule of reuse (FORMAT.md has the proof): a segment is freed when no live message has octets
// in it and every older segment that its records refer to has been freed before, durably.
#pragma once

#include "waypost/base/durable.h"

#include "spool/request.h"
#include "spool/segment_index.h"
#include "spool/segment_list.h"

#include <deque>
#include <set>
#include <shared_mutex>
#include <unordered_map>

namespace waypost::spool {

struct Segment {
  enum class State : std::uint8_t { spare, active, sealed };
  std::uint32_t number = 0;  // in the file's name
  std::uint32_t index = 0;   // in the log's list
  std::shared_ptr<File> file;
  State state = State::spare;
  File::Place place = File::Place::its_own;  // when it was looked at last
  SegmentHeader header;
  std::uint32_t seed = 0;
  std::uint64_t mark = 0;         // the sequence last marked free in this file
  std::uint64_t write_at = 0;     // where the next batch begins
  std::uint64_t dirty_until = 0;  // a failed batch may have left octets up to here
  std::uint64_t known_until = 0;  // a sealed one: up to here it was written; 0: not known
  std::uint64_t live_octets = 0;
  std::uint32_t live_pieces = 0;   // messages and chunks
  std::set<std::uint64_t> refers;  // older segments that its settlements speak of
  std::set<std::uint64_t> copies;  // older segments whose messages have newer copies here
  bool kept = false;               // damage in it could not be copied to set-aside
  bool unmovable = false;          // an evacuation found something damaged or unreadable
  IndexPieces records;             // for its index, until that is written
  bool indexed = false;            // an index has been ordered or found
};

/// Messages of one segment that recovery found, in order of their places.
struct RecoveredSegment {
  struct Message {
    std::uint32_t slot = 0;
    std::uint32_t offset_words = 0;
  };
  std::uint32_t segment = 0;
  SegmentHeader header;
  std::vector<Message> messages;
};

/// One gather write in the making.
struct Batch {
  struct Placed {
    WaitingRequest* request = nullptr;
    std::uint64_t offset = 0;
    std::uint32_t head_octets = 0;
    std::uint32_t content_crc = 0;
  };
  struct Move {
    std::uint32_t slot = 0;
    std::uint64_t offset = 0;
    std::uint32_t head_octets = 0;
    std::uint32_t content_crc = 0;
    std::uint64_t from_sequence = 0;
    std::shared_ptr<const std::vector<Extent>> extents;
  };
  std::vector<iovec> pieces;
  std::deque<std::string> heads;
  std::uint64_t octets = 0;  // behind the segment's write_at
  std::vector<Placed> placed;
  std::vector<Move> moves;
  std::vector<std::unique_ptr<SettleRequest>> settled;
  std::vector<Entry> relogged;
  IndexPieces records;
};

/// The list of segments to write, and files that may go once it is durable: by any one thread.
struct ListOrder {
  std::string text;
  std::vector<std::uint32_t> removals;  // numbers
};

/// What came of the writing since it was asked last. `no_room`: of a full disk, a quota or the
/// limit of the process on the size of files.
struct WriteOutcome {
  bool succeeded = false;
  std::optional<std::string> failed, no_room;
};

class Log {
 public:
  using Taker = std::function<void(StoredMessage)>;
  Log(const Options& options, Disk& disk, MemoryBudget& budget);

  /// Before anything else: reads what is there.
  Result<> recover(RecoveryReport& report);
  /// After recover(), once: passes what it found to `takers`, in turn, each on a thread of its own
  /// (a single one on this thread). Returns what could not be read again.
  std::vector<std::string> hand_over(const std::vector<Taker>& takers);

  /// Takes requests off the front of `requests` into one batch, writes and syncs it. Finished ones
  /// are in done(). At least one request is taken.
  void run_batch(std::deque<Request*>& requests);
  /// One bounded step of reclaiming space; true if there is more to do at once.
  bool reclaim();
  /// Reclaiming that failed for a reason that may have passed, such as a full disk, begins again.
  /// Now and then.
  void try_again();
  std::vector<WaitingRequest*>& done() { return done_; }
  /// Spare segments that the background worker should make now, by number. In steady state a sealed
  /// segment soon becomes a spare by itself, so only a shortage that lasts is made good.
  std::vector<std::uint32_t> take_spare_orders(SteadyTime now);
  /// The index of a sealed segment to write, by any thread. The segment sealed last is passed over
  /// unless `all`: mail that is delivered at once frees it before it needs an index.
  std::optional<IndexOrder> take_index_order(bool all);
  /// Nothing: all is as it was listed last.
  std::optional<ListOrder> take_list_order();
  /// What was ordered could not be done.
  void keep_for_later(const ListOrder& order);
  /// Any thread, one at a time.
  Result<> carry_out(const ListOrder& order);
  WriteOutcome take_outcome() { return std::exchange(outcome_, {}); }
  /// When there is time: what stands behind the last batch proves to a later start that the batch
  /// was safe. Not synced: the next batch takes its place.
  void prove_last_batch();
  /// A small batch, to see whether the disk takes one again.
  void probe_writing();
  /// True if some live segment can be read from the disk, or there is none.
  Result<> probe_reading();
  /// Any thread: a read for a message has failed since the last probe.
  void note_failed_read() const { read_failed_.store(true, std::memory_order_relaxed); }
  bool take_failed_read() { return read_failed_.exchange(false, std::memory_order_relaxed); }
  /// Now and then: whether the files are still where a restart looks for them. What was removed is
  /// left, and its mail moved on.
  void look_at_places();
  /// After the last batch: the segment in use gets an index too.
  void seal_active();
  bool has_unwritten_settlements() const { return !waiting_settlements_.empty(); }
  std::size_t unwritten_settlements() const { return waiting_settlements_.size(); }

  // Any thread.
  bool read_only() const { return read_only_.load(std::memory_order_relaxed); }
  std::string read_only_reason() const;
  /// A file that a restart needs is not in its place: no mail is taken.
  bool displaced() const { return displaced_.load(std::memory_order_relaxed); }
  std::string displaced_why() const;
  /// Ends of recipients that could not be written when it was tried last, and why.
  std::pair<std::uint64_t, std::string> unwritten_ends() const;
  std::shared_ptr<File> file_of(std::uint32_t segment) const;
  std::shared_ptr<File> file_of_sequence(std::uint64_t sequence, std::uint32_t& seed) const;
  std::uint32_t seed_of(std::uint32_t segment) const;
  Slots& slots() { return slots_; }
  std::uint64_t next_stamp() { return stamp_.fetch_add(1, std::memory_order_relaxed); }
  std::uint64_t used_octets() const { return used_octets_.load(std::memory_order_relaxed); }
  std::uint32_t segments_live() const { return live_count_.load(std::memory_order_relaxed); }
  std::uint32_t segments_spare() const { return spare_count_.load(std::memory_order_relaxed); }
  std::uint64_t record_limit() const { return options_.segment_octets / 4; }
  std::string path(std::uint32_t number) const;
  std::string index_path(std::uint32_t number) const;

 private:
  friend class Recovery;
  friend class HandOver;
  bool take_unawaited(Request* request);
  std::uint64_t octets_of(const WaitingRequest& request) const;
  bool place(Batch& batch, WaitingRequest* request);
  void place_message(Batch& batch, MessageRequest& request);
  void place_chunk(Batch& batch, ChunkRequest& request);
  void place_settlements(Batch& batch);
  void note_unwritten_ends(const std::string& why);
  void place_entries(Batch& batch, const std::vector<Entry>& entries);
  bool fits(const Batch& batch, std::uint64_t octets) const;
  std::uint64_t append(Batch& batch, std::string head, const BlockChain* content);
  /// For the flags of a record that is about to be appended.
  std::uint8_t batch_flag(const Batch& batch) const;
  Result<> ensure_active(std::uint64_t octets);
  Result<> ensure_active_for(const WaitingRequest& request);
  void activate(Segment& segment);
  void place_highest_id(Batch& batch);
  void gather_index(Batch& batch);
  /// From the segment's index if it has one, else by scanning it. False: not all could be read.
  bool visit_records(std::uint32_t number, File& file, const SegmentHeader& header,
                     const RecordVisitor& record) const;
  Result<> write_and_sync(Batch& batch);
  /// That a restart would find what was just written, and what it refers to.
  Result<> found_again(const Batch& batch);
  /// So that no later start finds what was refused.
  Result<> take_back(std::uint64_t start, std::uint64_t end, Error why);
  void judge_places();
  bool matters(const Segment& segment) const;
  static bool in_its_place(Segment& segment);
  Segment* choose_removed() const;
  Result<> blank(std::uint64_t start, std::uint64_t end);
  void note_failure(const Error& error);
  void finish(Batch& batch);
  void finish_message(const Batch::Placed& placed);
  void finish_settlement(const SettleRequest& settled);
  void finish_move(const Batch::Move& move);
  void fail_batch(Batch& batch, const Error& error);
  void turn_read_only(const std::string& reason);
  void keep_content(std::uint32_t slot, BlockChain&& content);
  void drop_cached_content();

  void add_live(Segment& segment, std::uint64_t octets);
  void remove_live(Segment& segment, std::uint64_t octets);
  void add_message(const Slot& slot, int direction);
  void add_extents(const std::vector<Extent>& extents, int direction);
  Segment* by_sequence(std::uint64_t sequence);
  bool free_if_possible(Segment& segment);
  Segment* choose_victim();
  bool evacuate_step();
  enum class Moved : std::uint8_t { yes, not_now, never };
  Moved move_message(Batch& batch, std::uint32_t slot, Segment& victim);
  Result<std::vector<Extent>> move_extents(const std::vector<Extent>& extents, Segment& victim);
  Result<std::string> read_sound(File& file, std::uint64_t offset, std::uint64_t octets,
                                 std::uint32_t seed, std::uint32_t crc);
  bool relog_settlements(Segment& victim);
  Segment& add_segment(std::uint32_t number, std::shared_ptr<File> file);
  void count_segments();

  Options options_;
  Disk& disk_;
  MemoryBudget& budget_;
  Slots slots_;
  mutable std::shared_mutex segments_mutex_;  // adding, activating and freeing against readers
  std::vector<std::unique_ptr<Segment>> segments_;
  std::unordered_map<std::uint64_t, Segment*> sequences_;  // active and sealed
  Segment* active_ = nullptr;
  std::uint64_t last_sequence_ = 0;
  std::uint64_t highest_id_ = 0;
  std::uint64_t newest_written_ = 0;  // the newest segment with a sound batch; never freed
  std::uint32_t next_number_ = 1;
  std::uint32_t spares_ordered_ = 0;
  std::optional<SteadyTime> spares_short_since_;
  std::optional<SteadyTime> no_spares_before_;  // the last could not be made
  Duration spare_patience_{};
  bool spare_failed_ = false;
  bool list_changed_ = false;
  DurableFile list_file_;
  std::vector<std::uint32_t> removals_;  // freed files that may go when no list names them
  bool proven_ = true;                   // see prove_last_batch()
  WriteOutcome outcome_;
  mutable std::atomic<bool> read_failed_{false};
  std::uint64_t salt_ = 0;
  std::vector<std::unique_ptr<SettleRequest>> waiting_settlements_;
  std::vector<WaitingRequest*> done_;
  std::deque<std::pair<std::uint32_t, std::uint64_t>> cached_;  // slot and id, oldest first
  std::deque<std::pair<Segment*, std::uint64_t>> unindexed_;    // sealed, with their sequences
  std::vector<RecoveredSegment> recovered_;                     // until they are handed over
  std::uint64_t released_octets_ = 0;  // since reclaim() last looked for a segment to evacuate
  bool look_for_free_ = true;          // one of them may have lost its last message
  bool held_up_ = false;               // something may succeed later
  Segment* victim_ = nullptr;
  std::uint32_t victim_cursor_ = 0;
  std::vector<Entry> to_relog_;
  std::atomic<std::uint64_t> stamp_{1};
  std::atomic<std::uint64_t> used_octets_{0};
  std::atomic<std::uint32_t> live_count_{0}, spare_count_{0};
  std::atomic<bool> read_only_{false};
  std::atomic<bool> displaced_{false};
  bool elsewhere_ = false;  // some of it may come back
  SteadyTime now_{};        // at the begin of this turn of the committer
  SteadyTime found_at_{};   // the files were where a restart looks for them
  mutable std::mutex reason_mutex_;
  std::string reason_, displaced_why_;
  std::uint64_t unwritten_ends_ = 0;  // with its reason under the same mutex
  std::string ends_trouble_;
};

}  // namespace waypost::spool
