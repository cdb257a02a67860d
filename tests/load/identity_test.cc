#include "load/identity.h"

#include "sink/failure_report.h"

#include <gtest/gtest.h>

namespace waypost::load {
namespace {

std::string line_of(const Identity& identity) {
  std::string line(kIdentityLine, '\0');
  write_identity(line.data(), identity);
  return line;
}

TEST(Identity, IsReadAsItWasWritten) {
  const Identity identity{0x0123456789abcdef, 0xfedcba987654, 42};
  const std::string line = line_of(identity);
  EXPECT_EQ(line, "X-Waypost-Load: 0123456789abcdef-fedcba987654-000000000000002a\r\n");
  EXPECT_EQ(parse_identity(line.substr(kIdentityField.size())), identity);
}

TEST(Identity, RefusesWhatIsNotOne) {
  for (const char* text : {"", "1-2-3", "0123456789abcdef-fedcba987654-00000000000000zz",
                           "0123456789abcdef+fedcba987654-000000000000002a",
                           "0123456789abcdef-fedcba987654-000000000000002a0"}) {
    EXPECT_FALSE(parse_identity(text)) << text;
  }
}

TEST(BodyDigest, IsXxh64) {
  EXPECT_EQ(BodyDigest::of(""), 0xef46db3751d8e999u);
  EXPECT_EQ(BodyDigest::of("a"), 0xd24ec4f1a98c6e5bu);
  EXPECT_EQ(BodyDigest::of("abc"), 0x44bc2cf5ad770999u);
  EXPECT_EQ(BodyDigest::of("The quick brown fox jumps over the lazy dog"), 0x0b242d361fda71bcu);
}

TEST(BodyDigest, DoesNotDependOnHowTheOctetsArrive) {
  std::string text;
  for (int i = 0; i < 1'000; ++i) text += static_cast<char>(i * 31);
  for (const std::size_t piece : {1u, 3u, 31u, 32u, 33u, 999u}) {
    BodyDigest digest;
    for (std::size_t at = 0; at < text.size(); at += piece) digest.feed(text.substr(at, piece));
    EXPECT_EQ(digest.value(), BodyDigest::of(text)) << piece;
  }
}

const std::string kAbove = "Message-ID: <1@x>\r\n", kBelow = "From: a@b.example\r\n\r\nText\r\n";
const std::string kReceived = "Received: from x\r\n\tby y; today\r\n";

Identity identity_of(const std::string& above, const std::string& below) {
  BodyDigest digest;
  digest.feed(above);
  return {7, 8, message_digest(digest, BodyDigest::of(below))};
}

std::uint64_t scanned(std::string_view message, std::size_t piece = 1'000'000) {
  IdentityScan scan;
  scan.restart();
  for (std::size_t at = 0; at < message.size(); at += piece) scan.feed(message.substr(at, piece));
  return scan.identity() ? scan.digest() : 0;
}

TEST(IdentityScan, FindsTheFieldUnderOthersWhateverThePiecesAre) {
  for (const std::string& above :
       {kAbove, std::string(), "X-Long: " + std::string(9'000, 'x') + "\r\n"}) {
    const Identity identity = identity_of(above, kBelow);
    for (const std::string& on_top : {std::string(), kReceived, kReceived + kReceived}) {
      const std::string message = on_top + above + line_of(identity) + kBelow;
      for (std::size_t piece = 1; piece <= message.size(); piece += 1 + piece / 300) {
        IdentityScan scan;
        for (std::size_t at = 0; at < message.size(); at += piece) {
          scan.feed(std::string_view(message).substr(at, piece));
        }
        ASSERT_EQ(scan.identity(), identity) << piece;
        ASSERT_EQ(scan.digest(), identity.digest) << piece;
      }
    }
  }
}

TEST(IdentityScan, SeesAnyChangeBelowOurReceivedField) {
  const Identity identity = identity_of(kAbove, kBelow);
  const std::string ours = kAbove + line_of(identity) + kBelow;
  EXPECT_EQ(scanned(kReceived + ours), identity.digest);
  for (std::size_t at = 0; at < ours.size(); ++at) {
    const std::size_t line = kAbove.size();
    const bool digits = at >= line + kIdentityField.size() && at < line + kIdentityLine;
    if (digits) continue;  // another run, message or digest: the log of the sender knows
    std::string changed = kReceived + ours;
    changed[kReceived.size() + at] ^= 0x20;  // the case of a letter, too
    EXPECT_NE(scanned(changed), identity.digest) << at;
  }
  for (std::size_t at = 0; at <= ours.size(); ++at) {
    EXPECT_NE(scanned(kReceived + std::string(ours).insert(at, "\n")), identity.digest) << at;
  }
}

TEST(IdentityScan, SeesWhatIsPutInTakenOutOrMoved) {
  const Identity identity = identity_of(kAbove, kBelow);
  const std::string line = line_of(identity), ours = kAbove + line + kBelow;
  for (const std::string& changed :
       {kReceived + line + kBelow, "Return-Path: <a@b>\r\n" + kReceived + ours,
        kReceived + "X-Scanned: yes\r\n" + ours, kAbove + kReceived + line + kBelow,
        kReceived + line + kAbove + kBelow,
        kReceived + " folded\r\n" + kAbove + "\tx\r\n" + line + kBelow,
        kReceived + ours + "tail\r\n", "\t" + ours}) {
    EXPECT_NE(scanned(changed), identity.digest) << changed;
  }
}

TEST(IdentityScan, DoesNotLookIntoTheBody) {
  IdentityScan scan;
  scan.feed("Subject: x\r\n\r\n" + line_of({1, 2, 3}));
  EXPECT_FALSE(scan.identity());
}

TEST(FailureReport, NamesTheMessageAndWhoFailed) {
  const Identity identity{7, 8, 9};
  const std::string report =
      "From: MAILER-DAEMON@gw.example\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
      "Reporting-MTA: dns; gw.example\r\n\r\n"
      "Original-Recipient: rfc822;bob@corp.example\r\nFinal-Recipient: rfc822; bob@org.example\r\n"
      "Action: failed\r\nStatus: 5.1.1\r\n\r\n"
      "Final-Recipient: rfc822; ann@corp.example\r\nAction: delayed\r\n\r\n"
      "Final-Recipient: rfc822; cy@corp.example\r\nAction: Failed\r\n\r\n--b\r\n"
      "Content-Type: text/rfc822-headers\r\n\r\n" +
      line_of(identity) + "Subject: x\r\n\r\n--b--\r\n";
  const auto read = sink::read_failure_report(report);
  EXPECT_EQ(read.about, identity);
  EXPECT_EQ(read.recipients, (std::vector<std::string>{"bob@corp.example", "cy@corp.example"}));
}

TEST(FailureReport, SaysNothingOfOtherMail) {
  const auto read = sink::read_failure_report("Subject: hello\r\n\r\nAction: failed\r\n");
  EXPECT_FALSE(read.about);
  EXPECT_TRUE(read.recipients.empty());
}

}  // namespace
}  // namespace waypost::load
