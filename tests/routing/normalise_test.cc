#include "routing/routing_fixture.h"

namespace waypost::routing {
namespace {

std::string domain(std::string_view text) {
  const auto normal = normalise_domain(text);
  return normal ? *normal : "error: " + normal.error().message;
}

TEST(NormaliseDomain, LowersAsciiAndDropsTheTrailingDot) {
  EXPECT_EQ(domain("Corp.EXAMPLE"), "corp.example");
  EXPECT_EQ(domain("corp.example."), "corp.example");
  EXPECT_EQ(domain("_host.corp-2.example"), "_host.corp-2.example");
}

TEST(NormaliseDomain, BringsInternationalNamesToALabels) {
  EXPECT_EQ(domain("büro.example"), "xn--bro-hoa.example");
  EXPECT_EQ(domain("BÜRO.Example"), "xn--bro-hoa.example");
  EXPECT_EQ(domain("bu\xCC\x88ro.example"), "xn--bro-hoa.example") << "decomposed u + diaeresis";
  EXPECT_EQ(domain("XN--BRO-HOA.example"), "xn--bro-hoa.example");
  EXPECT_EQ(domain("faß.example"), "xn--fa-hia.example") << "not transitional";
  EXPECT_EQ(domain("例え。テスト"), domain("例え.テスト")) << "ideographic full stop";
}

TEST(NormaliseDomain, RefusesWhatIsNoDomain) {
  for (const std::string_view bad : {"", ".", "a..b", ".a", "-a.example", "a-.example",
                                     "[192.0.2.1]", "a b.example", "xn--a.example", "a\x01.example",
                                     "xn--zzzzzzzz99999.example", "a/b.example", "ex\xFF.example"})
    EXPECT_FALSE(normalise_domain(bad)) << bad;
  EXPECT_FALSE(normalise_domain(std::string(64, 'a') + ".example"));
  EXPECT_TRUE(normalise_domain(std::string(63, 'a') + ".example"));
  EXPECT_FALSE(normalise_domain(std::string_view("a\0b.example", 11)));
  std::string longest;
  while (longest.size() < 250) longest += "abcdefghi.";
  EXPECT_FALSE(normalise_domain(longest + "abcdefghi"));
}

TEST(NormaliseKey, FoldsAsciiOfTheLocalPartOnly) {
  EXPECT_EQ(normalise_key({"Bob.Baker", "Corp.Example"}).value(), "bob.baker@corp.example");
  EXPECT_EQ(normalise_key({"ÄNNE.X", "corp.example"}).value(), "Änne.x@corp.example");
  EXPECT_EQ(normalise_key({"a@B c", "corp.example"}).value(), "a@b c@corp.example");
}

TEST(NormaliseKey, ReportsADomainThatCannotBe) {
  const auto key = normalise_key({"bob", "a..b"});
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().kind, ErrorKind::invalid);
}

}  // namespace
}  // namespace waypost::routing
