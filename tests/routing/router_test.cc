// The decision, step by step and in all three shapes of handing a recipient over.
#include "routing/routing_fixture.h"

#include <gmock/gmock.h>

namespace waypost::routing {
namespace {

using ::testing::HasSubstr;

Decision ask(const Router& router, std::string_view address) {
  return router.decide(mailbox(address), WallTime{});
}

/// "rewrite bob@orgname.awsapps.com via workmail", or "refuse 550 5.1.1".
std::string told(const Decision& decision) {
  auto out = std::string(to_string(decision.verdict)) + " ";
  if (decision.verdict == Verdict::refuse || decision.verdict == Verdict::defer)
    return out + std::to_string(decision.reply.code) + " " + decision.reply.status.to_string();
  return out + decision.target.to_string() + " via " + decision.next_hop;
}

class RouterTest : public ::testing::Test {
 protected:
  Options options = migration(
      {entry("bob@corp.example", "bob@orgname.awsapps.com", EntryState::active, "pilot", 3)});
  std::string asked(std::string_view address) { return told(ask(*router_of(options), address)); }
  std::vector<Entry>& entries() { return options.sources[0].entries; }
};

TEST_F(RouterTest, ShapeBRewritesAKnownAddress) {
  const auto decision = ask(*router_of(options), "bob@corp.example");
  EXPECT_EQ(told(decision), "rewrite bob@orgname.awsapps.com via workmail");
  EXPECT_EQ(decision.original.to_string(), "bob@corp.example");
  EXPECT_EQ(decision.state, EntryState::active);
  EXPECT_EQ(decision.wave, "pilot");
  EXPECT_EQ(decision.place.to_string(), "table.csv:3");
  EXPECT_EQ(decision.why, "exact entry in table.csv:3");
  EXPECT_EQ(decision.reply.code, 250);
}

TEST_F(RouterTest, ShapeAPassesAKnownTargetUnchanged) {
  const auto decision = ask(*router_of(options), "bob@orgname.awsapps.com");
  EXPECT_EQ(told(decision), "pass bob@orgname.awsapps.com via workmail");
  EXPECT_EQ(decision.place.to_string(), "table.csv:3");
  EXPECT_EQ(decision.wave, "pilot");
}

TEST_F(RouterTest, ShapeAPassesAnUnlistedTargetOnlyIfAllowed) {
  EXPECT_EQ(asked("eve@orgname.awsapps.com"), "pass eve@orgname.awsapps.com via workmail");
  options.target_pass_unlisted = false;
  EXPECT_EQ(asked("eve@orgname.awsapps.com"), "refuse 550 5.1.1");
  EXPECT_EQ(asked("BOB@Orgname.AWSapps.com"), "pass BOB@Orgname.AWSapps.com via workmail");
  EXPECT_EQ(asked("bob+x@orgname.awsapps.com"), "pass bob+x@orgname.awsapps.com via workmail");
}

TEST_F(RouterTest, ShapeCGoesToTheDefaultNextHopOrIsRefused) {
  EXPECT_EQ(asked("eve@elsewhere.example"), "refuse 550 5.7.1");
  options.default_next_hop = "internet";
  EXPECT_EQ(asked("eve@elsewhere.example"), "pass eve@elsewhere.example via internet");
  EXPECT_EQ(asked("bob@corp.example"), "rewrite bob@orgname.awsapps.com via workmail");
  EXPECT_EQ(asked("nobody@corp.example"), "refuse 550 5.1.1")
      << "never the default: that would be a loop";
  EXPECT_EQ(asked("x@orgname.awsapps.com"), "pass x@orgname.awsapps.com via workmail");
}

TEST_F(RouterTest, UnknownOwnAddressIsRefusedOrDeferred) {
  const auto decision = ask(*router_of(options), "nobody@corp.example");
  EXPECT_EQ(told(decision), "refuse 550 5.1.1");
  EXPECT_THAT(decision.reply.text, HasSubstr("<nobody@corp.example>"));
  EXPECT_EQ(decision.next_hop, "");
  options.unknown = UnknownPolicy::defer;
  EXPECT_EQ(asked("nobody@corp.example"), "defer 451 4.1.1");
}

TEST_F(RouterTest, SubdomainsAreNotOwnDomains) {
  EXPECT_EQ(asked("bob@sub.corp.example"), "refuse 550 5.7.1");
  EXPECT_EQ(asked("bob@notcorp.example"), "refuse 550 5.7.1");
  EXPECT_EQ(asked("bob@x.orgname.awsapps.com"), "refuse 550 5.7.1");
}

TEST_F(RouterTest, LetterCaseDoesNotMatter) {
  EXPECT_EQ(asked("BOB@CORP.Example"), "rewrite bob@orgname.awsapps.com via workmail");
}

TEST_F(RouterTest, PlusSuffixIsStrippedAndKeptInTheTarget) {
  EXPECT_EQ(asked("Bob+Lists+A@corp.example"),
            "rewrite bob+Lists+A@orgname.awsapps.com via workmail");
  options.plus_keep_in_target = false;
  EXPECT_EQ(asked("bob+lists@corp.example"), "rewrite bob@orgname.awsapps.com via workmail");
  options.plus_separator = "--";
  EXPECT_EQ(asked("bob--x@corp.example"), "rewrite bob@orgname.awsapps.com via workmail");
  EXPECT_EQ(asked("bob+x@corp.example"), "refuse 550 5.1.1");
  options.plus_separator = "";
  EXPECT_EQ(asked("bob+x@corp.example"), "refuse 550 5.1.1");
}

TEST_F(RouterTest, PlusNeedsSomethingBeforeIt) {
  EXPECT_EQ(asked("+bob@corp.example"), "refuse 550 5.1.1");
  EXPECT_EQ(asked("bob+@corp.example"), "rewrite bob+@orgname.awsapps.com via workmail");
}

TEST_F(RouterTest, ExactEntryWinsOverPlusStripping) {
  entries().push_back(entry("bob+crm@corp.example", "crm@orgname.awsapps.com"));
  EXPECT_EQ(asked("bob+crm@corp.example"), "rewrite crm@orgname.awsapps.com via workmail");
}

TEST_F(RouterTest, SuffixThatWouldMakeTheTargetTooLongIsLeftOut) {
  entries().push_back(entry("c@corp.example", "a-target-that-is-longer@orgname.awsapps.com"));
  const auto suffix = "+" + std::string(571 - std::string("c+@corp.example").size(), 'x');
  const auto decision = ask(*router_of(options), "c" + suffix + "@corp.example");
  EXPECT_EQ(told(decision), "rewrite a-target-that-is-longer@orgname.awsapps.com via workmail");
}

TEST_F(RouterTest, DomainAliasSharesTheMailboxes) {
  options.domain_aliases = {{"old-corp.example", "corp.example"}};
  EXPECT_EQ(asked("Bob@Old-Corp.example"), "rewrite bob@orgname.awsapps.com via workmail");
  EXPECT_EQ(asked("bob+a@old-corp.example"), "rewrite bob+a@orgname.awsapps.com via workmail");
  EXPECT_EQ(asked("eve@old-corp.example"), "refuse 550 5.1.1");
  entries().push_back(entry("bob@old-corp.example", "old@orgname.awsapps.com"));
  EXPECT_EQ(asked("bob@old-corp.example"), "rewrite old@orgname.awsapps.com via workmail");
  EXPECT_EQ(asked("bob+a@old-corp.example"), "rewrite old+a@orgname.awsapps.com via workmail");
}

TEST_F(RouterTest, StatesDecideWhatHappens) {
  entries() = {entry("p@corp.example", "p@orgname.awsapps.com", EntryState::pending),
               entry("m@corp.example", "m@orgname.awsapps.com", EntryState::migrating),
               entry("r@corp.example", "r@orgname.awsapps.com", EntryState::rolled_back)};
  EXPECT_EQ(asked("p@corp.example"), "defer 451 4.2.1");
  EXPECT_EQ(asked("m@corp.example"), "hold m@orgname.awsapps.com via workmail");
  EXPECT_EQ(asked("r@corp.example"), "defer 451 4.2.1");
  options.pending_next_hop = "exchange";
  EXPECT_EQ(asked("P@corp.example"), "pass P@corp.example via exchange") << "unchanged";
  EXPECT_EQ(asked("m@corp.example"), "hold m@orgname.awsapps.com via workmail");
  EXPECT_EQ(asked("r+x@corp.example"), "pass r+x@corp.example via exchange");
}

TEST_F(RouterTest, ShapeAIsHeldWhileMigrating) {
  entries() = {entry("m@corp.example", "m@orgname.awsapps.com", EntryState::migrating),
               entry("p@corp.example", "p@orgname.awsapps.com", EntryState::pending)};
  EXPECT_EQ(asked("m@orgname.awsapps.com"), "hold m@orgname.awsapps.com via workmail");
  EXPECT_EQ(asked("p@orgname.awsapps.com"), "pass p@orgname.awsapps.com via workmail");
}

TEST_F(RouterTest, NothingIsRewrittenTwice) {
  entries() = {entry("a@corp.example", "b@orgname.awsapps.com"),
               entry("b@orgname.awsapps.com", "c@orgname.awsapps.com", EntryState::active, {}, 2)};
  EXPECT_EQ(asked("a@corp.example"), "rewrite b@orgname.awsapps.com via workmail");
}

TEST_F(RouterTest, BarePostmasterIsThatOfTheFirstOwnDomain) {
  options.own_domains = {"corp.example", "other.example"};
  entries().push_back(entry("postmaster@corp.example", "pm@orgname.awsapps.com"));
  const auto decision = router_of(options)->decide({"Postmaster", ""}, WallTime{});
  EXPECT_EQ(told(decision), "rewrite pm@orgname.awsapps.com via workmail");
  EXPECT_EQ(decision.original.domain, "");
  options.own_domains.clear();
  entries().pop_back();
  EXPECT_EQ(router_of(options)->decide({"postmaster", ""}, WallTime{}).verdict, Verdict::refuse);
}

TEST_F(RouterTest, BarePostmasterGoesToTheOwnDomainThatHasOne) {
  options.own_domains = {"corp.example", "other.example"};
  entries() = {entry("bob@corp.example", "bob@orgname.awsapps.com"),
               entry("Postmaster@other.example", "pm@orgname.awsapps.com")};
  EXPECT_EQ(told(router_of(options)->decide({"postMaster", ""}, WallTime{})),
            "rewrite pm@orgname.awsapps.com via workmail");
}

TEST_F(RouterTest, InternationalDomainsAreFoundInEverySpelling) {
  options.own_domains = {"büro.example"};
  options.domain_aliases = {{"xn--brse-5qa.example", "BÜRO.example"}};
  entries() = {entry("jörg@Büro.example", "joerg@orgname.awsapps.com")};
  for (const std::string_view address : {"jörg@büro.example", "jörg@XN--BRO-HOA.example",
                                         "jörg@bu\xCC\x88ro.example", "jörg@Börse.example"})
    EXPECT_EQ(asked(address), "rewrite joerg@orgname.awsapps.com via workmail") << address;
}

TEST_F(RouterTest, QuotedLocalPartsAreTheirValue) {
  entries() = {
      entry("\"bob baker\"@corp.example", "bob.baker@orgname.awsapps.com"),
      entry("eve@corp.example", "\"eve eve\"@orgname.awsapps.com", EntryState::active, {}, 2)};
  EXPECT_EQ(asked("\"Bob Baker\"@corp.example"),
            "rewrite bob.baker@orgname.awsapps.com via workmail");
  EXPECT_EQ(asked("\"eve\"@corp.example"), "rewrite \"eve eve\"@orgname.awsapps.com via workmail");
}

TEST_F(RouterTest, AddressLiteralsAreRefused) {
  options.default_next_hop = "internet";
  EXPECT_EQ(told(router_of(options)->decide({"bob", "[192.0.2.1]"}, WallTime{})),
            "refuse 550 5.7.1");
  EXPECT_EQ(told(router_of(options)->decide({"bob", "[IPv6:2001:db8::1]"}, WallTime{})),
            "refuse 550 5.7.1");
}

TEST_F(RouterTest, DomainsThatCannotBeAreRefused) {
  options.default_next_hop = "internet";
  EXPECT_EQ(told(router_of(options)->decide({"bob", "a..b"}, WallTime{})), "refuse 550 5.1.3");
  EXPECT_EQ(told(router_of(options)->decide({"bob", "xn--a.example"}, WallTime{})),
            "refuse 550 5.1.3");
}

TEST_F(RouterTest, ImceaexIsRefusedWithTheX500Address) {
  const auto decision =
      ask(*router_of(options), "IMCEAEX-_O=CORP_OU=Exchange+20Group_cn=Bob@corp.example");
  EXPECT_EQ(told(decision), "refuse 550 5.1.1");
  EXPECT_THAT(decision.reply.text, HasSubstr("/O=CORP/OU=Exchange Group/cn=Bob"));
  EXPECT_THAT(decision.reply.text,
              HasSubstr("add it as X500 proxy address to the mailbox in Exchange"));
  EXPECT_EQ(asked("IMCEAEX-_o=x@elsewhere.example"), "refuse 550 5.7.1");
  entries().push_back(entry("IMCEAEX-_o=x@corp.example", "x@orgname.awsapps.com"));
  EXPECT_EQ(asked("IMCEAEX-_o=x@corp.example"), "rewrite x@orgname.awsapps.com via workmail");
}

TEST_F(RouterTest, WhileTheTableIsMissingNothingPassesAndNothingIsRefused) {
  options.default_next_hop = "internet";
  const auto router = Router::unavailable(options, "users.csv could not be read");
  const auto decision = ask(*router, "bob@corp.example");
  EXPECT_EQ(told(decision), "defer 451 4.3.0");
  EXPECT_THAT(decision.why, HasSubstr("users.csv could not be read"));
  // A target may be held for its wave, any other address may be rewritten: the table would know.
  EXPECT_EQ(told(ask(*router, "bob@orgname.awsapps.com")), "defer 451 4.3.0");
  EXPECT_EQ(told(ask(*router, "bob@elsewhere.example")), "defer 451 4.3.0");
  EXPECT_EQ(told(ask(*router, "IMCEAEX-_o=x@corp.example")), "defer 451 4.3.0");
  EXPECT_EQ(router->table().size(), 0u);
}

TEST_F(RouterTest, WhatAStaleTableDoesNotKnowIsDeferred) {
  const auto fresh = router_of(options);
  const auto stale = fresh->with_staleness("directory ad was last read long ago");
  EXPECT_EQ(told(ask(*fresh, "joe@corp.example")), "refuse 550 5.1.1");
  EXPECT_EQ(told(ask(*stale, "joe@corp.example")), "defer 451 4.3.0");
  EXPECT_EQ(told(ask(*stale, "bob@corp.example")), told(ask(*fresh, "bob@corp.example")));
  EXPECT_EQ(told(ask(*stale->with_waves(Waves::make({}, {})), "joe@corp.example")),
            "defer 451 4.3.0");
  EXPECT_EQ(told(ask(*stale->with_staleness(""), "joe@corp.example")), "refuse 550 5.1.1");
}

TEST_F(RouterTest, WithoutAnySourceTargetsAndOtherDomainsPass) {
  options.default_next_hop = "internet";
  options.sources.clear();
  const auto router = Router::unavailable(options, "");
  EXPECT_EQ(told(ask(*router, "bob@corp.example")), "defer 451 4.3.0");
  EXPECT_EQ(told(ask(*router, "bob@orgname.awsapps.com")),
            "pass bob@orgname.awsapps.com via workmail");
  EXPECT_EQ(told(ask(*router, "bob@elsewhere.example")), "pass bob@elsewhere.example via internet");
  options.target_pass_unlisted = false;
  EXPECT_EQ(told(ask(*Router::unavailable(options, ""), "bob@orgname.awsapps.com")),
            "defer 451 4.3.0");
}

TEST_F(RouterTest, RewrittenAddressMayGoToTheDefaultNextHop) {
  options.target_domains.clear();
  options.default_next_hop = "internet";
  EXPECT_EQ(asked("bob@corp.example"), "rewrite bob@orgname.awsapps.com via internet");
}

TEST_F(RouterTest, RepliesNeverHoldLineBreaksOfTheAddress) {
  const auto decision = router_of(options)->decide({"a\r\n250 ok", "corp.example"}, WallTime{});
  EXPECT_EQ(decision.verdict, Verdict::refuse);
  EXPECT_EQ(decision.reply.text.find('\r'), std::string::npos);
  EXPECT_EQ(decision.reply.text.find('\n'), std::string::npos);
}

TEST_F(RouterTest, TraceTellsEveryStepInPlainWords) {
  options.domain_aliases = {{"old-corp.example", "corp.example"}};
  std::vector<TraceStep> trace;
  router_of(options)->decide(mailbox("Bob+x@old-corp.example"), WallTime{}, &trace);
  std::string text;
  for (const auto& step : trace) text += step.step + ": " + step.detail + "\n";
  EXPECT_EQ(text,
            "normalise: looked up as bob+x@old-corp.example\n"
            "exact entry: bob+x@old-corp.example is not in the table\n"
            "plus-suffix stripped: bob@old-corp.example is not in the table\n"
            "domain alias: bob+x@corp.example is not in the table\n"
            "domain alias, plus-suffix stripped: bob@corp.example is in the table at table.csv:3: "
            "target bob@orgname.awsapps.com, state active, wave 'pilot'\n"
            "state: active: written in the entry, which comes before what wave 'pilot' is\n"
            "plus-suffix: kept in the target: bob+x@orgname.awsapps.com\n"
            "next hop: target bob+x@orgname.awsapps.com goes to next hop 'workmail'\n");
}

TEST(RouterHolder, HandsOutWhatWasSetLast) {
  const auto first = Router::unavailable({}, "first");
  const auto second = Router::unavailable({}, "second");
  RouterHolder holder(first);
  EXPECT_EQ(holder.get(), first);
  holder.set(second);
  EXPECT_EQ(holder.get(), second);
}

TEST(Router, MailForATargetIsHeldWhileOneOfItsAddressesIsOnTheMove) {
  const auto verdict = [](std::vector<Entry> entries, std::string_view asked) {
    return router_of(migration(std::move(entries)))->decide(mailbox(asked), WallTime{}).verdict;
  };
  const auto moving =
      entry("ann@corp.example", "ann@orgname.awsapps.com", EntryState::migrating, "w1", 1);
  const auto moved =
      entry("a.baker@corp.example", "Ann@orgname.awsapps.com", EntryState::active, "w2", 2);
  const auto third =
      entry("annie@corp.example", "ann@orgname.awsapps.com", EntryState::pending, "w3", 3);
  for (const char* asked : {"ann@orgname.awsapps.com", "ann+x@orgname.awsapps.com"}) {
    EXPECT_EQ(verdict({moving, moved, third}, asked), Verdict::hold) << asked;
    EXPECT_EQ(verdict({moved, moving, third}, asked), Verdict::hold) << asked;
    EXPECT_EQ(verdict({third, moved, moving}, asked), Verdict::hold) << asked;
    EXPECT_EQ(verdict({moved, third}, asked), Verdict::pass) << asked;
  }
}

TEST(Router, OfManyAddressesWithOneTargetEachWaveCounts) {
  std::vector<Entry> entries;
  for (std::uint32_t i = 0; i < 3000; ++i)
    entries.push_back(entry("old" + std::to_string(i) + "@corp.example", "all@orgname.awsapps.com",
                            EntryState::active, "w1", i + 1));
  entries.push_back(
      entry("last@corp.example", "all@orgname.awsapps.com", EntryState::migrating, "w2", 3001));
  const auto router = router_of(migration(entries));
  const auto decision = router->decide(mailbox("all@orgname.awsapps.com"), WallTime{});
  EXPECT_EQ(decision.verdict, Verdict::hold);
  EXPECT_EQ(decision.wave, "w2");
}

}  // namespace
}  // namespace waypost::routing
