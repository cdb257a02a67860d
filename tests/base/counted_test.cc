#include "waypost/base/counted.h"

#include <gtest/gtest.h>

namespace waypost {
namespace {

TEST(Counted, OneIsOne) {
  EXPECT_EQ(counted(0, "listener"), "0 listeners");
  EXPECT_EQ(counted(1, "listener"), "1 listener");
  EXPECT_EQ(counted(2, "listener"), "2 listeners");
  EXPECT_EQ(counted(1, "person", "people"), "1 person");
  EXPECT_EQ(counted(3, "person", "people"), "3 people");
  EXPECT_EQ(counted(1, "delivery waits", "deliveries wait"), "1 delivery waits");
  EXPECT_EQ(noun(2, "it has", "they have"), "they have");
}

}  // namespace
}  // namespace waypost
