// The product's spool, with the ledger looking on. Once `silent`, nothing of what a dying gateway
// still does counts.
#pragma once

#include "sim/ledger.h"

#include <memory>
#include <string>
#include <utility>

namespace waypost::sim {

class WatchedSpool final : public spool::Spool {
 public:
  WatchedSpool(std::unique_ptr<spool::Spool> spool, Ledger& ledger)
      : spool_(std::move(spool)), ledger_(ledger) {}
  bool silent = false;

  bool has_room() const override { return spool_->has_room(); }
  bool read_only() const override { return spool_->read_only(); }
  std::unique_ptr<spool::IncomingMessage> begin(net::Executor executor) override {
    return std::make_unique<Incoming>(*this, spool_->begin(std::move(executor)));
  }
  void settle(const spool::MessageRef& ref, std::uint32_t recipient,
              spool::Settlement how) override {
    if (!silent) ledger_.settled(ref.id, recipient, how);
    spool_->settle(ref, recipient, how);
  }
  void set_held(const spool::MessageRef& ref, bool held) override { spool_->set_held(ref, held); }
  Result<spool::StoredMessage> load(const spool::MessageRef& ref) override {
    return spool_->load(ref);
  }
  Result<std::unique_ptr<spool::ContentReader>> read(const spool::MessageRef& ref) override {
    return spool_->read(ref);
  }
  void forget_content(const spool::MessageRef& ref) override { spool_->forget_content(ref); }
  spool::SpoolHealth health() const override { return spool_->health(); }
  SteadyTime step() override { return spool_->step(); }
  void close() override { spool_->close(); }

 private:
  class Incoming final : public spool::IncomingMessage {
   public:
    Incoming(WatchedSpool& spool, std::unique_ptr<spool::IncomingMessage> message)
        : spool_(spool), message_(std::move(message)) {}
    void append(std::string_view bytes) override {
      content_ += bytes;
      message_->append(bytes);
    }
    std::uint64_t octets() const override { return message_->octets(); }
    bool wants_flush() const override { return message_->wants_flush(); }
    net::Task<Result<>> flush() override { return message_->flush(); }
    net::Task<Result<spool::MessageRef>> commit(QueueId id, std::string envelope,
                                                std::uint32_t recipients) override {
      if (!spool_.silent) {
        const auto decoded = mail::decode_envelope(envelope);
        if (decoded) spool_.ledger_.commit_begins(id, *decoded, content_);
        if (!decoded) spool_.ledger_.accuse("an envelope is stored that can't be read");
      }
      auto committed = co_await message_->commit(id, std::move(envelope), recipients);
      if (!spool_.silent) {
        spool_.ledger_.commit_ends(id, committed ? nullptr : &committed.error());
      }
      co_return committed;
    }

   private:
    WatchedSpool& spool_;
    std::unique_ptr<spool::IncomingMessage> message_;
    std::string content_;
  };
  std::unique_ptr<spool::Spool> spool_;
  Ledger& ledger_;
};

class WatchedTracking final : public ops::TrackingLog {
 public:
  explicit WatchedTracking(Ledger& ledger) : ledger_(ledger) {}
  bool silent = false;
  void write(const ops::TrackingEvent& event) override {
    if (!silent) ledger_.tracked(event);
  }

 private:
  Ledger& ledger_;
};

}  // namespace waypost::sim
