#include "waypost/outbound/deliverer.h"

#include "waypost/ops/log.h"

#include "outbound/classify.h"
#include "outbound/connection.h"

#include <fstream>

namespace waypost::outbound {
namespace {

using mail::Outcome;
constexpr unsigned kMaxCandidates = 8;

Result<std::string> read_secret(const std::string& path) {
  if (path.empty()) return std::string();
  std::ifstream in(path);
  std::string secret;
  if (!in || !std::getline(in, secret)) {
    return fail(ErrorKind::io,
                "auth_password_file " + path + ": can't be read: " + describe_errno(errno));
  }
  while (!secret.empty() && (secret.back() == '\r' || secret.back() == ' ')) secret.pop_back();
  return secret;
}

bool same_name(const std::string& a, const std::string& b) {
  return mail::ascii_lower(a) == mail::ascii_lower(b);
}

/// A connection that could be opened, or why none could.
struct Opened {
  std::shared_ptr<Connection> connection;
  Outcome outcome;  // when there is no connection: for every recipient
  bool site_trouble = true;
  std::string remote_host;
  bool reused = false;
};

struct HopMetrics {
  HopMetrics(ops::Metrics& m, const std::string& hop)
      : attempts(
            m.counter("waypost_outbound_attempts_total", "Delivery attempts", {{"next_hop", hop}})),
        opened(m.counter("waypost_outbound_connections_total", "Connections opened",
                         {{"next_hop", hop}})),
        reused(m.counter("waypost_outbound_connections_reused_total",
                         "Attempts on a connection that was open", {{"next_hop", hop}})),
        failed_open(m.counter("waypost_outbound_connections_failed_total",
                              "Hosts that gave no usable connection", {{"next_hop", hop}})),
        delivered(m.counter("waypost_outbound_recipients_total",
                            "Recipients by outcome of an attempt",
                            {{"next_hop", hop}, {"outcome", "delivered"}})),
        deferred(m.counter("waypost_outbound_recipients_total",
                           "Recipients by outcome of an attempt",
                           {{"next_hop", hop}, {"outcome", "deferred"}})),
        failed(m.counter("waypost_outbound_recipients_total", "Recipients by outcome of an attempt",
                         {{"next_hop", hop}, {"outcome", "failed"}})),
        octets(m.counter("waypost_outbound_bytes_total", "Octets of delivered content",
                         {{"next_hop", hop}})),
        repaired(m.counter("waypost_outbound_bare_newlines_repaired_total",
                           "Bare CR or LF made CRLF for a server without CHUNKING",
                           {{"next_hop", hop}})),
        took(m.histogram("waypost_outbound_attempt_seconds", "Length of an attempt",
                         {{"next_hop", hop}})) {}
  ops::Counter &attempts, &opened, &reused, &failed_open, &delivered, &deferred, &failed, &octets,
      &repaired;
  ops::Histogram& took;
};

class SmtpDeliverer final : public Deliverer {
 public:
  SmtpDeliverer(NextHopOptions options, DelivererContext context,
                std::shared_ptr<const net::TlsContext> tls, std::string password)
      : options_(std::move(options)),
        context_(std::move(context)),
        tls_(std::move(tls)),
        password_(std::move(password)),
        metrics_(context_.metrics, options_.name) {}
  ~SmtpDeliverer() override { close_idle(); }

  net::Task<AttemptResult> attempt(AttemptInput input) override;
  const NextHopOptions& options() const override { return options_; }
  void close_idle() override {
    for (auto& [key, connections] : idle_) {
      for (auto& connection : connections) connection->quit();
    }
    idle_.clear();
  }
  void cancel() override {
    cancelled_ = true;
    for (Connection* connection : busy_) connection->cut();
    close_idle();
  }
  bool idle() const override { return active_ == 0; }

