#include "waypost/net/resolver.h"

#include "net/dns_cache.h"
#include "net/test_dns_server.h"
#include "net/test_loop.h"

#include <gtest/gtest.h>

#include <set>

namespace waypost::net::testing {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Names = std::vector<std::string>;

/// Sockets are real, the time of caches and deadlines is the test's.
class Dns : public ::testing::Test {
 protected:
  Dns() {
    options.servers = {server.place()};
    options.query_timeout = seconds(20);
    options.tries = 2;
  }
  Resolver& resolver() {
    if (!resolver_) resolver_ = make();
    return *resolver_;
  }
  std::unique_ptr<Resolver> make() {
    auto made = make_resolver(io, timers, options);
    if (!made) throw std::runtime_error(made.error().message);
    return std::move(*made);
  }
  template <class Condition>
  bool run_until(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + seconds(30);
    io.restart();
    while (!condition()) {
      if (io.run_one_until(end) == 0) return condition();
    }
    return true;
  }
  template <class T>
  T run(Task<T> task) {
    Outcome<T> outcome;
    spawn(io, std::move(task), outcome);
    if (!run_until([&] { return outcome.ended(); })) throw std::runtime_error("no end");
    return outcome.take();
  }
  Result<MxAnswer> mx(const std::string& domain) {
    return run(resolver().mx(domain, timers.in(hours(1))));
  }
  Result<Names> addresses(const std::string& host) {
    return run(resolver().addresses(host, timers.in(hours(1))));
  }
  static Names names_of(const Result<MxAnswer>& answer) {
    Names names;
    if (!answer) return {answer.error().message};
    for (const auto& host : answer->hosts) names.push_back(host.name);
    return names;
  }
  void advance(Duration by) {
    clock.advance(by);
    timers.run_due();
  }

  ManualClock clock;
  boost::asio::io_context io{1};
  Timers timers{clock, io};
  TestDnsServer server{io};
  ResolverOptions options;
  std::unique_ptr<Resolver> resolver_;
};

class Mx : public Dns {};

TEST_F(Mx, HostsAreSortedByPreference) {
  server.set_mx("corp.example", {mx_record(30, "c.example"), mx_record(5, "a.example"),
                                 mx_record(20, "b.example")});
  const auto answer = mx("corp.example");
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(names_of(answer), (Names{"a.example", "b.example", "c.example"}));
  EXPECT_EQ(answer->hosts[0].preference, 5);
  EXPECT_FALSE(answer->null_mx);
  EXPECT_FALSE(answer->implicit);
}

TEST_F(Mx, EqualPreferenceIsShuffledAnewFromOneAnswer) {
  server.set_mx("corp.example", {mx_record(10, "a.example"), mx_record(10, "b.example"),
                                 mx_record(10, "c.example"), mx_record(20, "z.example")});
  std::set<Names> orders;
  for (int i = 0; i < 300; ++i) {
    const Names order = names_of(mx("corp.example"));
    ASSERT_EQ(order.back(), "z.example");
    orders.insert(order);
  }
  EXPECT_EQ(orders.size(), 6u);
  EXPECT_EQ(server.asked("corp.example", kTypeMx), 1);
}

TEST_F(Mx, NullMxTakesNoMail) {
  server.set_mx("nomail.example", {mx_record(0, "")});
  const auto answer = mx("nomail.example");
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->null_mx);
  EXPECT_TRUE(answer->hosts.empty());
}

TEST_F(Mx, RootAmongOthersIsNoNullMx) {
  server.set_mx("odd.example", {mx_record(0, ""), mx_record(10, "a.example")});
  const auto answer = mx("odd.example");
  ASSERT_TRUE(answer);
  EXPECT_FALSE(answer->null_mx);
  EXPECT_EQ(names_of(answer), Names{"a.example"});
}

TEST_F(Mx, WithoutRecordTheDomainIsItsOwnHost) {
  server.set("plain.example", kTypeA, DnsReply{.records = {address_record("192.0.2.1")}});
  const auto answer = mx("plain.example");
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->implicit);
  EXPECT_EQ(names_of(answer), Names{"plain.example"});
}

