#include "waypost/spool/spool.h"

#include "spool/committer.h"
#include "spool/content_reader.h"

#include <boost/asio/async_result.hpp>
#include <boost/asio/executor_work_guard.hpp>

#include <algorithm>
#include <tuple>

namespace waypost::spool {
namespace {

constexpr std::size_t kMostExtents = 60'000;

template <class Handler>
class HandlerWaiter final : public Waiter {
 public:
  explicit HandlerWaiter(Handler handler) : handler_(std::move(handler)) {}
  void run() override {
    Handler handler = std::move(handler_);
    std::move(handler)();
  }

 private:
  Handler handler_;
};

struct Submit {
  Committer* committer;
  WaitingRequest* request;
  template <class Handler>
  void operator()(Handler&& handler) {
    request->waiter =
        std::make_unique<HandlerWaiter<std::decay_t<Handler>>>(std::forward<Handler>(handler));
    committer->submit(request);
  }
};

net::Task<> submitted(Committer* committer, WaitingRequest* request) {
  return boost::asio::async_initiate<const boost::asio::use_awaitable_t<net::Executor>, void()>(
      Submit{committer, request}, net::use_task);
}

class Arriving final : public IncomingMessage {
 public:
  Arriving(Log& log, Committer& committer, MemoryBudget& budget, std::uint64_t threshold,
           net::Executor executor)
      : log_(log),
        committer_(committer),
        budget_(budget),
        threshold_(std::min(threshold, log.record_limit())),
        executor_(std::move(executor)),
        content_(&budget) {}
  ~Arriving() override {
    count(-counted_);
    abandon();
  }
  Arriving(const Arriving&) = delete;
  Arriving& operator=(const Arriving&) = delete;

  void append(std::string_view bytes) override {
    content_.append(bytes);
    // Small mail is not worth a count.
    const auto size = static_cast<std::int64_t>(content_.size());
    if (size - counted_ >= static_cast<std::int64_t>(kCountFrom)) count(size - counted_);
  }
  std::uint64_t octets() const override { return streamed_ + content_.size(); }
  bool wants_flush() const override {
    return content_.size() > threshold_ || (content_.size() >= kBlockSize && budget_.exhausted());
  }

  net::Task<Result<>> flush() override {
    const auto working = boost::asio::make_work_guard(executor_);
    while (!content_.empty()) {
      if (!committer_.has_room()) {
        content_.clear();
        count(-counted_);
        abandon();  // at once: others may need the room
        co_return fail(ErrorKind::exhausted, "too little free space for the spool");
      }
      if (extents_.size() >= kMostExtents) {
        co_return fail(ErrorKind::exhausted, "the message came in too many pieces");
      }
      ChunkRequest request(executor_);
      request.content = take_piece();
      co_await submitted(&committer_, &request);
      count(static_cast<std::int64_t>(content_.size()) - counted_);
      if (request.error) co_return fail(std::move(*request.error));
      streamed_ += request.extent.octets;
      extents_.push_back(request.extent);
    }
    co_return Result<>{};
  }

  net::Task<Result<MessageRef>> commit(QueueId id, std::string envelope,
                                       std::uint32_t recipients) override {
    if (recipients == 0 || recipients > kMostRecipients || id.value == 0) {
      co_return fail(ErrorKind::invalid, "a message needs an id and 1 to 1,000,000 recipients");
    }
    if (content_.size() > log_.record_limit()) {
      auto flushed = co_await flush();
      if (!flushed) co_return fail(std::move(flushed).error());
    }
    const auto working = boost::asio::make_work_guard(executor_);
    MessageRequest request(executor_);
    request.id = id;
    request.envelope = std::move(envelope);
    request.recipients = recipients;
    request.content = std::move(content_);
    request.extents = extents_;
    co_await submitted(&committer_, &request);
    count(-counted_);
    if (request.error) co_return fail(std::move(*request.error));
    extents_.clear();
    co_return request.ref;
  }

 private:
  static constexpr std::size_t kCountFrom = 64 * 1024;
  void count(std::int64_t octets) {
    if (octets == 0) return;
    counted_ += octets;
    committer_.count_arriving(octets);
  }

  BlockChain take_piece() {
    if (content_.size() <= log_.record_limit()) {
      BlockChain all = std::move(content_);
      content_ = BlockChain(&budget_);
      return all;
    }
    BlockChain first(&budget_);
    BlockChain rest(&budget_);
    const std::uint64_t limit = std::max<std::uint64_t>(kBlockSize, log_.record_limit() / 2);
    content_.for_each([&](std::string_view piece) {
      (first.size() + piece.size() <= limit ? first : rest).append(piece);
    });
    content_ = std::move(rest);
    return first;
  }

  void abandon() {
    if (extents_.empty()) return;
    auto request = std::make_unique<AbandonRequest>();
    request->extents = std::move(extents_);
    committer_.submit(request.release());
  }

  Log& log_;
  Committer& committer_;
  MemoryBudget& budget_;
  std::uint64_t threshold_;
  net::Executor executor_;
  BlockChain content_;
  std::vector<Extent> extents_;
  std::uint64_t streamed_ = 0;
  std::int64_t counted_ = 0;  // of content_, as the committer knows it
};

class SegmentSpool final : public Spool {
 public:
  SegmentSpool(const Options& options, Disk& disk, MemoryBudget& budget)
      : options_(options), disk_(disk), budget_(budget), log_(options, disk, budget) {}

