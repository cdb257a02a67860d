#include "inbound/session.h"

#include "waypost/mail/xtext.h"
#include "waypost/ops/log.h"

#include "inbound/proxy_header.h"

namespace waypost::inbound {
namespace {

constexpr std::chrono::milliseconds kMemoryWait{5};
constexpr std::chrono::seconds kWriteTime{60};

smtp::ServerOptions dialogue_options(const Settings& settings, const ListenerOptions& listener) {
  smtp::ServerOptions options;
  options.own_name = settings.options.own_name;
  options.max_message_size = settings.options.limits.message_size;
  options.max_recipients = settings.options.limits.recipients;
  options.max_errors = settings.options.limits.errors_per_session;
  options.max_commands_without_mail = settings.options.limits.commands_without_mail;
  options.bare_newline = listener.bare_newline;
  options.offer_starttls = listener.tls == ListenerTls::starttls;
  options.require_tls = listener.require_tls;
  options.offer_auth = settings.has_passwords();
  return options;
}

smtp::Reply closing(const std::string& own_name) {
  return {421, {4, 3, 2}, own_name + " is shutting down; try again"};
}

}  // namespace

InboundMetrics::InboundMetrics(ops::Metrics& m)
    : connections(m.counter("waypost_inbound_connections_total", "Connections accepted")),
      refused_connections(m.counter("waypost_inbound_connections_refused_total",
                                    "Connections refused before the first command")),
      messages(m.counter("waypost_inbound_messages_total", "Messages acknowledged with 250")),
      octets(m.counter("waypost_inbound_bytes_total", "Octets of acknowledged messages")),
      recipients_accepted(m.counter("waypost_inbound_recipients_total",
                                    "Recipients by answer to RCPT", {{"answer", "accepted"}})),
      recipients_refused(m.counter("waypost_inbound_recipients_total",
                                   "Recipients by answer to RCPT", {{"answer", "refused"}})),
      messages_refused(
          m.counter("waypost_inbound_messages_refused_total", "Messages that could not be stored")),
      abandoned(m.counter("waypost_inbound_transactions_abandoned_total",
                          "Transactions that ended without a message")),
      tls_sessions(m.counter("waypost_inbound_tls_handshakes_total", "TLS handshakes",
                             {{"result", "good"}})),
      tls_failures(m.counter("waypost_inbound_tls_handshakes_total", "TLS handshakes",
                             {{"result", "failed"}})),
      auth_good(m.counter("waypost_inbound_authentications_total", "AUTH", {{"result", "good"}})),
      auth_failed(
          m.counter("waypost_inbound_authentications_total", "AUTH", {{"result", "failed"}})),
      timeouts(m.counter("waypost_inbound_timeouts_total", "Sessions that were too slow")),
      time_to_250(m.histogram("waypost_inbound_time_to_250_seconds",
                              "From the last octet of a message to its 250")) {}

Session::Session(ShardDoor& door, std::shared_ptr<const Settings> settings, std::size_t listener,
                 std::unique_ptr<net::Stream> stream)
    : door_(door),
      settings_(std::move(settings)),
      listener_(listener),
      stream_(std::move(stream)),
      client_address_(stream_->remote().address),
      options_(dialogue_options(*settings_, settings_->options.listeners[listener])),
      dialogue_(options_, *this) {
  door_.sessions.insert(this);
}

Session::~Session() {
  if (counted_) door_.clients.leave(client_address_);
  door_.sessions.erase(this);
  door_.context.shard.sessions.fetch_sub(1, std::memory_order_relaxed);
}

net::Task<void> run_session(std::unique_ptr<Session> session) { co_await session->run(); }

net::Task<void> Session::run() {
  door_.metrics.connections.add();
  if (settings_->proxies[listener_].contains(client_address_)) {
    const bool understood = co_await read_proxy_header();
    if (!understood) co_return;
  }
  if (listener().tls == ListenerTls::implicit) {
    const bool secured = co_await upgrade();
    if (!secured) co_return;
    dialogue_.assume_tls();
  }
  const bool greeted = co_await greet();
  if (!greeted) co_return;
  co_await converse();
  if (dialogue_.in_transaction()) {
    door_.metrics.abandoned.add();
    if (dialogue_.in_content()) {
      ops::log().info("{}: the connection was lost inside a message; nothing was queued",
                      facts().to_string());
    }
  }
  transaction_.reset();
  if (stream_) stream_->close();
}

net::Task<bool> Session::read_proxy_header() {
  ProxyHeader header;
  char octets[512];
  const SteadyTime deadline = door_.context.shard.timers.in(limits().handshake);
  while (header.octets_wanted() > 0) {
    const std::span<char> into(octets, std::min(sizeof octets, header.octets_wanted()));
    auto got = co_await net::read_some(*stream_, into, deadline);
    if (!got) co_return false;
    const auto fed = header.feed({octets, *got});
    if (!fed) {
      ops::log().warn("{} via {}: {}; closing", client_address_, listener().to_string(),
                      fed.error().message);
      co_return false;
    }
  }
  if (!header.source().address.empty()) client_address_ = header.source().address;
  co_return true;
}

/// The handshake, for STARTTLS and implicit TLS.
net::Task<bool> Session::upgrade() {
  const SteadyTime deadline = door_.context.shard.timers.in(limits().handshake);
  auto context = settings_->tls;
  auto plain = std::move(stream_);
  handshaking_ = plain.get();
  auto secured = co_await net::tls_accept(std::move(plain), std::move(context), deadline);
  handshaking_ = nullptr;
  if (!secured) {
    door_.metrics.tls_failures.add();
    ops::log().info("{}: {}", client_address_, secured.error().message);
    co_return false;
  }
  door_.metrics.tls_sessions.add();
  const net::TlsInfo& info = (*secured)->tls();
  tls_words_ = info.version + " " + info.cipher;
  if (options_.require_auth && settings_->admits_certificate(info)) options_.require_auth = false;
  stream_ = std::move(*secured);
  co_return true;
}

/// Null: the client may talk.
std::optional<smtp::Reply> Session::admission_refusal() {
  const std::string& own = settings_->options.own_name;
  if (door_.stopping) return closing(own);
  const std::uint32_t own_sessions = door_.clients.enter(client_address_);
  counted_ = true;
  if (own_sessions > limits().sessions_per_client) {
    return smtp::Reply{421,
                       {4, 7, 0},
                       own + " too many connections from " + client_address_ + "; the limit is " +
                           std::to_string(limits().sessions_per_client)};
  }
  std::uint32_t all = 0;
  for (const auto& shard : door_.server.shards)
    all += shard.shard.sessions.load(std::memory_order_relaxed);
  if (all > limits().sessions)
    return smtp::Reply{421, {4, 3, 2}, own + " too many connections; try again"};
  if (settings_->networks.contains(client_address_)) return std::nullopt;
  if (settings_->may_authenticate()) {
    options_.require_auth = true;
    return std::nullopt;
  }
  return smtp::Reply{
      554, mail::status::relay_denied,
      client_address_ + " may not send mail here; its network is not in admission.networks"};
}

net::Task<bool> Session::greet() {
  auto refusal = admission_refusal();
  if (!refusal && listener().tls != ListenerTls::implicit) {
    // RFC 5321 §4.3.1: the client must wait for the greeting; who does not is no mail server.
    if (limits().greeting_delay > Duration::zero()) {
      const SteadyTime until = door_.context.shard.timers.in(limits().greeting_delay);
      co_await stream_->wait_readable(until);
    }
    char octet = 0;
    const net::IoCount early = stream_->try_peek({&octet, 1});
    if (early.state == net::IoState::done) {
      refusal = smtp::Reply{554, mail::status::invalid_command, "you spoke before the greeting"};
    }
  }
  const bool refused = refusal.has_value();
  if (refused) {
    door_.metrics.refused_connections.add();
    ops::log().warn("{} via {}: refused: {}", client_address_, listener().to_string(),
                    refusal->to_line());
  }
  dialogue_.greet(std::move(refusal));
  const bool written = co_await write_output();
  co_return written && !refused;
}

net::Task<void> Session::converse() {
  std::string carried;  // octets that came behind a step and must survive a suspension
  std::string_view input;
  for (;;) {
    const smtp::Step step = dialogue_.advance(input);
    if (!input.empty() && step != smtp::Step::need_input) {
      std::string rest(input);
      carried = std::move(rest);
      input = carried;
    }
    if (step == smtp::Step::close) {
      co_await write_output();
      co_return;
    }
    if (step == smtp::Step::commit) {
      co_await finish_message();
      if (!stream_) co_return;
      continue;
    }
    if (step == smtp::Step::authenticate) {
      co_await authenticate();
      continue;
    }
    const bool written = co_await write_output();
    if (!written) co_return;
    if (step == smtp::Step::start_tls) {
      // RFC 3207 §5: what came in the clear behind STARTTLS is an attack.
      if (!input.empty()) {
        ops::log().warn("{}: sent commands behind STARTTLS in the clear; closing",
                        facts().to_string());
        co_return;
      }
      const bool secured = co_await upgrade();
      if (!secured) co_return;
      dialogue_.tls_started();
      continue;
    }
    carried = std::string();
    const bool settled = co_await settle_content();
    if (!settled) co_return;
    const std::size_t octets = co_await read();
    if (octets == 0) co_return;
    input = {door_.buffer.data(), octets};
  }
}

/// Before more is read: what has collected goes to disk, and memory that is used up makes us wait.
net::Task<bool> Session::settle_content() {
  if (!transaction_ || !dialogue_.in_content()) co_return true;
  if (transaction_->wants_flush()) {
    auto refusal = co_await transaction_->flush();
    if (refusal) dialogue_.refuse_content(std::move(*refusal));
  }
  net::Timers& timers = door_.context.shard.timers;
  while (door_.server.budget.exhausted() && stream_) {
    if (timers.now() >= message_deadline_) co_return false;
    const auto slept = co_await timers.sleep_until(timers.in(kMemoryWait));
    if (!slept) co_return false;
  }
  co_return true;
}

SteadyTime Session::read_deadline() const {
  const net::Timers& timers = door_.context.shard.timers;
  if (!dialogue_.in_content()) return timers.in(limits().idle);
  return std::min(timers.in(limits().content_block), message_deadline_);
}

net::Task<std::size_t> Session::read() {
  for (;;) {
    const net::IoCount count = stream_->try_read(door_.buffer);
    if (count.state == net::IoState::done) {
      last_octet_ = door_.context.shard.timers.now();
      co_return count.octets;
    }
    if (count.state == net::IoState::end_of_stream || count.state == net::IoState::failed)
      co_return 0;
    const SteadyTime deadline = read_deadline();
    Result<> ready;
    if (count.state == net::IoState::want_write) {
      ready = co_await stream_->wait_writable(deadline);
    } else {
      ready = co_await stream_->wait_readable(deadline);
    }
    if (ready) continue;
    if (ready.error().kind == ErrorKind::timeout) {
      door_.metrics.timeouts.add();
      const smtp::Reply late{
          421, {4, 4, 2}, settings_->options.own_name + " nothing came in time; closing"};
      late.append_to(dialogue_.output());
      co_await write_output();
    }
    co_return 0;
  }
}

net::Task<bool> Session::write_output() {
  std::string& output = dialogue_.output();
  if (output.empty()) co_return true;
  // Most replies fit at once; only a slow client costs a suspension.
  const iovec one{output.data(), output.size()};
  const net::IoCount count = stream_->try_write({&one, 1});
  if (count.state == net::IoState::done && count.octets == output.size()) {
    output.clear();
    co_return true;
  }
  std::string rest = output.substr(count.octets);
  output.clear();
  const SteadyTime deadline = door_.context.shard.timers.in(kWriteTime);
  const auto written = co_await net::write_all(*stream_, std::string_view(rest), deadline);
  co_return written.has_value();
}

net::Task<void> Session::finish_message() {
  const bool bare = dialogue_.used_bdat() && dialogue_.content_had_bare_newline();
  const ClientFacts client = facts();
  const auto transaction = std::move(transaction_);
  const smtp::Reply verdict = co_await transaction->commit(client, bare);
  dialogue_.committed(verdict);
  const bool written = co_await write_output();
  const auto took =
      std::chrono::duration_cast<Duration>(door_.context.shard.timers.now() - last_octet_);
  // Acknowledged or not heard by the client: what is stored is delivered.
  if (transaction->stored()) transaction->hand_over(client, took);
  if (!written) stream_->close();
}

net::Task<void> Session::authenticate() {
  const smtp::Credentials credentials = dialogue_.credentials();
  const bool good = co_await door_.passwords.verify(door_.context.shard, settings_, credentials);
  (good ? door_.metrics.auth_good : door_.metrics.auth_failed).add();
  if (good) {
    dialogue_.authenticated({235, mail::status::auth_ok, "authenticated"});
  } else {
    ops::log().warn("{}: authentication failed for user '{}'", facts().to_string(),
                    mail::printable(credentials.user, 64));
    dialogue_.authenticated({535, mail::status::auth_failed, "authentication failed"});
  }
}

ClientFacts Session::facts() const {
  return {dialogue_.helo(), client_address_, dialogue_.user(), tls_words_, dialogue_.esmtp()};
}

void Session::stop() {
  const smtp::Reply reply = closing(settings_->options.own_name);
  if (dialogue_.in_transaction()) {
    dialogue_.shut_down(reply);
    return;
  }
  // It waits for a command that will not be answered any more: tell it, and let go.
  std::string bytes;
  reply.append_to(bytes);
  const iovec one{bytes.data(), bytes.size()};
  if (stream_) stream_->try_write({&one, 1});
  cut();
}

void Session::cut() {
  if (stream_) stream_->close();
  if (handshaking_ != nullptr) handshaking_->close();
}

smtp::Reply Session::on_mail(const smtp::MailCommand& command) {
  const spool::Spool& spool = door_.server.spool;
  if (spool.read_only())
    return {452, mail::status::spool_trouble, "mail can't be stored safely at the moment"};
  if (!spool.has_room()) return {452, mail::status::disk_full, "no room for mail at the moment"};
  transaction_ =
      std::make_unique<Transaction>(door_, limits(), settings_->options.own_name, command);
  return {250, mail::status::sender_ok, "sender OK"};
}

smtp::Reply Session::on_rcpt(const smtp::RcptCommand& command) {
  return transaction_->add_recipient(command, facts());
}

std::optional<smtp::Reply> Session::on_content_start() {
  const spool::Spool& spool = door_.server.spool;
  if (spool.read_only())
    return smtp::Reply{452, mail::status::spool_trouble,
                       "mail can't be stored safely at the moment"};
  if (!spool.has_room())
    return smtp::Reply{452, mail::status::disk_full, "no room for mail at the moment"};
  message_deadline_ = door_.context.shard.timers.in(limits().whole_message);
  transaction_->begin_content(facts());
  return std::nullopt;
}

void Session::on_content(std::string_view bytes) {
  if (auto refusal = transaction_->take_content(bytes))
    dialogue_.refuse_content(std::move(*refusal));
}

void Session::on_abandon() { transaction_.reset(); }

}  // namespace waypost::inbound
