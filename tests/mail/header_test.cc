#include "waypost/mail/header.h"

#include <gtest/gtest.h>

namespace waypost::mail {
namespace {

TEST(HeaderScan, FindsTheSameHoweverTheBytesAreCut) {
  const std::string head =
      "Received: from by.example\r\n\tby GW.corp.example (x) id 1;\r\n\tMon\r\n"
      "received : (by gw.corp.example) by other.example\r\nX-Received: no\r\n"
      "Message-ID:\r\n\t<a@b>\r\nSubject: y\r\n\r\n";
  const std::string all = head + "Received: in the body\r\n\r\n";
  for (std::size_t cut = 0; cut <= all.size(); ++cut) {
    HeaderScan scan("gw.CORP.example");
    scan.feed(std::string_view(all).substr(0, cut));
    scan.feed(std::string_view(all).substr(cut));
    ASSERT_TRUE(scan.header_complete());
    EXPECT_EQ(scan.received_count(), 2u);
    EXPECT_EQ(scan.own_received_count(), 1u);
    EXPECT_EQ(scan.message_id(), "<a@b>");
    EXPECT_EQ(scan.header_octets(), head.size());
  }
}

TEST(HeaderScan, KnowsItsOwnNameWithAndWithoutTheRoot) {
  for (const auto& [by, ours] : {std::pair{"gw.corp.example", 1u},
                                 {"gw.corp.example.", 1u},
                                 {"GW.Corp.Example.", 1u},
                                 {"gw.corp.example..", 0u},
                                 {"gw.corp.example.net", 0u},
                                 {"w.corp.example", 0u}}) {
    HeaderScan scan("gw.corp.example");
    scan.feed(std::string("Received: from x.example by ") + by + " with SMTP; Mon\r\n\r\n");
    EXPECT_EQ(scan.own_received_count(), ours) << by;
  }
}

TEST(HeaderScan, BearsBareLfAndNoHeaderAndNoEnd) {
  HeaderScan lf("gw");
  lf.feed("Message-Id: <x>\nReceived: by gw\n\nb");
  EXPECT_EQ(lf.message_id(), "<x>");
  EXPECT_EQ(lf.own_received_count(), 1u);
  EXPECT_EQ(lf.header_octets(), 33u);
  HeaderScan none("gw");
  none.feed("\r\nReceived: by gw\r\n");
  EXPECT_EQ(none.header_octets(), 2u);
  EXPECT_EQ(none.received_count(), 0u);
  HeaderScan open("gw");
  open.feed("Subject: x\r\nwithout an empty line");
  EXPECT_FALSE(open.header_complete());
  EXPECT_EQ(open.header_octets(), 0u);
}

TEST(HeaderScan, DropsControlsFromTheMessageId) {
  HeaderScan scan("gw");
  scan.feed("Message-ID: <a\tb\rc\x01@d>\r\n\r\n");
  EXPECT_EQ(scan.message_id(), "<abc@d>");
}

TEST(HeaderScan, StopsInAHeaderThatNeverEnds) {
  HeaderScan scan("gw");
  const std::string block(64 * 1024, 'x');
  for (int i = 0; i < 17; ++i) scan.feed(block);
  EXPECT_TRUE(scan.header_complete());
  EXPECT_EQ(scan.header_octets(), 0u);
}

TEST(Received, NeverLetsAClientWriteFields) {
  const std::string nasty = "evil)\r\nX-Injected: 1\r\n\r\n(<" + std::string(2000, 'h');
  const std::string text =
      format_received({nasty, "10.0.0.5", "gw.corp.example", "ESMTPS", nasty, {}, {}});
  EXPECT_EQ(text.find("\nX-Injected"), std::string::npos);
  EXPECT_EQ(std::count(text.begin(), text.end(), '('), std::count(text.begin(), text.end(), ')'));
  HeaderScan scan("gw.corp.example");
  scan.feed(text + "\r\n");
  EXPECT_EQ(scan.received_count(), 1u);
  EXPECT_EQ(scan.own_received_count(), 1u);
  EXPECT_EQ(scan.header_octets(), text.size() + 2);
}

TEST(Received, SaysUnknownForAnEmptyName) {
  EXPECT_TRUE(format_received({"", "10.0.0.5", "gw", "SMTP", "", {}, {}})
                  .starts_with("Received: from unknown ([10.0.0.5])\r\n\tby gw with SMTP id "));
}

TEST(Date, IsRfc5322) {
  EXPECT_EQ(format_date(WallTime(std::chrono::seconds(1'764'547'200))),
            "Mon, 1 Dec 2025 00:00:00 +0000");
}

}  // namespace
}  // namespace waypost::mail
