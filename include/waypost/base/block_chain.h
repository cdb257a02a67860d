// Message bodies in memory: fixed-size blocks under one budget.
//
// MemoryBudget: one per process, any thread. BlockChain: one owner at a time, may move between
// threads. append() never fails; it is the session's duty to stop reading (or to stream to the
// spool) when MemoryBudget::exhausted() says so. Blocks return to the budget when the chain is
// cleared or destroyed.
#pragma once

#include <sys/uio.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace waypost {

inline constexpr std::size_t kBlockSize = 16 * 1024;

class MemoryBudget {
 public:
  explicit MemoryBudget(std::size_t limit_bytes) : limit_(limit_bytes) {}
  std::size_t limit() const { return limit_; }
  std::size_t used() const { return used_.load(std::memory_order_relaxed); }
  bool exhausted() const { return used() >= limit_; }
  void take(std::size_t bytes) { used_.fetch_add(bytes, std::memory_order_relaxed); }
  void give_back(std::size_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }

 private:
  std::size_t limit_;
  std::atomic<std::size_t> used_{0};
};

class BlockChain {
 public:
  /// REQUIRES: `budget` (may be null: unaccounted) outlives the chain.
  explicit BlockChain(MemoryBudget* budget = nullptr) : budget_(budget) {}
  BlockChain(BlockChain&& other) noexcept;
  BlockChain& operator=(BlockChain&& other) noexcept;
  BlockChain(const BlockChain&) = delete;
  BlockChain& operator=(const BlockChain&) = delete;
  ~BlockChain() { clear(); }

  void append(std::string_view bytes);
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  void clear();
  /// The bytes in order, one entry a block; valid until the next append or clear.
  void append_iovecs(std::vector<iovec>& to) const;
  /// Calls `visit(std::string_view)` for each block in order.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      const bool last = i + 1 == blocks_.size();
      visit(std::string_view(blocks_[i].get(), last ? size_ - i * kBlockSize : kBlockSize));
    }
  }
  std::string flatten() const;

 private:
  std::vector<std::unique_ptr<char[]>> blocks_;
  std::size_t size_ = 0;
  MemoryBudget* budget_;
};

}  // namespace waypost
