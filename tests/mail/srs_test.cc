// Reverse-paths there and back, and what is refused on the way back.
#include "waypost/mail/srs.h"

#include <gtest/gtest.h>

#include <random>

namespace waypost::mail {
namespace {

using std::chrono::days;

const WallTime kToday =
    WallTime(std::chrono::sys_days(std::chrono::year(2026) / 3 / 14)) + std::chrono::hours(9);

Srs make(std::vector<std::string> secrets = {"a secret of enough length"}, std::size_t most = 64) {
  return Srs({"srs.corp.example", std::move(secrets), 21, most});
}

Mailbox address(const std::string& text) { return parse_mailbox(text).value(); }

std::string upper(std::string text) {
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return text;
}

TEST(Srs, GoesThereAndBack) {
  const Srs srs = make();
  const auto there = srs.forward(address("Ann.Lee+x@Outside.example"), kToday);
  ASSERT_TRUE(there);
  EXPECT_EQ(there->domain, "srs.corp.example");
  EXPECT_TRUE(there->local_part.starts_with("SRS0="));
  EXPECT_TRUE(there->local_part.ends_with("=Outside.example=Ann.Lee+x")) << there->local_part;
  EXPECT_TRUE(looks_like_srs(there->local_part));
  const auto back = srs.reverse(*there, kToday);
  EXPECT_EQ(back.trouble, SrsTrouble::none);
  EXPECT_EQ(back.sender, address("Ann.Lee+x@Outside.example"));
  EXPECT_EQ(back.age_days, 0u);
}

TEST(Srs, IsTheSameForTheSameDayAndOtherForAnother) {
  const Srs srs = make();
  const Mailbox ann = address("ann@outside.example");
  EXPECT_EQ(*srs.forward(ann, kToday), *srs.forward(ann, kToday + std::chrono::hours(10)));
  EXPECT_NE(*srs.forward(ann, kToday), *srs.forward(ann, kToday + days(1)));
}

// An address that a release has written must be understood by the next one.
TEST(Srs, TheFormStays) {
  EXPECT_EQ(make().forward(address("ann@outside.example"), kToday)->to_string(),
            "SRS0=4434QWPP=BO=outside.example=ann@srs.corp.example");
  EXPECT_EQ(make().forward(address("SRS0=abcd=TT=a.example=b@other.example"), kToday)->to_string(),
            "SRS1=MC4UK7TI=other.example==abcd=TT=a.example=b@srs.corp.example");
}

TEST(Srs, LetterCaseMayChangeOnTheWay) {
  const Srs srs = make();
  for (const char* sender : {"Ann@Outside.example", "SRS0=aBcD=TT=a.example=b@other.example"}) {
    Mailbox there = srs.forward(address(sender), kToday).value();
    const std::string local = there.local_part;
    there.local_part = ascii_lower(local);
    EXPECT_EQ(srs.reverse(there, kToday).trouble, SrsTrouble::none) << sender;
    there.local_part = upper(local);
    EXPECT_EQ(srs.reverse(there, kToday).trouble, SrsTrouble::none) << sender;
  }
}

// What returns to the first forwarder must be an address that it can have written.
TEST(Srs, AnSrs1WithoutAnSrs0InsideIsAnOrdinaryAddress) {
  const Srs srs = make({"a secret of enough length"}, 240);
  for (const char* sender :
       {"SRS1=zz=a.example=b@second.example", "SRS1=zz=a.example==@second.example",
        "SRS1=zz=a.example=@second.example", "SRS1=zz=a.example=xyz@second.example"}) {
    const auto there = srs.forward(address(sender), kToday);
    ASSERT_TRUE(there) << sender;
    EXPECT_TRUE(there->local_part.starts_with("SRS0=")) << there->local_part;
    const auto back = srs.reverse(*there, kToday);
    EXPECT_EQ(back.trouble, SrsTrouble::none) << there->local_part;
    EXPECT_EQ(back.sender, address(sender));
  }
}

TEST(Srs, EveryChangedCharacterIsNoticed) {
  const Srs srs = make();
  const Mailbox there = srs.forward(address("ann@outside.example"), kToday).value();
  for (std::size_t i = 5; i < there.local_part.size(); ++i) {
    Mailbox forged = there;
    forged.local_part[i] = forged.local_part[i] == 'q' || forged.local_part[i] == 'Q' ? 'w' : 'q';
    EXPECT_NE(srs.reverse(forged, kToday).trouble, SrsTrouble::none) << forged.local_part;
  }
}

TEST(Srs, ExpiresAfterItsDays) {
  const Srs srs = make();
  const Mailbox there = srs.forward(address("ann@outside.example"), kToday).value();
  EXPECT_EQ(srs.reverse(there, kToday + days(21)).trouble, SrsTrouble::none);
  const auto late = srs.reverse(there, kToday + days(22));
  EXPECT_EQ(late.trouble, SrsTrouble::expired);
  EXPECT_EQ(late.age_days, 22u);
  EXPECT_EQ(srs.reverse(there, kToday + days(1000)).trouble, SrsTrouble::expired);
  // The stamp is the same again, the day is not.
  EXPECT_EQ(srs.reverse(there, kToday + days(1024)).trouble, SrsTrouble::wrong_hash);
}

TEST(Srs, AGatewayWhoseClockIsADayAheadIsUnderstood) {
  const Srs srs = make();
  const Mailbox there = srs.forward(address("ann@outside.example"), kToday + days(1)).value();
  EXPECT_EQ(srs.reverse(there, kToday).trouble, SrsTrouble::none);
  const Mailbox far = srs.forward(address("ann@outside.example"), kToday + days(2)).value();
  EXPECT_NE(srs.reverse(far, kToday).trouble, SrsTrouble::none);
}

TEST(Srs, SecretsCanBeRotated) {
  const Mailbox old = make({"the old secret"}).forward(address("a@b.example"), kToday).value();
  const Srs both = make({"the new secret", "the old secret"});
  const auto back = both.reverse(old, kToday);
  EXPECT_EQ(back.trouble, SrsTrouble::none);
  EXPECT_EQ(back.secret, 1u);
  const Mailbox fresh = both.forward(address("a@b.example"), kToday).value();
  EXPECT_EQ(both.reverse(fresh, kToday).secret, 0u);
  EXPECT_EQ(make({"the new secret"}).reverse(old, kToday).trouble, SrsTrouble::wrong_hash);
}

TEST(Srs, WhatAnotherHasRewrittenReturnsToThatOne) {
  const Srs srs = make();
  const Mailbox theirs = address("SRS0+abcd=TT=a.example=b@other.example");
  const Mailbox there = srs.forward(theirs, kToday).value();
  EXPECT_TRUE(there.local_part.starts_with("SRS1=")) << there.local_part;
  EXPECT_TRUE(there.local_part.ends_with("=other.example=+abcd=TT=a.example=b"));
  const auto back = srs.reverse(there, kToday + days(400));
  EXPECT_EQ(back.trouble, SrsTrouble::none);
  EXPECT_EQ(back.sender, theirs);
}

TEST(Srs, AThirdForwarderKeepsOnlyTheFirst) {
  const Srs srs = make();
  const Mailbox theirs = address("SRS1=zzzz=first.example==abcd=TT=a.example=b@second.example");
  const Mailbox there = srs.forward(theirs, kToday).value();
  EXPECT_EQ(there.local_part.find("second.example"), std::string::npos);
  const auto back = srs.reverse(there, kToday);
  EXPECT_EQ(back.trouble, SrsTrouble::none);
  EXPECT_EQ(back.sender, address("SRS0=abcd=TT=a.example=b@first.example"));
}

TEST(Srs, AFalseForwarderInTheLocalPartIsNotFollowed) {
  const Srs srs = make({"a secret of enough length"}, 200);
  const Mailbox evil{"SRS1=zz=x> NOTIFY=NEVER==abcd=TT=a.example=b", "second.example"};
  const auto back = srs.reverse(srs.forward(evil, kToday).value(), kToday);
  EXPECT_EQ(back.trouble, SrsTrouble::none);
  EXPECT_EQ(back.sender, evil);  // taken as an ordinary local part
}

TEST(Srs, TooLongASenderIsLeftAlone) {
  const std::string local(46 - std::string("outside.example").size(), 'x');
  EXPECT_TRUE(make().forward({local, "outside.example"}, kToday));
  const auto longer = make().forward({local + "x", "outside.example"}, kToday);
  ASSERT_FALSE(longer);
  EXPECT_EQ(longer.error().kind, ErrorKind::exhausted);
  EXPECT_TRUE(
      make({"a secret of enough length"}, 128).forward({local + "x", "outside.example"}, kToday));
  const Mailbox huge{std::string(210, 'x'), "outside.example"};
  EXPECT_FALSE(make({"a secret of enough length"}, 400).forward(huge, kToday));  // 254 in all
}

TEST(Srs, WhatCouldNotReturnIsLeftAlone) {
  EXPECT_FALSE(make().forward(address("bob@[192.0.2.1]"), kToday));
  EXPECT_FALSE(make().forward(address("postmaster"), kToday));
}

TEST(Srs, MalformedIsToldFromForged) {
  const Srs srs = make();
  for (const char* local : {"SRS0=", "SRS0=x", "SRS0=AAAAAAAA=TT", "SRS0=AAAAAAAA=T!=a.example=b",
                            "SRS0=AAAAAAAA=TTT=a.example=b", "SRS0=AAAAAAAA=TT=a..example=b",
                            "SRS0=AAAAAAAA=TT=[192.0.2.1]=b", "SRS0=AAAAAAAA=TT=a.example=",
                            "SRS1=AAAAAAAA=a.example=", "SRS1=AAAAAAAA==x", "bob"})
    EXPECT_EQ(srs.reverse({local, "srs.corp.example"}, kToday).trouble, SrsTrouble::malformed)
        << local;
  EXPECT_EQ(srs.reverse({"SRS1=AAAAAAAA=a.example==x", "srs.corp.example"}, kToday).trouble,
            SrsTrouble::wrong_hash);
  for (const char* local : {"srs", "SRS0", "SRS0=", "SRS2=abc", "xSRS0=abc", "SRS0/abc"})
    EXPECT_FALSE(looks_like_srs(local)) << local;
}

TEST(Srs, AnyLocalPartSurvives) {
  const Srs srs = make({"a secret of enough length"}, 200);
  std::mt19937 random(7);
  for (int i = 0; i < 2000; ++i) {
    std::string local;
    for (unsigned n = 1 + random() % 40; n > 0; --n)
      local += static_cast<char>(0x20 + random() % 0x5F);
    const Mailbox sender{local, "outside.example"};
    const auto there = srs.forward(sender, kToday);
    ASSERT_TRUE(there) << local;
    const auto wire = parse_mailbox(there->to_string());
    ASSERT_TRUE(wire) << there->to_string();
    const auto back = srs.reverse(*wire, kToday);
    EXPECT_EQ(back.trouble, SrsTrouble::none) << local;
    EXPECT_EQ(back.sender, sender);
  }
}

}  // namespace
}  // namespace waypost::mail
