// The one implementation of Deliverer, in three files:
//   deliverer.cc  an attempt: groups of recipients, transactions, what came of them
//   opening.cc    a new connection: hosts, addresses, TLS
//   pool.cc       connections that wait for reuse, and the pace of messages
//
// Private to outbound.
#pragma once

#include "waypost/net/connect_race.h"
#include "waypost/outbound/deliverer.h"

#include "outbound/connection.h"
#include "outbound/hop_metrics.h"
#include "outbound/host_plan.h"

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace waypost::outbound {

using mail::Outcome;

/// A connection that could be opened, or why none could.
struct Opened {
  std::shared_ptr<Connection> connection;
  Outcome outcome;  // when there is no connection: for every recipient
  bool site_trouble = true;
  std::string remote_host;
  bool reused = false;
  bool ourselves = false;  // the host is this gateway; `outcome` says so
};

/// How a connection is to be opened, and what it came to if that failed.
struct Opening {
  bool plain = false;    // no TLS, although it may be offered
  bool resume = true;    // a TLS session may be offered
  bool offered = false;  // one was
  smtp::Reply said;      // the server's refusal; code 0: none
};

class SmtpDeliverer final : public Deliverer {
 public:
  SmtpDeliverer(NextHopOptions options, DelivererContext context,
                std::shared_ptr<const net::TlsContext> tls, std::string password)
      : options_(std::move(options)),
        context_(std::move(context)),
        tls_(std::move(tls)),
        password_(std::move(password)),
        metrics_(context_.metrics, options_.name),
        memory_(options_.remember_failures),
        pace_(context_.pace ? context_.pace : std::make_shared<Pace>()) {}
  ~SmtpDeliverer() override { close_idle(); }

  net::Task<AttemptResult> attempt(const AttemptInput& input) override;
  const NextHopOptions& options() const override { return options_; }
  std::uint32_t recipients_at_once() const override;
  void close_idle() override {
    for (auto& [key, connections] : idle_) {
      for (auto& connection : connections) connection->quit();
    }
    idle_.clear();
  }
  void cancel() override {
    cancelled_ = true;
    for (Connection* connection : busy_) connection->cut();
    for (net::ConnectRace* race : races_) race->cancel();
    for (net::Timers::Sleeper* sleeper : paced_) sleeper->wake();
    close_idle();
  }
  bool idle() const override { return active_ == 0; }

 private:
  /// The recipients that go to one domain's hosts, and how far their delivery has come.
  struct Group {
    std::vector<std::size_t> members;  // of AttemptInput::recipients
    std::size_t done = 0;
    bool has_turn = false;  // a place in the pace that is not used yet
  };

  // deliverer.cc
  net::Task<void> deliver_group(const AttemptInput& input, Group group, AttemptResult& result);
  net::Task<bool> run_transactions(const AttemptInput& input, Group& group, Connection& connection,
                                   AttemptResult& result);
  /// How a transaction ended: with replies, without one to MAIL (or with 421), or before it began,
  /// because its content can't be read.
  enum class Ran : std::uint8_t { answered, silent, unreadable };
  net::Task<Ran> run_transaction(const AttemptInput& input, std::span<const std::size_t> part,
                                 Connection& connection, AttemptResult& result);
  bool refused_bdat(Connection& connection);
  std::size_t settle_part(Group& group, std::size_t size,
                          const smtp::TransactionOutcome& transaction, const AttemptResult& result);
  std::optional<Outcome> unable(const mail::Envelope& envelope,
                                const smtp::Capabilities& offered) const;
  void refuse_utf8(const AttemptInput& input, Group& group, AttemptResult& result);
  bool find_utf8_header(const AttemptInput& input) const;
  smtp::ClientTransaction make_transaction(const AttemptInput& input,
                                           std::span<const std::size_t> part) const;
  void count(const AttemptInput& input, const AttemptResult& result);

  // opening.cc
  net::Task<Opened> connect_fresh(std::string domain);
  net::Task<bool> try_host(std::vector<Candidate> addresses, SteadyTime until,
                           unsigned& conversations, Opened& opened);
  net::Task<net::RaceResult> race(std::vector<net::Endpoint> addresses);
  void remember(const net::RaceResult& ran, const std::vector<Candidate>& addresses);
  net::Task<bool> converse(Candidate with, std::unique_ptr<net::Stream> stream, Opened& opened);
  net::Task<Result<std::shared_ptr<Connection>>> open(Candidate candidate,
                                                      std::unique_ptr<net::Stream> stream,
                                                      Opening& opening);
  net::Task<Result<std::shared_ptr<Connection>>> open_again(Candidate candidate, Opening& opening);
  Outcome greets_like_us(const std::string& remote_host);
  smtp::ClientOptions dialogue_options(const Candidate& candidate, bool plain) const;

  // pool.cc
  net::Task<bool> wait_turn();
  net::Task<Opened> connect(std::string domain, bool fresh);
  std::uint32_t most_messages(const Connection& connection) const;
  void put_back(std::shared_ptr<Connection> connection);
  void sweep_idle();
  static void on_idle_expired(void* argument);
  std::string pool_key(const std::string& domain) const {
    return options_.mx_of_recipient ? domain : std::string();
  }

  NextHopOptions options_;
  DelivererContext context_;
  std::shared_ptr<const net::TlsContext> tls_;
  std::string password_;
  HopMetrics metrics_;
  HostMemory memory_;
  SteadyTime sweep_at_{};
  std::map<std::string, std::vector<std::shared_ptr<Connection>>> idle_;
  std::shared_ptr<Pace> pace_;
  std::vector<Connection*> busy_;  // at most max_connections; cut in this order, run after run
  std::vector<net::ConnectRace*> races_;
  std::vector<net::Timers::Sleeper*> paced_;
  std::size_t active_ = 0;
  std::uint32_t rcpt_max_ = 0;          // what the server said last (RFC 9422); 0: nothing
  std::set<std::string> without_bdat_;  // addresses that offer CHUNKING and don't know BDAT
  std::uint32_t learned_max_ = 0;       // recipients in a transaction, by its 452s; 0: nothing
  SteadyTime learned_until_{};
  bool cancelled_ = false;
};

}  // namespace waypost::outbound
