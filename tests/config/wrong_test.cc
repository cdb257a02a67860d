// Every file in wrong/ has its complaints beside it, word for word. After a wanted change:
// WAYPOST_WRITE_GOLDEN=1 config_test --gtest_filter='Wrong*', and read the difference.
#include "config/config_fixture.h"

#include <algorithm>
#include <vector>

namespace waypost::config {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> wrong_files() {
  std::vector<std::string> names;
  for (const auto& item : fs::directory_iterator(source_file("tests/config/wrong")))
    if (item.path().extension() == ".yaml") names.push_back(item.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

/// Modes are set here: a checkout does not keep them.
void copy_material(const fs::path& to) {
  for (const auto& item : fs::directory_iterator(source_file("tests/config/wrong"))) {
    if (item.path().extension() == ".txt") continue;
    const auto copy = to / item.path().filename();
    fs::copy_file(item.path(), copy);
    const auto name = item.path().filename().string();
    const bool secret = item.path().extension() == ".key" && name != "readable.key";
    fs::permissions(copy, secret ? fs::perms(0600) : fs::perms(0644));
  }
  fs::create_directory(to / "folder");
}

class WrongConfiguration : public ::testing::TestWithParam<std::string> {};

TEST_P(WrongConfiguration, IsExplained) {
  const EnteredFolder folder;
  copy_material(folder.path());
  const auto said = listed(load_file(GetParam() + ".yaml").diagnostics);
  EXPECT_FALSE(said.empty());
  const auto golden = source_file("tests/config/wrong/" + GetParam() + ".txt");
  if (std::getenv("WAYPOST_WRITE_GOLDEN") != nullptr) std::ofstream(golden) << said;
  EXPECT_EQ(said, read_whole(golden));
}

INSTANTIATE_TEST_SUITE_P(Files, WrongConfiguration, ::testing::ValuesIn(wrong_files()),
                         [](const auto& file) {
                           auto name = file.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(WrongConfigurations, AreOfAtLeastTwentyKinds) { EXPECT_GE(wrong_files().size(), 20u); }

}  // namespace
}  // namespace waypost::config
