#include "outbound/connection.h"

#include "waypost/smtp/dot_stuffer.h"

namespace waypost::outbound {
namespace {

constexpr std::size_t kReadOctets = 4096;
constexpr std::size_t kBlockOctets = 64 * 1024;
constexpr std::chrono::seconds kLastWords{5};

constexpr std::string_view kQuit = "QUIT\r\n";

iovec piece_of(std::string_view bytes) { return {const_cast<char*>(bytes.data()), bytes.size()}; }

/// What we were doing, in words that fit behind "while" and "timed out".
std::string_view doing(smtp::ClientStage stage) {
  using enum smtp::ClientStage;
  switch (stage) {
    case greeting:
      return "waiting for the greeting";
    case ehlo:
      return "waiting for the reply to EHLO";
    case tls:
      return "waiting for the reply to STARTTLS";
    case auth:
      return "waiting for the reply to AUTH";
    case mail:
      return "waiting for the reply to MAIL";
    case rcpt:
      return "waiting for the reply to RCPT";
    case data_command:
      return "waiting for the reply to DATA";
    case content:
      return "sending the content";
    case verdict:
      return "waiting for the reply to the content";
    case rset:
      return "waiting for the reply to RSET";
    case quit:
      return "waiting for the reply to QUIT";
    case idle:
      break;
  }
  return "idle";
}

std::string in_words(Duration time) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time).count();
  if (seconds >= 60 && seconds % 60 == 0) return std::to_string(seconds / 60) + " min";
  return std::to_string(seconds) + " s";
}

/// The other end can't hear us any more.
bool is_gone(ErrorKind kind) {
  return kind == ErrorKind::closed || kind == ErrorKind::network || kind == ErrorKind::tls ||
         kind == ErrorKind::cancelled;
}

}  // namespace

Connection::Connection(net::Shard& shard, const NextHopOptions& options,
                       std::shared_ptr<const net::TlsContext> tls, smtp::ClientOptions dialogue,
                       Candidate candidate)
    : shard_(shard),
      options_(options),
      tls_context_(std::move(tls)),
      dialogue_(std::move(dialogue)),
      candidate_(std::move(candidate)),
      idle_(shard.timers) {}

std::string Connection::remote_host() const {
  return candidate_.host + "[" + candidate_.endpoint.address +
         "]:" + std::to_string(candidate_.endpoint.port);
}

Duration Connection::patience() const {
  switch (dialogue_.stage()) {
    case smtp::ClientStage::greeting:
      return options_.greeting_timeout;
    case smtp::ClientStage::data_command:
      return options_.data_timeout;
    case smtp::ClientStage::content:
      return options_.content_timeout;
    case smtp::ClientStage::verdict:
      return options_.verdict_timeout;
    default:
      return options_.command_timeout;
  }
}

/// A stream's trouble with the stage at which it happened.
Error Connection::at_stage(Error error) const {
  const std::string stage(doing(dialogue_.stage()));
  switch (error.kind) {
    case ErrorKind::timeout:
      error.message = remote_host() + ": timed out " + stage + " (" + in_words(patience()) + ")";
      break;
    case ErrorKind::closed:
      error.message = remote_host() + " closed the connection while " + stage;
      break;
    case ErrorKind::network:
    case ErrorKind::tls:
      error.message = remote_host() + ": " + error.message + ", while " + stage;
      break;
    default:
      break;
  }
  return error;
}

/// The conversation is over, and not at its proper end.
Result<> Connection::broken(Error error) {
  if (is_gone(error.kind)) dialogue_.connection_lost(error);
  quit();
  dialogue_.connection_lost(error);
  return fail(std::move(error));
}

net::Task<Result<>> Connection::open(std::unique_ptr<net::Stream> stream, bool resume) {
  stream_ = std::move(stream);
  tls_attempt_ = {.may_resume = resume, .farewell = kQuit};
  if (options_.implicit_tls) {
    const auto secured = co_await secure();
    if (!secured) co_return broken(secured.error());
  }
  for (;;) {
    const auto step = co_await pump();
    if (!step) co_return broken(step.error());
    if (*step == smtp::ClientStep::ready) co_return Result<>();
    if (*step != smtp::ClientStep::start_tls) co_return broken(dialogue_.failure());
    const auto secured = co_await secure();
    if (!secured) co_return broken(secured.error());
    dialogue_.tls_started();
  }
}

net::Task<Result<>> Connection::secure() {
  const SteadyTime until = shard_.timers.in(options_.handshake_timeout);
  auto plain = std::move(stream_);
  handshaking_ = plain.get();
  auto context = tls_context_;
  std::string host = candidate_.host;
  std::string key =
      options_.name + "|" + candidate_.host + "|" + std::to_string(candidate_.endpoint.port);
  auto secured = co_await net::tls_connect(std::move(plain), std::move(context), std::move(host),
                                           std::move(key), until, &tls_attempt_);
  handshaking_ = nullptr;
  if (!secured) co_return fail(secured.error());
  tls_info_ = (*secured)->tls();
  stream_ = std::move(*secured);
  co_return Result<>();
}