  Result<> start(const Clock& clock, ops::Metrics& metrics, const Taker& found,
                 RecoveryReport& report) {
    if (auto made = disk_.make_directory(options_.directory); !made) return made;
    auto lock = disk_.lock(options_.directory + "/lock");
    if (!lock) return fail(lock.error());
    lock_ = std::move(*lock);
    if (auto recovered = log_.recover(report); !recovered) return recovered;
    if (found) {
      for (std::string& trouble : log_.hand_over({found})) {
        report.set_aside.push_back(std::move(trouble));
      }
    }
    committer_ = std::make_unique<Committer>(options_, disk_, clock, log_, metrics);
    return {};
  }

  std::vector<std::string> hand_over(const std::vector<Taker>& takers) override {
    return log_.hand_over(takers);
  }
  bool has_room() const override { return committer_->has_room() && !log_.read_only(); }
  bool read_only() const override { return log_.read_only() || log_.displaced(); }
  bool stuck() const override { return committer_->stuck(); }
  std::unique_ptr<IncomingMessage> begin(net::Executor executor) override {
    return std::make_unique<Arriving>(log_, *committer_, budget_, options_.stream_threshold,
                                      std::move(executor));
  }

  void settle(const MessageRef& ref, std::uint32_t recipient, Settlement how) override {
    if (how == Settlement::open || log_.slots().find(ref.slot) == nullptr) return;
    auto request = std::make_unique<SettleRequest>();
    {
      const std::lock_guard lock(log_.slots().mutex(ref.slot));
      Slot& slot = *log_.slots().find(ref.slot);
      if (slot.id != ref.id.value || recipient >= slot.recipients) return;
      const auto was = static_cast<Settlement>(slot.state(recipient));
      const bool report_sent = was == Settlement::failed && how == Settlement::reported;
      if (was != Settlement::open && !report_sent) return;
      slot.set_state(recipient, static_cast<std::uint8_t>(how));
      if (was == Settlement::open && --slot.open == 0) slot.forget_content();
      ++slot.pending;
    }
    request->slot = ref.slot;
    request->entry = {ref.id.value, 0, log_.next_stamp(), recipient,
                      static_cast<std::uint32_t>(how)};
    committer_->submit(request.release());
  }

  void set_held(const MessageRef& ref, bool held) override {
    if (log_.slots().find(ref.slot) == nullptr) return;
    auto request = std::make_unique<SettleRequest>();
    {
      const std::lock_guard lock(log_.slots().mutex(ref.slot));
      Slot& slot = *log_.slots().find(ref.slot);
      if (slot.id != ref.id.value || slot.open == 0) return;
      slot.held = held ? 1 : 0;
      slot.held_stamp = log_.next_stamp();
      ++slot.pending;
      request->entry = {ref.id.value, 0, slot.held_stamp, 0, held ? kEntryHeld : kEntryReleased};
    }
    request->slot = ref.slot;
    committer_->submit(request.release());
  }

  Result<StoredMessage> load(const MessageRef& ref) override { return load_message(log_, ref); }
  Result<std::unique_ptr<ContentReader>> read(const MessageRef& ref) override {
    return make_content_reader(log_, ref);
  }
  void forget_content(const MessageRef& ref) override {
    if (log_.slots().find(ref.slot) == nullptr) return;
    const std::lock_guard lock(log_.slots().mutex(ref.slot));
    Slot& slot = *log_.slots().find(ref.slot);
    if (slot.id == ref.id.value) slot.forget_content();
  }

  SpoolHealth health() const override {
    SpoolHealth health;
    health.read_only = log_.read_only();
    health.stuck = committer_->stuck();
    health.reason = log_.read_only_reason();
    health.displaced = log_.displaced_why();
    health.failing = committer_->failing();
    std::tie(health.unwritten_ends, health.ends_trouble) = log_.unwritten_ends();
    health.room = has_room();
    health.free_octets = committer_->free_octets();
    health.used_octets = log_.used_octets();
    health.messages = const_cast<Log&>(log_).slots().used();
    health.segments_live = log_.segments_live();
    health.segments_spare = log_.segments_spare();
    return health;
  }
  SteadyTime step() override { return committer_->step(); }
  void close() override { committer_->close(); }

 private:
  Options options_;
  Disk& disk_;
  MemoryBudget& budget_;
  std::shared_ptr<void> lock_;
  Log log_;
  std::unique_ptr<Committer> committer_;
};

}  // namespace

Result<std::unique_ptr<Spool>> Spool::open(const Options& options, Disk& disk, const Clock& clock,
                                           MemoryBudget& budget, ops::Metrics& metrics, Taker found,
                                           RecoveryReport& report) {
  auto spool = std::make_unique<SegmentSpool>(options, disk, budget);
  if (auto started = spool->start(clock, metrics, found, report); !started) {
    return fail(std::move(started).error());
  }
  return spool;
}

}  // namespace waypost::spool
