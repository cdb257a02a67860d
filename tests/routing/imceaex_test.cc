#include "waypost/routing/router.h"

#include <gtest/gtest.h>

namespace waypost::routing {
namespace {

TEST(Imceaex, DecodesSlashesAndCharacters) {
  EXPECT_EQ(decode_imceaex(
                "IMCEAEX-_O=CORP_OU=EXCHANGE+20ADMINISTRATIVE+20GROUP+20+28FYDIBOHF23SPDLT+29_CN="
                "RECIPIENTS_CN=Bob")
                .value(),
            "/O=CORP/OU=EXCHANGE ADMINISTRATIVE GROUP (FYDIBOHF23SPDLT)/CN=RECIPIENTS/CN=Bob");
  EXPECT_EQ(decode_imceaex("imceaex-_o=a+5Fb+2Bc").value(), "/o=a_b+c");
}

TEST(Imceaex, LeavesAllOtherLocalPartsAlone) {
  for (const std::string_view local :
       {"", "bob", "IMCEA-x", "IMCEAEX", "IMCEAEX-", "xIMCEAEX-_o=a"})
    EXPECT_FALSE(decode_imceaex(local)) << local;
}

TEST(Imceaex, NeverYieldsAControlCharacter) {
  EXPECT_EQ(decode_imceaex("IMCEAEX-_o=a+0D+0Ab+7f+00").value(), "/o=a+0D+0Ab+7f+00");
  EXPECT_EQ(decode_imceaex("IMCEAEX-a\r\nb\xC3\xA4").value(), "a??b??");
}

TEST(Imceaex, KeepsBrokenEscapes) {
  EXPECT_EQ(decode_imceaex("IMCEAEX-a+").value(), "a+");
  EXPECT_EQ(decode_imceaex("IMCEAEX-a+4").value(), "a+4");
  EXPECT_EQ(decode_imceaex("IMCEAEX-a+zz_").value(), "a+zz/");
  EXPECT_EQ(decode_imceaex("IMCEAEX-+C3+A4").value(), "+C3+A4");
}

}  // namespace
}  // namespace waypost::routing