 private:
  net::Task<void> deliver_domain(const AttemptInput& input, std::vector<std::size_t> group,
                                 AttemptResult& result);
  net::Task<Opened> connect(std::string domain, bool fresh);
  net::Task<Opened> connect_fresh(std::string domain);
  net::Task<Result<std::shared_ptr<Connection>>> open(Candidate candidate, bool plain,
                                                      smtp::Reply& said);
  net::Task<bool> run_transactions(const AttemptInput& input, const std::vector<std::size_t>& group,
                                   Connection& connection, AttemptResult& result);
  std::optional<Outcome> unable(const mail::Envelope& envelope,
                                const smtp::Capabilities& offered) const;
  smtp::ClientTransaction make_transaction(const AttemptInput& input,
                                           std::span<const std::size_t> part) const;
  smtp::ClientOptions dialogue_options(bool plain) const;
  void put_back(std::shared_ptr<Connection> connection);
  void sweep_idle();
  void count(const AttemptInput& input, const AttemptResult& result);
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
  std::vector<Connection*> busy_;  // at most max_connections; cut in this order, run after run
  std::size_t active_ = 0;
  bool cancelled_ = false;
};

void settle_all(AttemptResult& result, const std::vector<std::size_t>& group,
                const Outcome& outcome) {
  for (const std::size_t i : group) result.outcomes[i] = outcome;
}

net::Task<AttemptResult> SmtpDeliverer::attempt(AttemptInput input) {
  ++active_;
  const SteadyTime begun = context_.shard.timers.now();
  metrics_.attempts.add();
  AttemptResult result;
  result.outcomes.resize(input.recipients.size());
  // Only with mx_of_recipient can there be more than one group.
  std::map<std::string, std::vector<std::size_t>> groups;
  for (std::size_t i = 0; i < input.recipients.size(); ++i) {
    groups[options_.mx_of_recipient ? mail::ascii_lower(input.recipients[i].target.domain) : ""]
        .push_back(i);
  }
  for (const auto& group : groups) {
    std::vector<std::size_t> members = group.second;
    co_await deliver_domain(input, std::move(members), result);
  }
  // Here the trouble is that of a recipient's domain: it must not stop mail to all the others.
  if (options_.mx_of_recipient) result.site_trouble = result.unreachable = false;
  result.took = std::chrono::duration_cast<Duration>(context_.shard.timers.now() - begun);
  count(input, result);
  --active_;
  co_return result;
}

net::Task<void> SmtpDeliverer::deliver_domain(const AttemptInput& input,
                                              std::vector<std::size_t> group,
                                              AttemptResult& result) {
  for (const bool fresh : {false, true}) {
    std::string domain = input.recipients[group.front()].target.domain;
    Opened opened = co_await connect(std::move(domain), fresh);
    result.remote_host = opened.remote_host;
    if (!opened.connection) {
      settle_all(result, group, opened.outcome);
      result.site_trouble = result.site_trouble || opened.site_trouble;
      result.unreachable = result.unreachable || opened.site_trouble;
      co_return;
    }
    Connection& connection = *opened.connection;
    result.tls = connection.tls();
    result.reused_connection = opened.reused;
    const auto lacking = unable(*input.envelope, connection.dialogue().capabilities());
    if (lacking) {
      settle_all(result, group, *lacking);
      put_back(opened.connection);
      co_return;
    }
    busy_.push_back(&connection);
    const bool stale = co_await run_transactions(input, group, connection, result);
    std::erase(busy_, &connection);
    put_back(opened.connection);
    // A connection that died of old age is nobody's fault: once more on a new one.
    if (!(stale && opened.reused)) co_return;
    result.site_trouble = false;
  }
}

/// True if the connection gave no reply at all to the first command.
net::Task<bool> SmtpDeliverer::run_transactions(const AttemptInput& input,
                                                const std::vector<std::size_t>& group,
                                                Connection& connection, AttemptResult& result) {
  std::size_t most = options_.max_recipients;
  const std::uint32_t offered = connection.dialogue().capabilities().rcpt_max;  // RFC 9422
  if (offered != 0) most = std::min<std::size_t>(most, offered);
  const bool has_dsn = connection.dialogue().capabilities().dsn;
  Error broken;
  for (std::size_t at = 0; at < group.size(); at += most) {
    const std::span<const std::size_t> part(group.data() + at, std::min(most, group.size() - at));
    if (at > 0 && !connection.reusable()) {
      if (broken.message.empty())
        broken = {ErrorKind::closed, connection.remote_host() + " ended the connection"};
      for (const std::size_t i : part)
        result.outcomes[i] = judge_no_session(broken, {}, connection.candidate().host);
      continue;
    }
    auto content = context_.spool.read(input.message);
    if (!content) {
      for (const std::size_t i : part) {
        result.outcomes[i] =
            deferred_because(mail::status::spool_trouble,
                             "the stored content can't be read: " + content.error().message);
      }
      ops::log().error("message {}: content can't be read: {}", input.message.id.to_string(),
                       content.error().message);
      continue;
    }
    const smtp::ClientTransaction transaction = make_transaction(input, part);
    const auto ran = co_await connection.run(transaction, **content);
    if (!ran) broken = ran.error();
    const smtp::TransactionOutcome& outcome = connection.dialogue().outcome();
    for (std::size_t k = 0; k < part.size(); ++k) {
      result.outcomes[part[k]] =
          judge_recipient(outcome, k, broken, connection.candidate().host, has_dsn);
    }
    result.site_trouble = result.site_trouble || is_site_trouble(outcome, broken);
    result.asks_for_less = result.asks_for_less || asks_for_less(outcome);
    const bool silent = outcome.mail.code == 0 || outcome.mail.code == 421;
    if (at == 0 && silent && !connection.reusable()) co_return true;
  }
  co_return false;
}

net::Task<Opened> SmtpDeliverer::connect(std::string domain, bool fresh) {
  auto& pool = idle_[pool_key(mail::ascii_lower(domain))];
  while (!fresh && !pool.empty()) {
    auto connection = std::move(pool.back());
    pool.pop_back();
    connection->idle_deadline().disarm();
    if (!connection->still_silent()) {
      connection->quit();
      continue;
    }
    metrics_.reused.add();
    Opened opened;
    opened.remote_host = connection->remote_host();
    opened.connection = std::move(connection);
    opened.reused = true;
    co_return opened;
  }
  co_return co_await connect_fresh(std::move(domain));
}

net::Task<Opened> SmtpDeliverer::connect_fresh(std::string domain) {
  Opened opened;
  HostPlan plan(options_, domain, context_.resolver, context_.shard.timers, memory_);
  opened.outcome = deferred_because(mail::status::no_answer,
                                    "no host of next hop " + options_.name + " could be reached");
  for (unsigned tried = 0; tried < kMaxCandidates && !cancelled_; ++tried) {
    auto candidate = co_await plan.next();
    if (cancelled_) break;
    if (!candidate) {
      if (plan.permanent()) {
        opened.outcome = failed_because(plan.permanent(), plan.trouble().message);
        opened.site_trouble = false;
      } else if (tried == 0) {
        opened.outcome = judge_no_session(plan.trouble(), {}, "");
      }
      break;
    }
    opened.remote_host = candidate->host + "[" + candidate->endpoint.address +
                         "]:" + std::to_string(candidate->endpoint.port);
    if (context_.is_self && context_.is_self(candidate->endpoint)) {
      opened.outcome = failed_because(mail::status::routing_loop,
                                      "mail loop: next hop " + options_.name + " leads to " +
                                          opened.remote_host + ", which is ourselves");
      opened.site_trouble = false;
      break;
    }
    smtp::Reply said;
    auto connection = co_await open(*candidate, false, said);
    const bool tls_failed =
        !connection && connection.error().kind == ErrorKind::tls && said.code == 0;
    if (!cancelled_ && tls_failed && options_.tls.policy == net::TlsPolicy::opportunistic &&
        !options_.implicit_tls) {
      connection = co_await open(*candidate, true, said);
    }
    if (!connection) {
      metrics_.failed_open.add();
      memory_.failed(candidate->host, context_.shard.timers.now());
      opened.outcome = judge_no_session(connection.error(), said, candidate->host);
      continue;
    }
    memory_.succeeded(candidate->host);
    if (same_name((*connection)->dialogue().capabilities().greeting_name, context_.own_name)) {
      (*connection)->quit();
      opened.outcome = failed_because(
          mail::status::routing_loop,
          "mail loop: " + opened.remote_host + " greets with our own name " + context_.own_name);
      opened.site_trouble = false;
      break;
    }
    metrics_.opened.add();
    opened.connection = std::move(*connection);
    opened.connection->pool_key = pool_key(mail::ascii_lower(domain));
    break;
  }
  co_return opened;
}

net::Task<Result<std::shared_ptr<Connection>>> SmtpDeliverer::open(Candidate candidate, bool plain,
                                                                   smtp::Reply& said) {
  auto connection = std::make_shared<Connection>(context_.shard, options_, tls_,
                                                 dialogue_options(plain), std::move(candidate));
  busy_.push_back(connection.get());
  auto opened = co_await connection->open(context_.connector);
  std::erase(busy_, connection.get());
  said = connection->failure_reply();
  if (!opened) co_return fail(std::move(opened).error());
  co_return connection;
}

smtp::ClientOptions SmtpDeliverer::dialogue_options(bool plain) const {
  smtp::ClientOptions options;
  options.own_name = options_.helo_name.empty() ? context_.own_name : options_.helo_name;
  const net::TlsPolicy policy = options_.tls.policy;
  options.want_starttls = !plain && !options_.implicit_tls && policy != net::TlsPolicy::none;
  options.require_starttls = !options_.implicit_tls && (policy == net::TlsPolicy::verify ||
                                                        policy == net::TlsPolicy::require);
  options.implicit_tls = options_.implicit_tls;
  options.use_chunking = options_.use_chunking;
  options.use_pipelining = options_.use_pipelining;
  options.auth_user = options_.auth_user;
  options.auth_password = password_;
  return options;
}

/// What the server can't do for this message, by the book.
std::optional<Outcome> SmtpDeliverer::unable(const mail::Envelope& envelope,
                                             const smtp::Capabilities& offered) const {
  if (envelope.smtputf8 && !offered.smtputf8) {  // RFC 6531 §3.2
    return failed_because(mail::status::non_ascii_not_permitted,
                          "the message needs SMTPUTF8, which the next hop does not offer");
  }
  std::uint64_t limit = offered.max_size;
  if (options_.max_message_size != 0)
    limit = limit == 0 ? options_.max_message_size : std::min(limit, options_.max_message_size);
  if (limit != 0 && envelope.content_size > limit) {  // RFC 1870 §6.1
    return failed_because(mail::status::message_too_big,
                          "the message has " + std::to_string(envelope.content_size) +
                              " octets; the next hop takes at most " + std::to_string(limit));
  }
  return std::nullopt;
}

smtp::ClientTransaction SmtpDeliverer::make_transaction(const AttemptInput& input,
                                                        std::span<const std::size_t> part) const {
  const mail::Envelope& envelope = *input.envelope;
  smtp::ClientTransaction transaction;
  transaction.reverse_path = envelope.reverse_path;
  transaction.size = envelope.content_size;
  transaction.body = envelope.body;
  transaction.ret = envelope.ret;
  transaction.envid = envelope.envid;
  transaction.smtputf8 = envelope.smtputf8;
  transaction.recipients.reserve(part.size());
  for (const std::size_t i : part) {
    const mail::Recipient& recipient = envelope.recipients[input.recipients[i].index];
    smtp::ClientRecipient sent{input.recipients[i].target, recipient.orcpt, recipient.notify};
    // RFC 3461 §5.2.1: who rewrites an address keeps the original for the sender's reports.
    if (sent.orcpt.empty() && recipient.original != sent.forward_path) {
      sent.orcpt = (recipient.original.needs_smtputf8() ? "utf-8;" : "rfc822;") +
                   recipient.original.to_string();
    }
    transaction.recipients.push_back(std::move(sent));
  }
  return transaction;
}

/// With mx_of_recipient there is a pool for each domain, and most are never asked for again.
void SmtpDeliverer::sweep_idle() {
  const SteadyTime present = context_.shard.timers.now();
  if (present < sweep_at_) return;
  sweep_at_ = present + options_.idle_connection;
  for (auto pool = idle_.begin(); pool != idle_.end();) {
    std::erase_if(pool->second, [](const auto& connection) { return !connection->reusable(); });
    pool = pool->second.empty() ? idle_.erase(pool) : std::next(pool);
  }
}

void SmtpDeliverer::put_back(std::shared_ptr<Connection> connection) {
  sweep_idle();
  const bool used_up = connection->messages() >= options_.max_messages_per_connection ||
                       options_.idle_connection <= Duration::zero();
  if (cancelled_ || used_up || !connection->reusable()) {
    connection->quit();
    return;
  }
  connection->idle_deadline().arm(context_.shard.timers.in(options_.idle_connection),
                                  &SmtpDeliverer::on_idle_expired, connection.get());
  idle_[connection->pool_key].push_back(std::move(connection));
}

/// The connection stays in the pool, closed; the next one who looks throws it away.
void SmtpDeliverer::on_idle_expired(void* argument) { static_cast<Connection*>(argument)->quit(); }

void SmtpDeliverer::count(const AttemptInput& input, const AttemptResult& result) {
  std::uint64_t delivered = 0;
  for (const Outcome& outcome : result.outcomes) {
    switch (outcome.fate) {
      case mail::Fate::delivered:
        ++delivered;
        break;
      case mail::Fate::deferred:
        metrics_.deferred.add();
        break;
      case mail::Fate::failed:
        metrics_.failed.add();
        break;
    }
  }
  metrics_.delivered.add(delivered);
  if (delivered > 0) metrics_.octets.add(input.envelope->content_size);
  metrics_.took.observe_us(
      static_cast<std::uint64_t>(std::max<std::int64_t>(result.took.count(), 0)));
}

}  // namespace

Result<std::unique_ptr<Deliverer>> Deliverer::make(NextHopOptions options,
                                                   DelivererContext context) {
  std::shared_ptr<const net::TlsContext> tls;
  if (options.tls.policy != net::TlsPolicy::none || options.implicit_tls) {
    auto made = net::TlsContext::for_client(options.tls);
    if (!made) return fail(std::move(made).error());
    tls = std::move(*made);
  }
  auto password = read_secret(options.auth_password_file);
  if (!password) return fail(std::move(password).error());
  return std::unique_ptr<Deliverer>(std::make_unique<SmtpDeliverer>(
      std::move(options), std::move(context), std::move(tls), std::move(*password)));
}

}  // namespace waypost::outbound
