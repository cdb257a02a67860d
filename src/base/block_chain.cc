#include "waypost/base/block_chain.h"

#include <algorithm>
#include <cstring>

namespace waypost {

BlockChain::BlockChain(BlockChain&& other) noexcept
    : blocks_(std::move(other.blocks_)), size_(other.size_), budget_(other.budget_) {
  other.blocks_.clear();
  other.size_ = 0;
}

BlockChain& BlockChain::operator=(BlockChain&& other) noexcept {
  if (this != &other) {
    clear();
    blocks_ = std::move(other.blocks_);
    size_ = other.size_;
    budget_ = other.budget_;
    other.blocks_.clear();
    other.size_ = 0;
  }
  return *this;
}

void BlockChain::append(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t used = size_ % kBlockSize;
    if (size_ == blocks_.size() * kBlockSize) {
      blocks_.push_back(std::make_unique_for_overwrite<char[]>(kBlockSize));
      if (budget_ != nullptr) budget_->take(kBlockSize);
    }
    const std::size_t n = std::min(bytes.size(), kBlockSize - used);
    std::memcpy(blocks_.back().get() + used, bytes.data(), n);
    size_ += n;
    bytes.remove_prefix(n);
  }
}

void BlockChain::clear() {
  if (budget_ != nullptr && !blocks_.empty()) budget_->give_back(blocks_.size() * kBlockSize);
  blocks_.clear();
  size_ = 0;
}

void BlockChain::append_iovecs(std::vector<iovec>& to) const {
  for_each([&to](std::string_view piece) {
    to.push_back(iovec{const_cast<char*>(piece.data()), piece.size()});
  });
}

std::string BlockChain::flatten() const {
  std::string all;
  all.reserve(size_);
  for_each([&all](std::string_view piece) { all.append(piece); });
  return all;
}

}  // namespace waypost
