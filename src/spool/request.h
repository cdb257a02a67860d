// What shards hand to the committer, and the lock-free stack that carries it.
//
// A request that waits (message, chunk) is owned by the waiting coroutine's frame; the others are
// on the heap and belong to the committer once pushed.
#pragma once

#include "spool/slots.h"

#include <atomic>

namespace waypost::spool {

/// A suspended coroutine; run() resumes it, destroying it unwinds the coroutine.
class Waiter {
 public:
  virtual ~Waiter() = default;
  virtual void run() = 0;
};

struct Request {
  enum class Kind : std::uint8_t { message, chunk, settle, abandon, spare };
  explicit Request(Kind k) : kind(k) {}
  virtual ~Request() = default;
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;
  Request* next = nullptr;
  Kind kind;
  bool waits() const { return kind == Kind::message || kind == Kind::chunk; }
};

struct WaitingRequest : Request {
  WaitingRequest(Kind k, net::Executor on) : Request(k), executor(std::move(on)) {}
  net::Executor executor;
  std::unique_ptr<Waiter> waiter;
  BlockChain content;
  std::optional<Error> error;
};

struct MessageRequest final : WaitingRequest {
  explicit MessageRequest(net::Executor on) : WaitingRequest(Kind::message, std::move(on)) {}
  QueueId id;
  std::string envelope;
  std::uint32_t recipients = 0;
  std::vector<Extent> extents;
  MessageRef ref;
};

struct ChunkRequest final : WaitingRequest {
  explicit ChunkRequest(net::Executor on) : WaitingRequest(Kind::chunk, std::move(on)) {}
  Extent extent;
};

struct SettleRequest final : Request {
  SettleRequest() : Request(Kind::settle) {}
  std::uint32_t slot = 0;
  Entry entry;
};

/// Streamed pieces of a message that will not be committed.
struct AbandonRequest final : Request {
  AbandonRequest() : Request(Kind::abandon) {}
  std::vector<Extent> extents;
};

struct SpareRequest final : Request {
  SpareRequest() : Request(Kind::spare) {}
  std::uint32_t number = 0;
  std::shared_ptr<File> file;  // null: could not be made
};

/// Many push, one takes all.
class RequestStack {
 public:
  void push(Request* request) {
    request->next = head_.load(std::memory_order_relaxed);
    while (!head_.compare_exchange_weak(request->next, request, std::memory_order_seq_cst)) {
    }
  }
  bool empty() const { return head_.load(std::memory_order_seq_cst) == nullptr; }
  /// Oldest first.
  void take(std::vector<Request*>& into) {
    Request* taken = head_.exchange(nullptr, std::memory_order_seq_cst);
    const std::size_t first = into.size();
    for (; taken != nullptr; taken = taken->next) into.push_back(taken);
    for (std::size_t i = first, j = into.size(); i + 1 < j; ++i) std::swap(into[i], into[--j]);
  }

 private:
  alignas(64) std::atomic<Request*> head_{nullptr};
};

}  // namespace waypost::spool