TEST_F(Mx, AliasIsFollowed) {
  DnsReply reply{.records = {cname_record("real.example"), mx_record(10, "a.example")}};
  reply.records[1].owner = "real.example";
  server.set("alias.example", kTypeMx, reply);
  EXPECT_EQ(names_of(mx("alias.example")), Names{"a.example"});
  server.set("bare.example", kTypeMx, DnsReply{.records = {cname_record("real.example")}});
  const auto bare = mx("bare.example");
  ASSERT_TRUE(bare);
  EXPECT_TRUE(bare->implicit);
}

TEST_F(Mx, DomainThatDoesNotExistIsPermanentAndRemembered) {
  for (int i = 0; i < 3; ++i) {
    const auto answer = mx("nobody.example");
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().kind, ErrorKind::not_found);
    EXPECT_EQ(answer.error().message,
              "MX look-up of nobody.example: the name does not exist (NXDOMAIN)");
  }
  EXPECT_EQ(server.asked("nobody.example", kTypeMx), 1);
  advance(seconds(61));
  server.set_mx("nobody.example", {mx_record(1, "a.example")});
  EXPECT_EQ(names_of(mx("nobody.example")), Names{"a.example"});
}

TEST_F(Mx, FailureThatMayPassIsNotRemembered) {
  for (const int rcode : {2, 5, 4, 1}) {
    server.set("sick.example", kTypeMx, DnsReply{.rcode = rcode});
    const auto answer = mx("sick.example");
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().kind, ErrorKind::dns) << rcode << answer.error().message;
  }
  server.set_mx("sick.example", {mx_record(1, "a.example")});
  EXPECT_EQ(names_of(mx("sick.example")), Names{"a.example"});
}

TEST_F(Mx, SilentServerIsATimeout) {
  options.query_timeout = milliseconds(30);
  server.set("mute.example", kTypeMx, DnsReply{.silent = true});
  const auto answer = mx("mute.example");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::timeout) << answer.error().message;
  EXPECT_TRUE(run_until([&] { return server.asked("mute.example", kTypeMx) == 2; }));
}

TEST_F(Mx, CallersDeadlineEndsOnlyTheCaller) {
  server.set("mute.example", kTypeMx, DnsReply{.silent = true});
  Outcome<Result<MxAnswer>> hasty;
  Outcome<Result<MxAnswer>> patient;
  spawn(io, resolver().mx("mute.example", timers.in(seconds(5))), hasty);
  spawn(io, resolver().mx("mute.example", timers.in(seconds(50))), patient);
  ASSERT_TRUE(run_until([&] { return server.asked("mute.example", kTypeMx) == 1; }));
  advance(seconds(6));
  ASSERT_TRUE(run_until([&] { return hasty.ended(); }));
  EXPECT_EQ(hasty.take().error().kind, ErrorKind::timeout);
  EXPECT_FALSE(patient.ended());
  advance(seconds(50));
  ASSERT_TRUE(run_until([&] { return patient.ended(); }));
  EXPECT_EQ(patient.take().error().kind, ErrorKind::timeout);
}

TEST_F(Mx, SameQuestionIsAskedOnce) {
  server.set_mx("corp.example", {mx_record(10, "a.example")});
  std::array<Outcome<Result<MxAnswer>>, 50> all;
  for (auto& one : all) spawn(io, resolver().mx("corp.example", timers.in(hours(1))), one);
  ASSERT_TRUE(run_until([&] {
    return std::all_of(all.begin(), all.end(), [](const auto& one) { return one.ended(); });
  }));
  for (auto& one : all) EXPECT_EQ(names_of(one.take()), Names{"a.example"});
  EXPECT_EQ(server.asked("corp.example", kTypeMx), 1);
}

TEST_F(Mx, TruncatedAnswerIsAskedForByTcp) {
  DnsReply reply{.truncated = true};
  for (unsigned i = 0; i < 60; ++i)
    reply.records.push_back(mx_record(i, "host-number-" + std::to_string(i) + ".example"));
  server.set("large.example", kTypeMx, reply);
  const auto answer = mx("large.example");
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->hosts.size(), 60u);
  EXPECT_EQ(answer->hosts[59].name, "host-number-59.example");
  EXPECT_EQ(server.asked_by_tcp(), 1);
}

TEST_F(Mx, LowestTtlIsKeptAndOverAfterwards) {
  server.set_mx("corp.example", {mx_record(10, "a.example", 300), mx_record(20, "b.example", 100)});
  mx("corp.example");
  advance(seconds(99));
  mx("corp.example");
  EXPECT_EQ(server.asked("corp.example", kTypeMx), 1);
  advance(seconds(1));
  mx("corp.example");
  EXPECT_EQ(server.asked("corp.example", kTypeMx), 2);
}

