#include "sim/receiver.h"

namespace waypost::sim {
namespace {

/// None of them is a reply by any reading of RFC 5321.
constexpr std::string_view kNoReplies[] = {"2x0 fine\r\n", "hello\r\n", "25\r\n",
                                           "\x01\x02\x03\r\n", "999 what\r\n"};

std::optional<mail::Mailbox> path_in(const std::string& line) {
  const auto open = line.find('<');
  const auto close = line.find('>');
  if (open == std::string::npos || close == open + 1) return std::nullopt;
  const auto parsed = mail::parse_mailbox(line.substr(open + 1, close - open - 1));
  if (!parsed) return std::nullopt;
  return *parsed;
}

}  // namespace

Receiver::Receiver(Stage& stage, Ledger& ledger, std::string hop)
    : stage_(stage),
      ledger_(ledger),
      hop_(std::move(hop)),
      offers_pipelining_(stage.chance.odds(0.7)),
      offers_chunking_(stage.chance.odds(0.7)),
      offers_dsn_(stage.chance.odds(0.5)),
      most_recipients_(stage.chance.odds(0.1) ? 1 + stage.chance.below(3) : 1000) {}

void Receiver::connect(std::shared_ptr<Link> link) {
  link_ = std::move(link);
  const Weather& weather = stage_.weather;
  std::string greeting = "220 mx.example ESMTP\r\n";
  if (stage_.chance.odds(weather.later)) greeting = "421 4.3.2 not now\r\n";
  if (stage_.chance.odds(weather.never)) greeting = "554 5.3.2 not for you\r\n";
  answer(greeting);
}

void Receiver::answer(std::string_view reply, bool may_go_wrong) {
  const Weather& weather = stage_.weather;
  Chance& chance = stage_.chance;
  if (may_go_wrong && chance.odds(weather.malformed)) {
    reply = kNoReplies[chance.below(std::size(kNoReplies))];
    spoiled_ = true;
  } else if (may_go_wrong && chance.odds(weather.goodbye)) {
    spoiled_ = true;
    link_->say("421 4.3.2 closing\r\n");
    link_->hang_up();
    over_ = true;
    return;
  }
  const Duration delay = chance.odds(weather.slow) ? chance.span(seconds(10), minutes(30))
                                                   : chance.span(Duration(10), milliseconds(200));
  busy_ = true;
  stage_.agenda.at(stage_.in(delay), [this, said = std::string(reply)] {
    busy_ = false;
    if (over_) return;
    link_->say(said);
    work();
  });
}

void Receiver::on_bytes(std::string_view bytes) {
  if (over_) return;
  input_ += bytes;
  work();
}

void Receiver::work() {
  while (!busy_ && !over_) {
    if (mode_ != Mode::commands) {
      if (!take_content()) return;
      continue;
    }
    const auto end = input_.find("\r\n");
    if (end == std::string::npos) return;
    const std::string line = input_.substr(0, end);
    input_.erase(0, end + 2);
    on_command(line);
  }
}

/// True if the content, or the chunk, is complete.
bool Receiver::take_content() {
  if (mode_ == Mode::bdat) {
    const std::size_t octets = std::min(chunk_left_, input_.size());
    content_.append(input_, 0, octets);
    input_.erase(0, octets);
    chunk_left_ -= octets;
    if (chunk_left_ > 0) return false;
    mode_ = Mode::commands;
    if (last_chunk_) {
      on_end_of_content();
    } else {
      answer("250 2.0.0 chunk\r\n");
    }
    return true;
  }
  const auto end = input_.starts_with(".\r\n") ? std::size_t{0} : input_.find("\r\n.\r\n");
  if (end == std::string::npos) return false;
  const std::size_t content_octets = end == 0 ? 0 : end + 2;
  for (std::size_t at = 0; at < content_octets;) {
    const auto eol = input_.find("\r\n", at) + 2;
    if (input_[at] == '.') ++at;
    content_.append(input_, at, eol - at);
    at = eol;
  }
  input_.erase(0, content_octets + 3);
  mode_ = Mode::commands;
  on_end_of_content();
  return true;
}

void Receiver::on_command(const std::string& line) {
  if (line.starts_with("EHLO")) {
    std::string reply = "250-mx.example\r\n";
    if (offers_pipelining_) reply += "250-PIPELINING\r\n";
    if (offers_chunking_) reply += "250-CHUNKING\r\n";
    if (offers_dsn_) reply += "250-DSN\r\n";
    return answer(reply + "250 8BITMIME\r\n");
  }
  if (line.starts_with("MAIL")) return on_mail(line);
  if (line.starts_with("RCPT")) return on_rcpt(line);
  if (line.starts_with("BDAT")) return on_bdat(line);
  if (line == "DATA") {
    if (recipients_.empty()) return answer("554 5.5.1 no recipients\r\n");
    mode_ = Mode::data;
    by_bdat_ = false;
    return answer("354 go on\r\n");
  }
  if (line == "RSET") {
    if (stage_.chance.odds(stage_.weather.later)) return answer("503 5.5.1 not now\r\n");
    reset();
    return answer("250 2.0.0 reset\r\n");
  }
  if (line == "QUIT") {
    link_->say("221 2.0.0 bye\r\n");
    link_->hang_up();
    over_ = true;
    return;
  }
  ledger_.accuse("a next hop is told: " + line);
}

void Receiver::on_mail(const std::string& line) {
  reset();
  sender_ = path_in(line);
  if (stage_.chance.odds(stage_.weather.later)) return answer("451 4.3.0 later\r\n");
  if (stage_.chance.odds(stage_.weather.never / 4)) {
    ledger_.refused_by_hop(sender_, nullptr, hop_);
    return answer("550 5.7.1 not from you\r\n");
  }
  mail_given_ = true;
  answer("250 2.1.0 ok\r\n");
}

void Receiver::on_rcpt(const std::string& line) {
  if (!mail_given_) return answer("503 5.5.1 MAIL first\r\n");
  const auto recipient = path_in(line);
  if (!recipient) return ledger_.accuse("a next hop is told: " + line);
  if (stage_.chance.odds(stage_.weather.later)) return answer("450 4.2.1 later\r\n");
  if (stage_.chance.odds(stage_.weather.never)) {
    ledger_.refused_by_hop(sender_, &*recipient, hop_);
    return answer("550 5.1.1 nobody\r\n");
  }
  if (recipients_.size() >= most_recipients_) return answer("452 4.5.3 too many\r\n");
  recipients_.push_back(*recipient);
  answer("250 2.1.5 ok\r\n");
}

void Receiver::on_bdat(const std::string& line) {
  chunk_left_ = std::strtoull(line.c_str() + 5, nullptr, 10);
  last_chunk_ = line.ends_with(" LAST");
  mode_ = Mode::bdat;
  by_bdat_ = true;
}

void Receiver::on_end_of_content() {
  const std::string content = std::exchange(content_, {});
  const std::vector<mail::Mailbox> recipients = std::exchange(recipients_, {});
  const bool mail_given = std::exchange(mail_given_, false);
  if (!mail_given || recipients.empty()) return answer("503 5.5.1 no recipients\r\n");
  Chance& chance = stage_.chance;
  const Weather& weather = stage_.weather;
  if (chance.odds(weather.later)) return answer("452 4.3.1 later\r\n");
  if (chance.odds(weather.never)) {
    for (const auto& recipient : recipients) ledger_.refused_by_hop(sender_, &recipient, hop_);
    return answer("554 5.6.0 never\r\n");
  }
  const auto copies = ledger_.taken({hop_, recipients, content, by_bdat_, link_->gateway_gone()});
  if (chance.odds(weather.lost_verdict)) {
    stage_.journal.note("{}: the verdict is lost", hop_);
    link_->hang_up();
    over_ = true;
    return;
  }
  constexpr std::string_view kVerdict = "250 2.0.0 taken\r\n";
  for (const auto& copy : copies) {
    link_->when_read(link_->said() + kVerdict.size(), [copy] { copy->heard = !copy->spoiled; });
  }
  answer(kVerdict);
  for (const auto& copy : copies) copy->spoiled = spoiled_;
}

void Receiver::reset() {
  sender_.reset();
  recipients_.clear();
  content_.clear();
  mail_given_ = false;
}

}  // namespace waypost::sim
