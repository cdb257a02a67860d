// Opening and closing: connect, greeting, EHLO, STARTTLS, AUTH, QUIT.
#include "waypost/mail/address.h"

#include "load/connection.h"

#include <openssl/evp.h>

#include <algorithm>

namespace waypost::load {
namespace {

using std::chrono::milliseconds;
constexpr milliseconds kFirstPause{20}, kLongestPause{2000};

std::string base64(std::string_view text) {
  std::string out(4 * ((text.size() + 2) / 3) + 1, '\0');
  const int length = ::EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                       reinterpret_cast<const unsigned char*>(text.data()),
                                       static_cast<int>(text.size()));
  out.resize(static_cast<std::size_t>(length));
  return out;
}

std::uint64_t microseconds(SteadyTime from, SteadyTime to) {
  const auto us = std::chrono::duration_cast<Duration>(to - from).count();
  return us < 0 ? 0 : static_cast<std::uint64_t>(us);
}

Error refused(std::string_view what, const ReplyView& reply) {
  return {ErrorKind::protocol, std::string(what) + " refused: " + std::to_string(reply.code) + " " +
                                   std::string(reply.last_line)};
}

}  // namespace

/// Tries until there is a connection, or none is needed any more. Stops the whole run when nothing
/// has worked anywhere for too long.
net::Task<bool> Connection::ensure_open(bool has_message) {
  const SteadyTime began = now();
  const std::uint64_t successes = context_.totals.successes.load(std::memory_order_relaxed);
  while (!stream_) {
    if (context_.schedule.stopped() || (!has_message && context_.schedule.over(now()))) {
      co_return false;
    }
    const bool opened = co_await open();
    if (opened) {
      failures_ = 0;
      sent_here_ = 0;
      ++statistics_.connections;
      context_.totals.successes.fetch_add(1, std::memory_order_relaxed);
      context_.totals.open_connections.fetch_add(1, std::memory_order_relaxed);
      co_return true;
    }
    stream_.reset();
    ++statistics_.connections_failed;
    statistics_.trouble(error_.message);
    const auto now_successes = context_.totals.successes.load(std::memory_order_relaxed);
    // A wrong name or authority is not mended by waiting.
    const bool wrong_certificate = error_.kind == ErrorKind::tls && now_successes == 0;
    const bool hopeless = wrong_certificate ||
                          (now() - began > context_.options.give_up && now_successes == successes);
    if (hopeless) {
      context_.totals.gave_up.store(true, std::memory_order_relaxed);
      context_.schedule.stop();
      co_return false;
    }
    const auto pause = std::min(kFirstPause * (1u << std::min(failures_++, 10u)), kLongestPause);
    const SteadyTime until = shard_.timers.in(pause);
    co_await wait_until(until);
  }
  co_return true;
}

net::Task<bool> Connection::open() {
  const auto& target = context_.targets[number_ % context_.targets.size()];
  replies_.restart();
  secured_ = false;
  const SteadyTime began = now();
  net::Endpoint endpoint = target.endpoint;
  std::string source = context_.options.source_address;
  const SteadyTime limit = deadline();
  auto stream = co_await connector_.connect(std::move(endpoint), std::move(source), limit);
  if (!stream) {
    error_ = std::move(stream).error();
    co_return false;
  }
  stream_ = std::move(*stream);
  statistics_.phase(Phase::connect).add(microseconds(began, now()));
  bool good = true;
  if (context_.options.implicit_tls) good = co_await start_tls();
  if (!good) co_return false;
  const bool greeted = co_await greet();
  co_return greeted;
}

net::Task<bool> Connection::greet() {
  SteadyTime began = now();
  bool good = co_await reply();
  if (!good) co_return false;
  if (reply_.code != 220) {
    error_ = refused("greeting: connection", reply_);
    co_return false;
  }
  good = co_await ehlo();
  if (!good) co_return false;
  const auto policy = context_.options.tls.policy;
  std::uint64_t spent = microseconds(began, now());
  if (!secured_ && policy != net::TlsPolicy::none) {
    if (!starttls_ && policy != net::TlsPolicy::opportunistic) {
      error_ = {ErrorKind::unsupported, "the server offers no STARTTLS; --plain sends without"};
      co_return false;
    }
    if (starttls_) {
      good = co_await start_tls();
      if (!good) co_return false;
      began = now();
      good = co_await ehlo();
      if (!good) co_return false;
      spent += microseconds(began, now());
    }
  }
  if (!context_.options.auth_user.empty()) good = co_await authenticate();
  statistics_.phase(Phase::greeting).add(spent);
  co_return good;
}