TEST_F(Mx, TtlOfZeroIsNotKeptAndAHugeOneIsCapped) {
  server.set_mx("zero.example", {mx_record(10, "a.example", 0)});
  mx("zero.example");
  mx("zero.example");
  EXPECT_EQ(server.asked("zero.example", kTypeMx), 2);
  server.set_mx("huge.example", {mx_record(10, "a.example", 0xFFFFFFFF)});
  mx("huge.example");
  advance(options.max_ttl - seconds(1));
  mx("huge.example");
  EXPECT_EQ(server.asked("huge.example", kTypeMx), 1);
  advance(seconds(1));
  mx("huge.example");
  EXPECT_EQ(server.asked("huge.example", kTypeMx), 2);
}

TEST_F(Mx, FlushForgets) {
  server.set_mx("corp.example", {mx_record(10, "a.example")});
  mx("corp.example");
  resolver().flush();
  mx("corp.example");
  EXPECT_EQ(server.asked("corp.example", kTypeMx), 2);
}

TEST_F(Mx, CaseAndFinalDotAreTheSameName) {
  server.set_mx("corp.example", {mx_record(10, "a.example")});
  for (const char* name : {"corp.example", "CORP.Example", "corp.example."})
    EXPECT_EQ(names_of(mx(name)), Names{"a.example"});
  EXPECT_EQ(server.asked("corp.example", kTypeMx), 1);
}

TEST_F(Mx, InternationalNamesAreAskedForInAscii) {
  server.set_mx("xn--bcher-kva.example", {mx_record(10, "mx.xn--bcher-kva.example")});
  for (const char* name : {"bücher.example", "BÜCHER.example", "xn--bcher-kva.example"})
    EXPECT_EQ(names_of(mx(name)), Names{"mx.xn--bcher-kva.example"}) << name;
  EXPECT_EQ(server.asked("xn--bcher-kva.example", kTypeMx), 1);
  server.set("xn--mller-kva.example", kTypeMx, {});
  EXPECT_EQ(names_of(mx("müller.example")), Names{"xn--mller-kva.example"});  // the implicit MX
  for (const std::string name : {"\xFF\xFE.example", "\xC3.example", "\u200B.example"}) {
    const auto answer = mx(name);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().kind, ErrorKind::not_found) << answer.error().message;
  }
}

TEST_F(Mx, AddressLiteralNeedsNoServer) {
  const auto answer = mx("[192.0.2.7]");
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->implicit);
  EXPECT_EQ(names_of(answer), Names{"[192.0.2.7]"});
}

TEST_F(Mx, WhatIsNoDomainNameIsRefusedAtOnce) {
  for (const std::string& name :
       {std::string(), std::string("."), std::string(254, 'a'), std::string("a..example"),
        std::string(64, 'a') + ".example", std::string("corp.example\0.evil.example", 26)}) {
    const auto answer = mx(name);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().kind, ErrorKind::not_found) << answer.error().message;
    EXPECT_FALSE(addresses(name));
  }
}

TEST_F(Mx, MalformedRecordsAreAFailureThatMayPass) {
  DnsRecord shorter = mx_record(10, "a.example");
  shorter.data.resize(1);
  DnsRecord looping = mx_record(10, "");
  looping.data = dns16(10) + dns16(0xC000 | 46) /* itself */;
  for (const auto& record : {shorter, looping}) {
    server.set_mx("broken.example", {record});
    const auto answer = mx("broken.example");
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().kind, ErrorKind::dns);
    EXPECT_NE(answer.error().message.find("malformed"), std::string::npos);
  }
}

TEST_F(Mx, AnswersThatAreGarbageAreNoAnswers) {
  options.query_timeout = milliseconds(30);
  server.set("broken.example", kTypeMx, DnsReply{.garbage = std::string(40, '\xFF')});
  const auto answer = mx("broken.example");
  ASSERT_FALSE(answer);
  EXPECT_NE(answer.error().kind, ErrorKind::not_found) << answer.error().message;
}

TEST_F(Mx, SecondServerIsAskedWhenTheFirstIsGone) {
  std::string dead;
  {
    TestDnsServer gone(io);
    dead = gone.place();
  }
  options.servers = {dead, server.place()};
  options.query_timeout = seconds(5);
  server.set_mx("corp.example", {mx_record(10, "a.example")});
  EXPECT_EQ(names_of(mx("corp.example")), Names{"a.example"});
}

