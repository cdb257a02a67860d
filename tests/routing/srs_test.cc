// Whose sender is rewritten, and where returned mail goes.
#include "waypost/mail/srs.h"

#include "routing/routing_fixture.h"

#include <gmock/gmock.h>

namespace waypost::routing {
namespace {

using std::chrono::days;
using ::testing::HasSubstr;

const WallTime kToday = WallTime(std::chrono::sys_days(std::chrono::year(2026) / 3 / 14));

class SrsPolicy : public ::testing::Test {
 protected:
  TemporaryFolder folder;
  Options options =
      migration({entry("bob@corp.example", "bob@orgname.awsapps.com"),
                 entry("held@corp.example", "held@orgname.awsapps.com", EntryState::migrating)});

  SrsPolicy() {
    options.domain_aliases = {{"old-corp.example", "corp.example"}};
    options.srs.domain = "SRS.corp.example";
    options.srs.secret_file = folder.write("secret", "# ours\n\nsixteen letters!\n");
    options.srs.return_next_hop = "exchange";
  }
  SenderChoice sender_for(const std::string& sender, const std::string& recipient) {
    const auto router = router_of(options);
    const mail::ReversePath path =
        sender.empty() ? mail::ReversePath() : mail::ReversePath(mailbox(sender));
    return router->sender_for(path, router->decide(mailbox(recipient), kToday), kToday);
  }
  bool is_rewritten(const std::string& sender, const std::string& recipient = "bob@corp.example") {
    return sender_for(sender, recipient).rewritten.has_value();
  }
  mail::Mailbox return_address(const std::string& sender = "ann@outside.example") {
    return sender_for(sender, "bob@corp.example").rewritten.value_or(mail::Mailbox{});
  }
  Decision ask(const mail::Mailbox& address, WallTime at = kToday,
               std::vector<TraceStep>* trace = nullptr) {
    return router_of(options)->decide(address, at, trace);
  }
  static std::string told(const Decision& decision) {
    if (!decision.next_hop.empty())
      return std::string(to_string(decision.verdict)) + " " + decision.target.to_string() +
             " via " + decision.next_hop;
    return std::to_string(decision.reply.code) + " " + decision.reply.status.to_string();
  }
};

TEST_F(SrsPolicy, OnlyForwardedMailOfOthersIsRewritten) {
  EXPECT_TRUE(is_rewritten("ann@outside.example"));
  EXPECT_FALSE(is_rewritten(""));  // a report returns to nobody
  EXPECT_FALSE(is_rewritten("boss@corp.example"));
  EXPECT_FALSE(is_rewritten("Boss@OLD-Corp.example"));
  EXPECT_FALSE(is_rewritten("x@srs.corp.example"));
  EXPECT_FALSE(is_rewritten("ann@outside.example", "bob@orgname.awsapps.com"));  // passed
  EXPECT_FALSE(is_rewritten("ann@outside.example", "held@corp.example"));        // not yet
  EXPECT_FALSE(is_rewritten("ann@outside.example", "nobody@corp.example"));
}

TEST_F(SrsPolicy, OwnSendersCanBeNamed) {
  options.srs.own_domains = {"Partner.example"};
  EXPECT_FALSE(is_rewritten("ann@partner.EXAMPLE"));
  EXPECT_TRUE(is_rewritten("boss@corp.example"));
}

TEST_F(SrsPolicy, WithoutADomainNothingIsRewritten) {
  options.srs = {};
  EXPECT_FALSE(is_rewritten("ann@outside.example"));
  EXPECT_EQ(told(ask(mailbox("SRS0=AAAAAAAA=AA=outside.example=ann@srs.corp.example"))),
            "550 5.7.1");
}

TEST_F(SrsPolicy, ASenderThatWouldBeTooLongStaysAndIsTold) {
  const auto choice = sender_for(std::string(60, 'x') + "@outside.example", "bob@corp.example");
  EXPECT_FALSE(choice.rewritten);
  EXPECT_THAT(choice.trouble, HasSubstr("64 are allowed"));
  options.srs.max_local_part = 128;
  EXPECT_TRUE(is_rewritten(std::string(60, 'x') + "@outside.example"));
}

TEST_F(SrsPolicy, ReturnedMailGoesToItsNextHop) {
  const auto back = return_address();
  std::vector<TraceStep> trace;
  const auto decision = ask(back, kToday + days(3), &trace);
  EXPECT_EQ(told(decision), "rewrite ann@outside.example via exchange");
  EXPECT_EQ(decision.original, back);
  EXPECT_EQ(decision.reply.code, 250);
  EXPECT_EQ(decision.why, "returned mail for ann@outside.example; goes to srs.return_next_hop");
  ASSERT_GE(trace.size(), 2u);
  EXPECT_THAT(trace[1].detail, HasSubstr("returns to ann@outside.example"));
}

TEST_F(SrsPolicy, WithoutANextHopReturnedMailIsRoutedAsUsual) {
  const auto back = return_address();
  options.srs.return_next_hop.clear();
  EXPECT_EQ(told(ask(back)), "550 5.7.1");
  options.default_next_hop = "internet";
  const auto decision = ask(back);
  EXPECT_EQ(told(decision), "rewrite ann@outside.example via internet");
  EXPECT_EQ(decision.original, back);
  // A sender who has moved meanwhile.
  options.srs.own_domains = {"none.example"};
  const auto own = return_address("bob@corp.example");
  EXPECT_EQ(told(ask(own)), "rewrite bob@orgname.awsapps.com via workmail");
}

TEST_F(SrsPolicy, ForgedExpiredAndMalformedAreRefusedInClearWords) {
  auto forged = return_address();
  forged.local_part.back() = 'x';
  std::vector<TraceStep> trace;
  auto decision = ask(forged, kToday, &trace);
  EXPECT_EQ(told(decision), "550 5.7.1");
  EXPECT_THAT(decision.reply.text, HasSubstr("its hash is wrong"));
  EXPECT_THAT(trace.back().detail, HasSubstr("its hash is wrong"));
  decision = ask(return_address(), kToday + days(22));
  EXPECT_EQ(told(decision), "550 5.1.1");
  EXPECT_THAT(decision.reply.text, HasSubstr("it is 22 days old, 21 are allowed"));
  decision = ask(mailbox("SRS0=abc@srs.corp.example"));
  EXPECT_EQ(told(decision), "550 5.1.1");
  EXPECT_THAT(decision.reply.text, HasSubstr("no complete return address"));
  options.default_next_hop = "internet";
  EXPECT_EQ(told(ask(mailbox("bob@srs.corp.example"))), "550 5.1.1") << "never out and in again";
}

TEST_F(SrsPolicy, TheTableMayHaveOtherAddressesOfTheDomain) {
  options.sources[0].entries.push_back(
      entry("postmaster@srs.corp.example", "postmaster@orgname.awsapps.com"));
  EXPECT_EQ(told(ask(mailbox("postmaster@srs.corp.example"))),
            "rewrite postmaster@orgname.awsapps.com via workmail");
}

TEST_F(SrsPolicy, AnAddressThatLeadsToOurselvesIsALoop) {
  options.srs.own_domains = {"none.example"};
  const mail::Srs other({"srs.corp.example", {"sixteen letters!"}});
  const auto circle = other.forward(mailbox("SRS0=a=b=c.example=d@srs.corp.example"), kToday);
  ASSERT_TRUE(circle);
  EXPECT_EQ(told(ask(*circle)), "550 5.4.6");
}

TEST_F(SrsPolicy, ReturnedMailNeedsNoTable) {
  const auto back = return_address();
  EXPECT_EQ(told(Router::unavailable(options, "broken")->decide(back, kToday)),
            "rewrite ann@outside.example via exchange");
}

TEST_F(SrsPolicy, SecretsAreCheckedWhenTheyAreLoaded) {
  const auto problem_of = [&](std::string_view content) {
    options.srs.secret_file = folder.write("other", content);
    std::vector<Problem> problems;
    const auto router = Router::load(options, problems);
    return router ? std::string("none") : router.error().message;
  };
  EXPECT_EQ(problem_of("\r\n  a secret of enough length\r\n"), "none");
  EXPECT_THAT(problem_of("# only a comment\n"), HasSubstr("has no secret"));
  EXPECT_THAT(problem_of("a secret of enough length\nshort\n"),
              HasSubstr("in line 2 is too short: 16 characters are needed"));
  options.srs.secret_file = folder.path() + "/none";
  std::vector<Problem> problems;
  const auto router = Router::load(options, problems);
  ASSERT_FALSE(router);
  EXPECT_THAT(router.error().message, HasSubstr("cannot be read"));
}

}  // namespace
}  // namespace waypost::routing
