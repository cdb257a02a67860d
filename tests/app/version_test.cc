#include "app/version.h"

#include <gtest/gtest.h>

namespace waypost::app {
namespace {

TEST(Version, IsTheProjectsVersion) { EXPECT_EQ(kVersion, WAYPOST_PROJECT_VERSION); }

}  // namespace
}  // namespace waypost::app