TEST_F(Mx, ResolverMayGoWhileItIsAsked) {
  server.set("mute.example", kTypeMx, DnsReply{.silent = true});
  auto passing = make();
  Outcome<Result<MxAnswer>> mute;
  Outcome<Result<MxAnswer>> quick;
  server.set_mx("corp.example", {mx_record(10, "a.example")});
  spawn(io, passing->mx("mute.example", timers.in(hours(1))), mute);
  spawn(io, passing->mx("corp.example", timers.in(hours(1))), quick);
  ASSERT_TRUE(run_until([&] { return server.asked("corp.example", kTypeMx) == 1; }));
  passing.reset();
  io.restart();
  io.poll();
  EXPECT_FALSE(mute.ended());
  EXPECT_FALSE(quick.ended());
}

TEST_F(Mx, ServerListThatIsNoneIsRefused) {
  options.servers = {"dns.example"};
  const auto made = make_resolver(io, timers, options);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind, ErrorKind::invalid);
  EXPECT_NE(made.error().message.find("dns.example"), std::string::npos);
}

class AddressLookUp : public Dns {
 protected:
  void set(const std::string& name, const Names& list, unsigned ttl = 300) {
    DnsReply v4;
    DnsReply v6;
    for (const auto& address : list) {
      const bool is_v6 = address.find(':') != std::string::npos;
      (is_v6 ? v6 : v4).records.push_back(address_record(address, ttl));
    }
    server.set(name, kTypeA, v4);
    server.set(name, kTypeAaaa, v6);
  }
};

TEST_F(AddressLookUp, FamiliesTakeTurns) {
  set("mail.example", {"192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1"});
  const auto found = addresses("mail.example");
  ASSERT_TRUE(found) << found.error().message;
  ASSERT_EQ(found->size(), 4u);
  EXPECT_EQ((*found)[0], "2001:db8::1");
  for (std::size_t i = 1; i < 4; ++i) EXPECT_TRUE((*found)[i].starts_with("192.0.2."));
}

TEST_F(AddressLookUp, OneFamilyIsEnough) {
  set("four.example", {"192.0.2.1"});
  set("six.example", {"2001:db8::1"});
  EXPECT_EQ(addresses("four.example"), Names{"192.0.2.1"});
  EXPECT_EQ(addresses("six.example"), Names{"2001:db8::1"});
}

TEST_F(AddressLookUp, FamilyThatIsOffIsNotAskedFor) {
  set("mail.example", {"192.0.2.1", "2001:db8::1"});
  options.ipv6 = false;
  EXPECT_EQ(addresses("mail.example"), Names{"192.0.2.1"});
  EXPECT_EQ(server.asked("mail.example", kTypeAaaa), 0);
  options.ipv6 = true;
  options.ipv4 = false;
  resolver_ = make();
  EXPECT_EQ(addresses("mail.example"), Names{"2001:db8::1"});
  EXPECT_EQ(server.asked("mail.example", kTypeA), 1);
}

TEST_F(AddressLookUp, LiteralsAreTheirOwnAnswer) {
  EXPECT_EQ(addresses("192.0.2.1"), Names{"192.0.2.1"});
  EXPECT_EQ(addresses("[192.0.2.1]"), Names{"192.0.2.1"});
  EXPECT_EQ(addresses("2001:DB8::1"), Names{"2001:db8::1"});
  EXPECT_EQ(addresses("[IPv6:2001:db8::1]"), Names{"2001:db8::1"});
}

TEST_F(AddressLookUp, LocalhostComesFromTheHostsFile) {
  options.ipv6 = false;
  EXPECT_EQ(addresses("localhost"), Names{"127.0.0.1"});
  EXPECT_EQ(server.asked("localhost", kTypeA), 0);
}

TEST_F(AddressLookUp, AliasIsFollowed) {
  DnsReply reply{.records = {cname_record("real.example"), address_record("192.0.2.9")}};
  reply.records[1].owner = "real.example";
  server.set("alias.example", kTypeA, reply);
  EXPECT_EQ(addresses("alias.example"), Names{"192.0.2.9"});
}