/// Moves bytes until the dialogue needs something else than bytes.
net::Task<Result<smtp::ClientStep>> Connection::pump() {
  char buffer[kReadOctets];
  SteadyTime until = deadline();
  for (;;) {
    std::string_view input(carried_);
    const std::uint64_t replies = dialogue_.replies();
    const smtp::ClientStep step = dialogue_.advance(input);
    carried_.erase(0, carried_.size() - input.size());
    // Only a whole reply is progress: a server that drips octets must not keep us for ever.
    if (dialogue_.replies() != replies || !dialogue_.output().empty()) until = deadline();
    // Commands go out together with the content that follows them.
    if (step == smtp::ClientStep::send_content) co_return step;
    if (!dialogue_.output().empty()) {
      std::string commands = std::exchange(dialogue_.output(), std::string());
      const auto written = co_await net::write_all(*stream_, std::string_view(commands), until);
      if (!written) co_return fail(at_stage(written.error()));
    }
    if (step != smtp::ClientStep::need_input) co_return step;
    const auto octets = co_await net::read_some(*stream_, buffer, until);
    if (!octets) co_return fail(at_stage(octets.error()));
    carried_.append(buffer, *octets);
  }
}

net::Task<Result<>> Connection::run(const smtp::ClientTransaction& transaction,
                                    spool::ContentReader& content) {
  ++messages_;
  dialogue_.begin(transaction);
  for (;;) {
    const auto step = co_await pump();
    if (!step) co_return broken(step.error());
    switch (*step) {
      case smtp::ClientStep::send_content: {
        const auto sent = co_await send_content(content);
        if (!sent) co_return broken(sent.error());
        dialogue_.content_sent();
        break;
      }
      case smtp::ClientStep::done:
        co_return Result<>();
      case smtp::ClientStep::failed:
        co_return broken(dialogue_.failure());
      default:
        co_return broken(
            {ErrorKind::protocol, "the conversation with " + remote_host() + " lost its thread"});
    }
  }
}

net::Task<Result<>> Connection::send_content(spool::ContentReader& content) {
  const bool stuff = dialogue_.content_form() == smtp::ContentForm::data;
  smtp::DotStuffer stuffer;
  std::vector<iovec> gather;
  std::string commands = std::exchange(dialogue_.output(), std::string());
  if (!commands.empty()) gather.push_back(piece_of(commands));
  for (;;) {
    const auto piece = content.next();
    // A BDAT that was announced can't be taken back: the connection must end, or the server takes
    // what follows for it.
    if (!piece) co_return fail(piece.error());
    if (piece->empty()) break;
    // In blocks, so that a deadline is for a known number of octets.
    for (std::size_t at = 0; at < piece->size(); at += kBlockOctets) {
      const std::string_view block = piece->substr(at, kBlockOctets);
      if (stuff) {
        stuffer.feed(block, gather);
      } else {
        gather.push_back(piece_of(block));
      }
      const auto written = co_await net::write_all(*stream_, std::span<iovec>(gather),
                                                   shard_.timers.in(options_.content_timeout));
      if (!written) {
        Error why = at_stage(written.error());
        co_return co_await hear_last_words(std::move(why));
      }
      gather.clear();
    }
  }
  if (stuff) {
    stuffer.finish(gather);
    repaired_ += stuffer.repaired();
  }
  const auto written = co_await net::write_all(*stream_, std::span<iovec>(gather),
                                               shard_.timers.in(options_.content_timeout));
  if (!written) {
    Error why = at_stage(written.error());
    co_return co_await hear_last_words(std::move(why));
  }
  co_return Result<>();
}

/// A server that refuses in the middle of the content, and closes or just reads no more, has said
/// why: its verdict must not be lost with the connection.
net::Task<Result<>> Connection::hear_last_words(Error why) {
  if (why.kind == ErrorKind::cancelled) co_return fail(std::move(why));
  dialogue_.content_cut();
  const SteadyTime until = shard_.timers.in(kLastWords);
  char buffer[kReadOctets];
  for (;;) {
    std::string_view input(carried_);
    const smtp::ClientStep step = dialogue_.advance(input);
    carried_.erase(0, carried_.size() - input.size());
    if (step != smtp::ClientStep::need_input) break;
    const auto octets = co_await net::read_some(*stream_, buffer, until);
    if (!octets) break;
    carried_.append(buffer, *octets);
  }
  co_return fail(std::move(why));
}

bool Connection::still_silent() {
  if (!reusable()) return false;
  char octet = 0;
  return stream_->try_read({&octet, 1}).state == net::IoState::want_read;
}

void Connection::quit() {
  idle_.disarm();
  if (!stream_) return;
  const iovec one = piece_of(kQuit);
  if (dialogue_.hears_quit()) stream_->try_write({&one, 1});
  stream_->close();
  stream_.reset();
}

void Connection::cut() {
  if (stream_) stream_->close();
  if (handshaking_ != nullptr) handshaking_->close();
}

}  // namespace waypost::outbound
