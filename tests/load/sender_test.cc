// The sender against the stand-in, in one process: what it sends is what arrives.
#include "load/sender.h"

#include "load/accounting.h"
#include "load/files.h"
#include "sink/certificates.h"
#include "sink/stand_in.h"

#include <gtest/gtest.h>

#include <thread>

namespace waypost::load {
namespace {

std::size_t count_of(const std::string& text, const std::string& what) {
  std::size_t count = 0;
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

struct SenderTest : ::testing::Test {
  Folder folder;
  sink::StandInOptions sink_options;
  SendOptions options;
  std::unique_ptr<sink::StandIn> sink;

  void SetUp() override {
    sink_options.journal = folder.path("sink.log");
    sink_options.tls = "none";
    options.log_file = folder.path("send.log");
    options.run_id = 7;
    options.tls.policy = net::TlsPolicy::none;
    options.recipients.addresses = {"ann@org.example", "bob@org.example"};
    options.content.size = "2KiB";
    options.schedule.count = 200;
    options.servers = 2;
    options.connections_per_server = 2;
    options.give_up = std::chrono::seconds(5);
    options.timeout = std::chrono::seconds(20);
  }

  /// One whole run; the figures of both ends.
  Accounting run(Statistics* statistics = nullptr) {
    auto started = sink::StandIn::start(sink_options);
    EXPECT_TRUE(started) << started.error().message;
    sink = std::move(*started);
    sink->serve_in_background();
    options.targets = {sink->bound().front()};
    auto sender = Sender::make(options);
    EXPECT_TRUE(sender) << sender.error().message;
    (*sender)->start();
    (*sender)->join();
    sink->stop();
    if (statistics != nullptr) *statistics = (*sender)->results();
    EXPECT_TRUE((*sender)->log_health());
    Ledger ledger;
    EXPECT_TRUE(ledger.add_sent(folder.read("send.log"), "send.log"));
    EXPECT_TRUE(ledger.add_received(folder.read("sink.log"), "sink.log"));
    return ledger.settle({});
  }
  void expect_all_arrived(std::uint64_t recipients = 200) {
    const Accounting sum = run();
    EXPECT_TRUE(sum.good()) << (sum.wrong.empty() ? "" : sum.wrong.front());
    EXPECT_EQ(sum.arrived_once, recipients);
  }
};

TEST_F(SenderTest, EveryShapeArrivesUnchanged) {
  for (const auto pipelining : {Pipelining::exchange, Pipelining::full, Pipelining::off}) {
    for (const bool bdat : {true, false}) {
      options.pipelining = pipelining;
      options.use_bdat = bdat;
      expect_all_arrived();
    }
  }
}

TEST_F(SenderTest, SaysWhatExchangeSaysAboutReports) {
  sink_options.record = folder.path("record.jsonl");
  options.recipients.addresses = {"ann@org.example", "bob+x=y@org.example"};
  options.recipients.group_share = 0.3;
  expect_all_arrived();
  const std::string said = folder.read("record.jsonl");
  EXPECT_EQ(count_of(said, "\"ret\":\"HDRS\""), 200u);
  EXPECT_EQ(count_of(said, "\"envid\":\"0000000000000007."), 200u);
  EXPECT_EQ(count_of(said, "\"body\":\"8BITMIME\""), 200u);
  EXPECT_EQ(count_of(said, "\"size\":2048,\"body\""), 200u);
  EXPECT_EQ(count_of(said, "\"orcpt\":\"rfc822;ann@org.example\"") +
                count_of(said, "\"orcpt\":\"rfc822;bob+x=y@org.example\""),
            200u)
      << said.substr(0, 2'000);
  const std::size_t silent = count_of(said, "\"notify\":[\"NEVER\"]");
  EXPECT_GT(silent, 40u);
  EXPECT_LT(silent, 80u);
  EXPECT_EQ(silent, count_of(folder.read("send.log"), "\tag\t"));
  EXPECT_EQ(count_of(said, "violations"), 0u);
}

TEST_F(SenderTest, SaysNothingAboutReportsIfItShallNotOrCannot) {
  options.recipients.group_share = 0.3;
  sink_options.record = folder.path("record.jsonl");
  for (const bool offered : {true, false}) {
    options.exchange_parameters = !offered;
    if (!offered) sink_options.hide = {"DSN"};
    expect_all_arrived();
    const std::string said = folder.read("record.jsonl");
    for (const char* word : {"\"ret\"", "\"envid\"", "\"orcpt\"", "\"notify\"", "violations"}) {
      EXPECT_EQ(count_of(said, word), 0u) << word;
    }
    EXPECT_GT(count_of(said, "\"body\":\"8BITMIME\""), 0u);
    EXPECT_EQ(count_of(folder.read("send.log"), "\tag\t"), 0u) << "a failure would be reported";
  }
}

TEST_F(SenderTest, CountsConnectionsAsExchangeMakesThem) {
  options.messages_per_connection = 20;
  Statistics statistics;
  EXPECT_TRUE(run(&statistics).good());
  EXPECT_EQ(statistics.accepted, 200u);
  EXPECT_GE(statistics.connections, 10u);
  EXPECT_LE(statistics.connections, 14u);
  EXPECT_EQ(statistics.phase(Phase::total).count(), 200u);
  EXPECT_EQ(statistics.phase(Phase::verdict).count(), 200u);
}

TEST_F(SenderTest, OneMessageAConnectionAndManyThreads) {
  options.messages_per_connection = 1;
  options.threads = 3;
  sink_options.threads = 2;
  expect_all_arrived();
}

TEST_F(SenderTest, LargeMessagesAndDotsSurviveData) {
  folder.write("dots.eml", "Subject: x\n\n.\n..\n.end\n");
  std::string large = "Subject: large\n\n";
  while (large.size() < 700'000) large += ".a line that begins with a dot\n";
  folder.write("large.eml", large);
  options.content.folder = folder.path("");
  options.schedule.count = 20;
  for (const bool bdat : {true, false}) {
    options.use_bdat = bdat;
    expect_all_arrived(20);
  }
}

TEST_F(SenderTest, ThousandRecipientsInOneMessage) {
  options.recipients.addresses.clear();
  for (int i = 0; i < 1'500; ++i) {
    options.recipients.addresses.push_back("u" + std::to_string(i) + "@org.example");
  }
  options.recipients.burst_every = 5;
  options.recipients.burst_recipients = 1'000;
  options.schedule.count = 10;
  sink_options.max_recipients = 1'000;
  expect_all_arrived(8 + 2 * 1'000);
}

TEST_F(SenderTest, TlsIsVerifiedResumedAndAuthenticated) {
  sink::CertificateOptions make;
  make.directory = folder.path("tls");
  make.names = {"sink.example"};
  const auto files = sink::make_certificates(make);
  ASSERT_TRUE(files);
  sink_options.tls = "starttls";
  sink_options.certificate = files->chain_file;
  sink_options.key = files->key_file;
  sink_options.auth = "ex:secret";
  options.auth_user = "ex";
  options.auth_password = "secret";
  options.tls.policy = net::TlsPolicy::verify;
  options.tls.ca_file = files->ca_file;
  options.tls.names = {"sink.example"};
  Statistics statistics;
  EXPECT_TRUE(run(&statistics).good());
  EXPECT_GE(statistics.handshakes, 10u);
  EXPECT_EQ(statistics.verified, statistics.handshakes);
  EXPECT_GT(statistics.resumed, 0u);
  EXPECT_EQ(statistics.connections_failed, 0u);

  options.tls.names = {"other.example"};
  options.schedule.count = 1;
  options.schedule.duration = std::chrono::milliseconds(300);
  EXPECT_EQ(run(&statistics).arrived_once, 0u);
  EXPECT_GT(statistics.connections_failed, 0u);
}

TEST_F(SenderTest, OpenLoopChargesAStallToTheMessagesThatWereDue) {
  options.schedule.rate = 200;
  options.schedule.count = 100;
  options.connections_per_server = 1;
  options.servers = 1;
  options.messages_per_connection = 0;
  sink_options.rules = {"at=end;delay=400;skip=10;times=1"};
  Statistics statistics;
  EXPECT_TRUE(run(&statistics).good());
  // One stall of 400 ms at 200/s: some 80 messages were due meanwhile, and half of those waited
  // for more than 100 ms, although all but one had their verdict at once.
  EXPECT_GT(statistics.phase(Phase::total).at_percent(50), 50'000u);
  EXPECT_LT(statistics.phase(Phase::verdict).at_percent(50),
            statistics.phase(Phase::total).at_percent(50));
}

TEST_F(SenderTest, RefusalsAreCountedAndTheConnectionGoesOn) {
  sink_options.rules = {"at=rcpt;match=bob@*;reply=550 5.1.1 nobody",
                        "at=mail;reply=451 4.3.0 no;skip=5;times=3",
                        "at=end;reply=452 4.3.1 full;skip=20;times=2"};
  for (const auto pipelining : {Pipelining::exchange, Pipelining::full, Pipelining::off}) {
    options.pipelining = pipelining;
    Statistics statistics;
    const Accounting sum = run(&statistics);
    EXPECT_EQ(statistics.accepted + statistics.refused, 200u);
    EXPECT_EQ(sum.arrived_once, statistics.accepted);
    EXPECT_EQ(sum.refused, statistics.refused);
    EXPECT_EQ(sum.lost, 0u);
    EXPECT_EQ(statistics.connections_lost, 0u);
  }
}

TEST_F(SenderTest, LostConnectionsAreSentAgainOrUnacknowledged) {
  sink_options.rules = {"at=rcpt;drop;skip=10;times=5", "at=end;drop;skip=30;times=4",
                        "at=end;drop;keep;skip=40;times=3"};
  Statistics statistics;
  const Accounting sum = run(&statistics);
  EXPECT_TRUE(sum.good()) << (sum.wrong.empty() ? "" : sum.wrong.front());
  EXPECT_EQ(statistics.connections_lost, 12u);
  EXPECT_EQ(sum.unacknowledged_missing, 4u);
  EXPECT_EQ(sum.unacknowledged_arrived, 3u);
  EXPECT_EQ(sum.arrived_once, 193u);
}

TEST_F(SenderTest, TargetsMustBeNamedInFull) {
  for (const auto& targets : std::vector<std::vector<std::string>>{
           {}, {"localhost"}, {":25"}, {"127.0.0.1:0"}, {"127.0.0.1:x"}, {"127.0.0.1:70000"}}) {
    options.targets = targets;
    EXPECT_FALSE(Sender::make(options));
  }
}

}  // namespace
}  // namespace waypost::load
