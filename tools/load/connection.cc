#include "load/connection.h"

#include "waypost/mail/xtext.h"

#include "load/identity.h"

#include <algorithm>
#include <charconv>

namespace waypost::load {
namespace {

// Up to here MAIL, RCPTs and BDAT with the content travel in one go (Pipelining::full).
constexpr std::uint64_t kInOneGo = 256 * 1024;
// Contents up to this size are copied behind the commands; larger ones are gathered.
constexpr std::size_t kCopied = 64 * 1024;

std::uint64_t microseconds(SteadyTime from, SteadyTime to) {
  const auto us = std::chrono::duration_cast<Duration>(to - from).count();
  return us < 0 ? 0 : static_cast<std::uint64_t>(us);
}

void append_number(std::string& out, std::uint64_t number) {
  char digits[20];
  out.append(digits, static_cast<std::size_t>(
                         std::to_chars(digits, digits + sizeof digits, number).ptr - digits));
}

/// The address as it was before anybody rewrote it. Nearly all need no encoding.
void append_orcpt(std::string& out, const std::string& address) {
  const bool plain = std::all_of(address.begin(), address.end(), [](char c) {
    return c > ' ' && c <= '~' && c != '+' && c != '=';
  });
  const bool ascii = plain || std::none_of(address.begin(), address.end(), [](char c) {
                       return static_cast<unsigned char>(c) > 127;
                     });
  out += " ORCPT=";
  if (plain) {
    out += "rfc822;";
    out += address;
  } else {
    out += mail::encode_orcpt((ascii ? "rfc822;" : "utf-8;") + address, false);
  }
}

std::string_view queue_id_in(std::string_view reply) {
  constexpr std::string_view kMark = "queued as ";
  const auto at = reply.find(kMark);
  if (at == std::string_view::npos) return {};
  reply.remove_prefix(at + kMark.size());
  return reply.substr(0, reply.find_first_of(" ,;)>"));
}

}  // namespace

Connection::Connection(SendContext& context, net::Shard& shard, net::Connector& connector,
                       Statistics& statistics, unsigned number)
    : context_(context),
      shard_(shard),
      connector_(connector),
      statistics_(statistics),
      number_(number) {
  const unsigned server = number / std::max(1u, context.options.connections_per_server) + 1;
  helo_ = context.options.helo;
  const auto mark = helo_.find('%');
  if (mark != std::string::npos) helo_.replace(mark, 1, std::to_string(server));
  if (statistics_.waves.size() < context.mix.waves().size()) {
    statistics_.waves.resize(context.mix.waves().size());
  }
}

net::Task<void> Connection::run() {
  const auto& options = context_.options;
  if (!context_.schedule.open_loop() && options.schedule.ramp_up.count() > 0) {
    const std::uint64_t all = std::uint64_t{options.servers} * options.connections_per_server;
    co_await wait_until(context_.schedule.start_time() + options.schedule.ramp_up * number_ / all);
  }
  while (!context_.schedule.over(now())) {
    const bool is_open = co_await ensure_open(false);
    if (!is_open) break;
    const auto slot = context_.schedule.take(now());
    if (!slot) break;
    co_await deliver(*slot);
    const bool enough =
        options.messages_per_connection > 0 && sent_here_ >= options.messages_per_connection;
    if (enough) co_await close(true);
  }
  co_await close(true);
}

/// In pieces, so that a stop is seen.
net::Task<void> Connection::wait_until(SteadyTime due) {
  constexpr std::chrono::milliseconds kPiece{200};
  while (now() < due && !context_.schedule.stopped()) {
    const SteadyTime next = std::min(due, SteadyTime(now() + kPiece));
    const auto slept = co_await shard_.timers.sleep_until(next);
    if (!slept) break;
  }
}

void Connection::prepare(Schedule::Slot slot) {
  slot_ = slot;
  due_ = slot.due;
  context_.mix.draw(slot.sequence, recipients_, wave_);
  Random random(context_.options.content.seed ^ (slot.sequence * 0xD6E8FEB86659FD93));
  content_ = &context_.contents.draw(random.next());
  fates_.assign(recipients_.size(), 'n');
  accepted_ = 0;
  content_began_ = false;
  code_ = 0;
  queue_id_.clear();
  write_head();
  message_octets_ = content_->text.size() + head_.size();
}

net::Task<void> Connection::deliver(Schedule::Slot slot) {
  prepare(slot);
  co_await wait_until(slot.due);
  for (;;) {
    if (context_.schedule.stopped() && now() < slot.due) {  // stopped while it waited for its time
      finish(Outcome::unsent);
      co_return;
    }
    if (!context_.schedule.open_loop()) due_ = now();
    ++sent_here_;
    const bool done = co_await transact();
    if (done) co_return;
    ++statistics_.connections_lost;
    statistics_.trouble(error_.message);
    lost();
    if (content_began_) {
      finish(Outcome::unacknowledged);
      co_return;
    }
    const bool again = co_await ensure_open(true);
    if (!again) {
      finish(Outcome::unsent);
      co_return;
    }
    fates_.assign(recipients_.size(), 'n');
    accepted_ = 0;
  }
}

net::Task<bool> Connection::transact() {
  bool done = false;
  const bool small = message_octets_ <= kInOneGo && recipients_.size() <= 100;
  if (pipelining_ && chunking_ && small && context_.options.pipelining == Pipelining::full) {
    done = co_await in_one_go();
  } else if (pipelining_) {
    done = co_await envelope_first();
  } else {
    done = co_await step_by_step();
  }
  co_return done;
}

void Connection::append_mail() {
  out_ += "MAIL FROM:<";
  out_ += context_.options.sender;
  out_ += '>';
  if (size_) {
    out_ += " SIZE=";
    append_number(out_, message_octets_);
  }
  if (eight_bit_) out_ += " BODY=8BITMIME";
  if (dsn_) {
    out_ += " RET=HDRS ENVID=";
    out_ += message_name();
  }
  out_ += "\r\n";
}

void Connection::append_rcpt(std::size_t index) {
  const Recipient& one = recipients_[index];
  out_ += "RCPT TO:<";
  out_ += one.address;
  out_ += '>';
  if (dsn_) {
    if (one.group_member) out_ += " NOTIFY=NEVER";
    append_orcpt(out_, one.address);
  }
  out_ += "\r\n";
}

/// "RUN.SEQUENCE"
std::string Connection::message_name() const {
  return hex(context_.options.run_id) + "." + hex(slot_.sequence, 12);
}

void Connection::write_head() {
  head_.clear();
  BodyDigest above;
  if (!content_->own_message_id) {
    head_ += "Message-ID: <";
    head_ += message_name();
    head_ += "@waypost-load>\r\n";
    above.feed(head_);
  }
  digest_ = message_digest(above, content_->digest);
  char line[kIdentityLine];
  write_identity(line, {context_.options.run_id, slot_.sequence, digest_});
  head_.append(line, kIdentityLine);
}

bool Connection::take_rcpt_reply(std::size_t index, const ReplyView& reply) {
  const bool good = reply.code >= 200 && reply.code < 300;
  fates_[index] = good ? 'a' : 'r';
  if (good) {
    ++accepted_;
  } else {
    code_ = reply.code;
    if (recipients_[index].kind != RecipientKind::unknown) {
      line_ = "RCPT: " + std::to_string(reply.code) + " ";
      line_ += reply.last_line;
      statistics_.trouble(line_);
    }
  }
  return good;
}

/// One write, then all replies.
net::Task<bool> Connection::in_one_go() {
  out_.clear();
  append_mail();
  for (std::size_t i = 0; i < recipients_.size(); ++i) append_rcpt(i);
  out_ += "BDAT ";
  append_number(out_, message_octets_);
  out_ += " LAST\r\n";
  out_ += head_;
  content_began_ = true;
  bool good = co_await send_content();
  if (good) good = co_await reply();
  if (!good) co_return false;
  const bool mail_good = reply_.positive();
  if (!mail_good) {
    code_ = reply_.code;
    statistics_.trouble("MAIL: " + std::to_string(code_) + " " + std::string(reply_.last_line));
  }
  for (std::size_t i = 0; i < recipients_.size(); ++i) {
    good = co_await reply();
    if (!good) co_return false;
    if (mail_good) take_rcpt_reply(i, reply_);
  }
  if (accepted_ > 0) {
    good = co_await take_verdict();
    co_return good;
  }
  good = co_await reply();  // BDAT without a recipient: 503 or 554
  if (!good) co_return false;
  finish(Outcome::refused);
  good = co_await reset();
  co_return good;
}

/// MAIL and RCPTs (and DATA) in one write; the content when they are answered.
net::Task<bool> Connection::envelope_first() {
  const SteadyTime began = now();
  out_.clear();
  append_mail();
  for (std::size_t i = 0; i < recipients_.size(); ++i) append_rcpt(i);
  bool good = co_await write_out();
  if (good) good = co_await reply();
  if (!good) co_return false;
  const bool mail_good = reply_.positive();
  if (!mail_good) {
    code_ = reply_.code;
    statistics_.trouble("MAIL: " + std::to_string(code_) + " " + std::string(reply_.last_line));
  }
  for (std::size_t i = 0; i < recipients_.size(); ++i) {
    good = co_await reply();
    if (!good) co_return false;
    if (mail_good) take_rcpt_reply(i, reply_);
  }
  statistics_.phase(Phase::envelope).add(microseconds(began, now()));
  if (accepted_ == 0) {
    finish(Outcome::refused);
    good = co_await reset();
    co_return good;
  }
  out_.clear();
  good = co_await send_content();
  if (good) good = co_await take_verdict();
  co_return good;
}

net::Task<bool> Connection::step_by_step() {
  const SteadyTime began = now();
  out_.clear();
  append_mail();
  bool good = co_await write_out();
  if (good) good = co_await reply();
  if (!good) co_return false;
  const bool mail_good = reply_.positive();
  if (!mail_good) {
    code_ = reply_.code;
    statistics_.trouble("MAIL: " + std::to_string(code_) + " " + std::string(reply_.last_line));
  }
  for (std::size_t i = 0; mail_good && i < recipients_.size(); ++i) {
    out_.clear();
    append_rcpt(i);
    good = co_await write_out();
    if (good) good = co_await reply();
    if (!good) co_return false;
    take_rcpt_reply(i, reply_);
  }
  statistics_.phase(Phase::envelope).add(microseconds(began, now()));
  if (accepted_ == 0) {
    finish(Outcome::refused);
    good = co_await reset();
    co_return good;
  }
  out_.clear();
  good = co_await send_content();
  if (good) good = co_await take_verdict();
  co_return good;
}

/// What stands in out_ goes first. By BDAT, or after DATA has been granted.
net::Task<bool> Connection::send_content() {
  std::string_view text = content_->text;
  std::string_view end;
  bool good = true;
  if (chunking_) {
    if (out_.empty()) {
      out_ += "BDAT ";
      append_number(out_, message_octets_);
      out_ += " LAST\r\n";
      out_ += head_;
    }
  } else {
    out_ = "DATA\r\n";
    good = co_await write_out();
    if (good) good = co_await reply();
    if (!good) co_return false;
    if (reply_.code != 354) co_return true;  // take_verdict() sees it
    out_.clear();
    out_ += head_;
    text = content_->for_data();
    end = ".\r\n";
  }
  content_began_ = true;
  if (text.size() <= kCopied) {
    out_ += text;
    out_ += end;
    good = co_await write_out();
  } else {
    iovec list[3] = {{out_.data(), out_.size()},
                     {const_cast<char*>(text.data()), text.size()},
                     {const_cast<char*>(end.data()), end.size()}};
    const std::span<iovec> pieces(list, end.empty() ? 2 : 3);
    const SteadyTime limit = deadline();
    auto written = co_await net::write_all(*stream_, pieces, limit);
    good = written.has_value();
    if (!good) error_ = std::move(written).error();
  }
  content_sent_ = now();
  co_return good;
}

net::Task<bool> Connection::take_verdict() {
  if (content_began_) {
    const bool good = co_await reply();
    if (!good) co_return false;
    statistics_.phase(Phase::verdict).add(microseconds(content_sent_, now()));
  }
  code_ = reply_.code;
  if (reply_.code >= 200 && reply_.code < 300) {
    queue_id_ = queue_id_in(reply_.last_line);
    finish(Outcome::accepted);
  } else {
    line_ = (chunking_ ? "BDAT: " : "DATA: ") + std::to_string(reply_.code) + " ";
    line_ += reply_.last_line;
    statistics_.trouble(line_);
    finish(Outcome::refused);
  }
  co_return true;
}

net::Task<bool> Connection::reset() {
  out_ = "RSET\r\n";
  bool good = co_await write_out();
  if (good) good = co_await reply();
  if (!good) {  // the message has its outcome already
    ++statistics_.connections_lost;
    lost();
  }
  co_return true;
}

net::Task<bool> Connection::write_out() {
  iovec one{out_.data(), out_.size()};
  std::span<const iovec> list(&one, 1);
  const net::IoCount count = stream_->try_write(list);
  if (count.state == net::IoState::done && count.octets == out_.size()) co_return true;
  if (count.state == net::IoState::done) {
    one = {out_.data() + count.octets, out_.size() - count.octets};
  }
  const std::span<iovec> rest(&one, 1);
  const SteadyTime limit = deadline();
  auto written = co_await net::write_all(*stream_, rest, limit);
  if (written) co_return true;
  error_ = std::move(written).error();
  co_return false;
}

net::Task<bool> Connection::read_more() {
  const auto room = replies_.room();
  const SteadyTime limit = deadline();
  auto got = co_await net::read_some(*stream_, room, limit);
  if (!got) {
    error_ = std::move(got).error();
    co_return false;
  }
  replies_.filled(*got);
  co_return true;
}

net::Task<bool> Connection::reply() {
  for (;;) {
    auto next = replies_.next();
    if (!next) {
      error_ = std::move(next).error();
      co_return false;
    }
    if (*next) {
      reply_ = **next;
      if (reply_.code != 421) co_return true;
      error_ = {ErrorKind::closed, "the server closes: 421 " + std::string(reply_.last_line)};
      co_return false;
    }
    const bool more = co_await read_more();
    if (!more) co_return false;
  }
}

}  // namespace waypost::load
