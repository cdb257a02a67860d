// Before the conversation, and who the client is: PROXY header, admission, TLS, greeting, AUTH.
#include "waypost/mail/xtext.h"
#include "waypost/ops/log.h"

#include "inbound/proxy_header.h"
#include "inbound/session.h"

namespace waypost::inbound {
namespace {

/// Who guesses passwords waits longer each time, and may not guess for long.
constexpr std::chrono::seconds kFailedLoginPause{1};
constexpr std::uint8_t kMostFailedLogins = 3;

}  // namespace

net::Task<bool> Session::open() {
  if (settings_->proxies[listener_].contains(client_address_)) {
    const bool understood = co_await read_proxy_header();
    if (!understood) co_return false;
  }
  auto refusal = admission_refusal();
  if (listener().tls == ListenerTls::implicit) {
    // In the clear we can't say it, and a client too many is not worth a handshake.
    const bool over_limit = refusal && refusal->reply.transient();
    if (over_limit) {
      report(*refusal);
      co_return false;
    }
    const bool secured = co_await upgrade();
    if (!secured) co_return false;
    dialogue_.assume_tls();
  }
  co_return co_await greet(refusal);
}

net::Task<bool> Session::read_proxy_header() {
  ProxyHeader header;
  char waiting[256];
  const SteadyTime deadline = door_.timers().in(limits().handshake);
  while (!header.complete()) {
    const net::IoCount seen = stream_->try_peek(waiting);
    if (seen.state == net::IoState::want_read) {
      const auto ready = co_await stream_->wait_readable(deadline);
      if (!ready) co_return false;
      continue;
    }
    if (seen.state != net::IoState::done) co_return false;
    const std::size_t own = header.claim({waiting, seen.octets});
    const net::IoCount taken = stream_->try_read({waiting, own});
    if (taken.state != net::IoState::done) co_return false;
    const auto fed = header.feed({waiting, taken.octets});
    if (!fed) {
      ops::log().warn("{} via {}: {}; closing", client_address_, listener().to_string(),
                      fed.error().message);
      co_return false;
    }
  }
  unnamed_ = header.source().address.empty();
  if (!unnamed_) client_address_ = header.source().address;
  co_return true;
}

/// The handshake, for STARTTLS and implicit TLS.
net::Task<bool> Session::upgrade() {
  const SteadyTime deadline = door_.timers().in(limits().handshake);
  auto context = settings_->tls;
  auto plain = std::move(stream_);
  handshaking_ = plain.get();
  auto secured = co_await net::tls_accept(std::move(plain), std::move(context), deadline);
  handshaking_ = nullptr;
  if (!secured) {
    door_.metrics.tls_failures.add();
    ops::log().info("{} via {}: {}", client_address_, listener().to_string(),
                    secured.error().message);
    co_return false;
  }
  door_.metrics.tls_sessions.add();
  const net::TlsInfo& info = (*secured)->tls();
  tls_words_ = info.version + " " + info.cipher;
  if (options_.require_auth && settings_->admits_certificate(info)) options_.require_auth = false;
  stream_ = std::move(*secured);
  co_return !cut_;
}

/// Null: the client may talk.
std::optional<Session::Refusal> Session::admission_refusal() {
  if (door_.stopping) return Refusal{ConnectionRefusal::shutting_down, closing()};
  if (auto refusal = limit_refusal()) return refusal;
  if (settings_->networks.contains(client_address_)) return std::nullopt;
  if (settings_->may_authenticate()) {
    options_.require_auth = true;
    return std::nullopt;
  }
  // A load balancer's health check (PROXY LOCAL, UNKNOWN): it hears whether we live, and sends no
  // mail.
  if (unnamed_) {
    options_.no_mail = "the PROXY header names no client, and " + client_address_ +
                       " itself is not in admission.networks";
    return std::nullopt;
  }
  return Refusal{ConnectionRefusal::not_admitted,
                 {554, mail::status::relay_denied,
                  client_address_ + " may not send mail here; the operator can add its network to "
                                    "admission.networks"}};
}

std::optional<Session::Refusal> Session::limit_refusal() {
  const ClientCounts::Entered entered = door_.clients.enter(client_address_);
  account_ = entered.account;
  if (entered.sessions > limits().sessions_per_client) {
    return Refusal{
        ConnectionRefusal::client_limit,
        {421,
         {4, 7, 0},
         own_name() + " too many connections from " + client_address_ +
             "; limits.sessions_per_client is " + std::to_string(limits().sessions_per_client)}};
  }
  std::uint32_t all = 0;
  for (const auto& shard : door_.server.shards)
    all += shard.shard.sessions.load(std::memory_order_relaxed);
  if (all <= limits().sessions) return std::nullopt;
  return Refusal{
      ConnectionRefusal::session_limit,
      {421, mail::status::system_not_accepting, own_name() + " too many connections; try again"}};
}

void Session::report(const Refusal& refusal) {
  door_.metrics.refused(refusal.why).add();
  ops::log().warn("{} via {}: refused: {}", client_address_, listener().to_string(),
                  refusal.reply.to_line());
  if (refusal.reply.permanent()) track_refused(refusal);
}

/// Who is turned away for good asks why; who comes too often (421) comes again.
void Session::track_refused(const Refusal& refusal) {
  const std::string who = facts().to_string();
  const std::string reply = refusal.reply.to_line();
  const std::string status = refusal.reply.status.to_string();
  ops::TrackingEvent event;
  event.kind = ops::TrackingKind::refused;
  event.at = door_.timers().clock().now();
  event.client = who;
  event.tls = tls_words_;
  event.reply = reply;
  event.status = status;
  event.why = refusal.why == ConnectionRefusal::not_admitted
                  ? "the connection: its address is in none of admission.networks"
                  : "the connection: the client spoke before the greeting";
  door_.server.tracking.write(event);
}

net::Task<bool> Session::greet(std::optional<Refusal>& refusal) {
  // RFC 5321 §4.3.1: the client must wait for the greeting; who does not is no mail server. Under
  // implicit TLS the client's last handshake records may lie there: they are no talk.
  if (!refusal && listener().tls != ListenerTls::implicit) {
    if (limits().greeting_delay > Duration::zero()) {
      const SteadyTime until = door_.timers().in(limits().greeting_delay);
      co_await stream_->wait_readable(until);
    }
    char octet = 0;
    const net::IoCount early = stream_->try_peek({&octet, 1});
    if (early.state == net::IoState::end_of_stream || early.state == net::IoState::failed)
      co_return false;
    if (early.state == net::IoState::done) {
      refusal = Refusal{
          ConnectionRefusal::early_talker,
          {554, mail::status::invalid_command, "protocol error: you spoke before the greeting"}};
    }
  }
  std::optional<smtp::Reply> reply;
  if (refusal) {
    report(*refusal);
    reply = refusal->reply;
  }
  dialogue_.greet(std::move(reply));
  const bool written = co_await write_output();
  co_return written && !refusal;
}

net::Task<void> Session::authenticate() {
  smtp::Credentials credentials = dialogue_.credentials();
  auto settings = settings_;
  const PasswordVerdict verdict = co_await door_.passwords.verify(
      door_.context.shard, std::move(settings), client_address_, std::move(credentials));
  if (verdict == PasswordVerdict::bad) {
    ++failed_logins_;
    const SteadyTime until = door_.timers().in(kFailedLoginPause * failed_logins_);
    bool waiting = true;
    while (waiting && !cut_ && door_.timers().now() < until) {
      const auto slept = co_await pause_.sleep_until(until);
      waiting = slept.has_value();
    }
  }
  judge_password(verdict);
}

void Session::judge_password(PasswordVerdict verdict) {
  switch (verdict) {
    case PasswordVerdict::good:
      door_.metrics.auth_good.add();
      return dialogue_.authenticated({235, mail::status::auth_ok, "authenticated"});
    case PasswordVerdict::busy:  // RFC 4954 §6
      door_.metrics.auth_busy.add();
      return dialogue_.authenticated(
          {454, {4, 7, 0}, "passwords can't be checked at the moment; try again"});
    case PasswordVerdict::bad:
      break;
  }
  door_.metrics.auth_failed.add();
  ops::log().warn("{}: authentication failed for user '{}'", facts().to_string(),
                  mail::printable(dialogue_.credentials().user, 64));
  dialogue_.authenticated({535, mail::status::auth_failed, "authentication failed"});
  if (failed_logins_ >= kMostFailedLogins) {
    dialogue_.shut_down({421, {4, 7, 0}, own_name() + " too many failed authentications; closing"});
  }
}

}  // namespace waypost::inbound