net::Task<bool> Connection::ehlo() {
  out_ = "EHLO " + helo_ + "\r\n";
  bool good = co_await write_out();
  if (!good) co_return false;
  replies_.collect(true);
  good = co_await reply();
  replies_.collect(false);
  if (!good) co_return false;
  if (!reply_.positive()) {
    error_ = refused("EHLO", reply_);
    co_return false;
  }
  chunking_ = pipelining_ = size_ = eight_bit_ = dsn_ = starttls_ = auth_plain_ = auth_login_ =
      false;
  for (const auto line : split(replies_.lines(), '\n')) {
    const std::string words = mail::ascii_lower(line);
    const std::string_view word = std::string_view(words).substr(0, words.find(' '));
    chunking_ = chunking_ || word == "chunking";
    pipelining_ = pipelining_ || word == "pipelining";
    size_ = size_ || word == "size";
    eight_bit_ = eight_bit_ || word == "8bitmime";
    dsn_ = dsn_ || word == "dsn";
    starttls_ = starttls_ || word == "starttls";
    if (word == "auth") {
      auth_plain_ = words.find("plain") != std::string::npos;
      auth_login_ = words.find("login") != std::string::npos;
    }
  }
  dsn_ = dsn_ && context_.options.exchange_parameters;
  chunking_ = chunking_ && context_.options.use_bdat;
  pipelining_ = pipelining_ && context_.options.pipelining != Pipelining::off;
  co_return true;
}

net::Task<bool> Connection::start_tls() {
  if (!context_.options.implicit_tls) {
    out_ = "STARTTLS\r\n";
    bool good = co_await write_out();
    if (!good) co_return false;
    good = co_await reply();
    if (!good) co_return false;
    if (reply_.code != 220) {
      error_ = refused("STARTTLS", reply_);
      co_return false;
    }
  }
  const SteadyTime began = now();
  const auto& target = context_.targets[number_ % context_.targets.size()];
  auto plain = std::move(stream_);
  auto tls = context_.tls;
  std::string host = target.host;
  std::string key = target.endpoint.to_string();
  if (!context_.options.tls_resumption) {
    key += "#" + std::to_string(number_) + "." + std::to_string(statistics_.handshakes);
  }
  const SteadyTime limit = deadline();
  auto secured = co_await net::tls_connect(std::move(plain), std::move(tls), std::move(host),
                                           std::move(key), limit);
  if (!secured) {
    error_ = std::move(secured).error();
    if (context_.options.tls.policy == net::TlsPolicy::verify) {
      error_.message += "; see --ca-file and --tls-name, or --tls require to check no certificate";
    }
    co_return false;
  }
  statistics_.phase(Phase::tls).add(microseconds(began, now()));
  const auto& info = (*secured)->tls();
  ++statistics_.handshakes;
  if (info.resumed) ++statistics_.resumed;
  if (info.verified) ++statistics_.verified;
  if (statistics_.tls_version.empty()) {
    statistics_.tls_version = info.version;
    statistics_.tls_cipher = info.cipher;
  }
  stream_ = std::move(*secured);
  secured_ = true;
  replies_.restart();
  co_return true;
}

/// RFC 4954; never without TLS.
net::Task<bool> Connection::authenticate() {
  const auto& user = context_.options.auth_user;
  const auto& password = context_.options.auth_password;
  if (!secured_ || (!auth_plain_ && !auth_login_)) {
    error_ = {ErrorKind::unsupported, secured_
                                          ? "the server offers neither AUTH PLAIN nor AUTH LOGIN"
                                          : "--auth is sent under TLS only"};
    co_return false;
  }
  std::vector<std::string> steps;
  if (auth_plain_) {
    steps = {"AUTH PLAIN " + base64(std::string(1, '\0') + user + std::string(1, '\0') + password)};
  } else {
    steps = {"AUTH LOGIN", base64(user), base64(password)};
  }
  for (const auto& step : steps) {
    out_ = step + "\r\n";
    bool good = co_await write_out();
    if (!good) co_return false;
    good = co_await reply();
    if (!good) co_return false;
    if (!reply_.positive()) {
      error_ = refused("AUTH", reply_);
      co_return false;
    }
  }
  co_return true;
}

net::Task<void> Connection::close(bool politely) {
  if (!stream_) co_return;
  if (politely) {
    out_ = "QUIT\r\n";
    const bool said = co_await write_out();
    if (said) co_await reply();
  }
  lost();
}

void Connection::lost() {
  if (!stream_) return;
  stream_->close();
  stream_.reset();
  context_.totals.open_connections.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace waypost::load
