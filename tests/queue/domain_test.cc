// Next hops whose server takes few at once, and the one that stands for the whole Internet.
#include "queue_fixture.h"

namespace waypost::queue::testing {
namespace {

class Domain : public QueueTest {
 protected:
  Domain() {
    options.concurrency = 8;
    h0.change().mx_of_recipient = true;
    router.set(everywhere());
  }
  /// Each user has a domain of its own behind h0; users of one residue by 5 share one.
  static std::shared_ptr<const routing::Router> everywhere() {
    routing::Options made;
    made.own_domains = {"own.example"};
    made.default_next_hop = "h0";
    std::vector<routing::Problem> problems;
    auto loaded = routing::Router::load(made, problems);
    EXPECT_TRUE(loaded);
    return *loaded;
  }
  mail::Envelope to(const std::vector<std::string>& domains, const std::string& sender = "s") {
    mail::Envelope made = envelope(std::vector<int>(domains.size(), 0));
    made.reverse_path = mail::Mailbox{sender, "own.example"};
    for (std::size_t i = 0; i < domains.size(); ++i) {
      made.recipients[i].original =
          made.recipients[i].target = {"u" + std::to_string(i), domains[i]};
      made.recipients[i].next_hop = "h0";
    }
    return made;
  }
};

TEST_F(Domain, ATarpitGetsAQuarterOfThePlaces) {
  h0.blocked = true;
  start();
  for (int n = 0; n < 20; ++n) submit(to({"tarpit.example"}, "s" + std::to_string(n)));
  EXPECT_EQ(h0.running, 2u);
  submit(to({"fine.example"}));
  EXPECT_EQ(h0.running, 3u);
  EXPECT_EQ(h0.seen.back().targets, std::vector<std::string>{"u0@fine.example"});
  h0.release_one();  // the tarpit lets one go: the next that waits for it comes at once
  settle();
  EXPECT_EQ(h0.running, 3u);
  EXPECT_EQ(h0.seen.size(), 4u);
  h0.release();
  settle();
  EXPECT_EQ(spool.open_recipients(), 0u);
  EXPECT_EQ(h0.most_running, 3u);
}

TEST_F(Domain, WhoeverWaitsForADomainWaitsInTurns) {
  h0.blocked = true;
  start();
  for (int n = 0; n < 30; ++n) submit(to({"tarpit.example"}, "bulk"));
  const auto single = submit(to({"tarpit.example"}, "single"));
  for (int n = 0; n < 3; ++n) {
    h0.release_one();
    settle();
  }
  EXPECT_TRUE(std::any_of(h0.seen.begin(), h0.seen.end(),
                          [&](const auto& one) { return one.id == single; }));
}

TEST_F(Domain, AMessageToManyDomainsWaitsForNoneOfThem) {
  h0.judge = [](const std::string& target) {
    return target.ends_with("@bad.example") ? deferred() : delivered();
  };
  start();
  const auto id = submit(to({"bad.example", "a.example", "A.example", "b.example"}));
  EXPECT_EQ(state(id, 0), spool::Settlement::open);
  for (std::size_t i = 1; i < 4; ++i) EXPECT_EQ(state(id, i), spool::Settlement::delivered);
  EXPECT_EQ(h0.seen.size(), 3u);  // one attempt a domain, its case apart
}

TEST_F(Domain, WhatWaitsForAPlaceCanBeDeletedAndDoesNotStopTheOthers) {
  h0.blocked = true;
  start();
  std::vector<std::uint64_t> all;
  for (int n = 0; n < 6; ++n)
    all.push_back(submit(to({"tarpit.example"}, "s" + std::to_string(n))));
  Command gone;
  gone.verb = Verb::remove;
  gone.selector.ids = {QueueId{all[2]}, QueueId{all[3]}};
  EXPECT_EQ(queue->control(gone, Slice{0, 100}).recipients, 2u);
  h0.release_one();
  settle();
  h0.release_one();
  settle();
  EXPECT_EQ(state(all[4]), spool::Settlement::open);
  EXPECT_EQ(h0.seen.size(), 4u);
  h0.release();
  settle();
  EXPECT_EQ(spool.open_recipients(), 0u);
}

TEST_F(QueueTest, NoMoreRecipientsAreHandedOverThanTheServerTakes) {
  h0.rcpt_max = 1;
  h0.blocked = true;
  options.concurrency = 1;
  start();
  submit(envelope({0, 3, 6, 9}));
  auto other = envelope({12});
  other.reverse_path = mail::Mailbox{"other", "outside.example"};
  const auto single = submit(other);
  EXPECT_EQ(h0.seen.at(0).targets.size(), 1u);
  for (int n = 0; n < 2; ++n) {
    h0.release_one();
    settle();
  }
  EXPECT_EQ(h0.seen.at(2).id, single);  // whose turn it is, and not behind three more transactions
  h0.release();
}

}  // namespace
}  // namespace waypost::queue::testing
