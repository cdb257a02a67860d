#include "waypost/base/block_chain.h"

#include <gtest/gtest.h>

namespace waypost {
namespace {

TEST(BlockChain, KeepsBytesOverBlockBorders) {
  BlockChain chain;
  std::string expected;
  for (int i = 0; i < 5000; ++i) {
    const std::string piece = "piece " + std::to_string(i) + "\r\n";
    chain.append(piece);
    expected += piece;
  }
  EXPECT_EQ(chain.size(), expected.size());
  EXPECT_EQ(chain.flatten(), expected);
  std::vector<iovec> gather;
  chain.append_iovecs(gather);
  EXPECT_EQ(gather.size(), (expected.size() + kBlockSize - 1) / kBlockSize);
}

TEST(BlockChain, ExactlyFullBlocksLeaveNoEmptyOne) {
  BlockChain chain;
  chain.append(std::string(2 * kBlockSize, 'x'));
  std::vector<iovec> gather;
  chain.append_iovecs(gather);
  ASSERT_EQ(gather.size(), 2u);
  EXPECT_EQ(gather[1].iov_len, kBlockSize);
  chain.append("y");
  EXPECT_EQ(chain.flatten(), std::string(2 * kBlockSize, 'x') + "y");
}

TEST(BlockChain, TakesFromTheBudgetAndGivesBack) {
  MemoryBudget budget(2 * kBlockSize);
  {
    BlockChain chain(&budget);
    chain.append(std::string(kBlockSize + 1, 'x'));
    EXPECT_EQ(budget.used(), 2 * kBlockSize);
    EXPECT_TRUE(budget.exhausted());
    BlockChain other = std::move(chain);
    EXPECT_EQ(budget.used(), 2 * kBlockSize);
    EXPECT_TRUE(
        chain.empty());  // NOLINT(bugprone-use-after-move): moved-from chains are empty by contract
    other = BlockChain(&budget);
    EXPECT_EQ(budget.used(), 0u);
    other.append("z");
    EXPECT_EQ(budget.used(), kBlockSize);
  }
  EXPECT_EQ(budget.used(), 0u);
}

}  // namespace
}  // namespace waypost