TEST_F(AddressLookUp, NameWithoutAddressIsToldFromNameThatDoesNotExist) {
  server.set_mx("mxonly.example", {mx_record(10, "a.example")});
  const auto none = addresses("mxonly.example");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind, ErrorKind::not_found);
  EXPECT_EQ(none.error().message, "address look-up of mxonly.example: the name has no such record");
  const auto nobody = addresses("nobody.example");
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().kind, ErrorKind::not_found);
  EXPECT_NE(nobody.error().message.find("NXDOMAIN"), std::string::npos);
}

TEST_F(AddressLookUp, OneFamilysFailureDoesNotHideTheOther) {
  set("mail.example", {"192.0.2.1"});
  server.set("mail.example", kTypeAaaa, DnsReply{.rcode = 2});
  EXPECT_EQ(addresses("mail.example"), Names{"192.0.2.1"});
  // Not for the whole TTL: the other family may be back.
  advance(options.negative_ttl + seconds(1));
  server.set("mail.example", kTypeAaaa, DnsReply{.records = {address_record("2001:db8::1")}});
  EXPECT_EQ(addresses("mail.example"), (Names{"2001:db8::1", "192.0.2.1"}));
}

/// Whichever comes last: "no such record" beside "can't say" is no reason to bounce.
TEST_F(AddressLookUp, FailureThatMayPassOutweighsNone) {
  for (const int sick : {kTypeA, kTypeAaaa}) {
    const std::string name = "half" + std::to_string(sick) + ".example";
    set(name, {});
    server.set(name, sick, DnsReply{.rcode = 2});
    const auto found = addresses(name);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().kind, ErrorKind::dns) << sick << ": " << found.error().message;
  }
}

TEST_F(AddressLookUp, FamilyThatNeverAnswersIsNotWaitedForLong) {
  set("mail.example", {"192.0.2.1"});
  server.set("mail.example", kTypeAaaa, DnsReply{.silent = true});
  Outcome<Result<Names>> outcome;
  spawn(io, resolver().addresses("mail.example", timers.in(hours(1))), outcome);
  // Armed when the A records are here.
  ASSERT_TRUE(run_until([&] { return timers.next_due() < timers.in(seconds(10)); }));
  EXPECT_FALSE(outcome.ended());
  advance(seconds(2));
  ASSERT_TRUE(run_until([&] { return outcome.ended(); }));
  EXPECT_EQ(outcome.take(), Names{"192.0.2.1"});
}

TEST_F(AddressLookUp, TtlIsTheLowestOfBoth) {
  server.set("mail.example", kTypeA, DnsReply{.records = {address_record("192.0.2.1", 50)}});
  server.set("mail.example", kTypeAaaa, DnsReply{.records = {address_record("2001:db8::1", 500)}});
  addresses("mail.example");
  advance(seconds(49));
  addresses("mail.example");
  EXPECT_EQ(server.asked("mail.example", kTypeA), 1);
  advance(seconds(1));
  addresses("mail.example");
  EXPECT_EQ(server.asked("mail.example", kTypeA), 2);
}

TEST_F(AddressLookUp, AddressOfTheWrongSizeIsAFailureThatMayPass) {
  DnsRecord record = address_record("192.0.2.1");
  record.data.resize(3);
  server.set("broken.example", kTypeA, DnsReply{.records = {record}});
  const auto found = addresses("broken.example");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().kind, ErrorKind::dns) << found.error().message;
}

TEST(DnsCacheTest, KeepsAtMostItsBoundAndDropsWhatIsOverFirst) {
  DnsCache<int> cache(100);
  const SteadyTime start{};
  for (int i = 0; i < 50; ++i)
    cache.keep("short" + std::to_string(i), start, seconds(1), Result<int>(i));
  for (int i = 0; i < 50; ++i)
    cache.keep("long" + std::to_string(i), start, seconds(100), Result<int>(i));
  cache.keep("new", start + seconds(2), seconds(100), Result<int>(7));
  EXPECT_EQ(cache.size(), 51u);
  ASSERT_NE(cache.find("long3", start + seconds(2)), nullptr);
  EXPECT_EQ(*cache.find("new", start + seconds(2)), 7);
  EXPECT_EQ(cache.find("short3", start + seconds(2)), nullptr);
  for (int i = 0; i < 1000; ++i) {
    cache.keep("flood" + std::to_string(i), start + seconds(2), seconds(100), Result<int>(i));
    ASSERT_LE(cache.size(), 100u);
  }
  EXPECT_EQ(cache.find("new", start + seconds(200)), nullptr);
}

}  // namespace
}  // namespace waypost::net::testing
