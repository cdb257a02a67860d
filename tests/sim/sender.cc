#include "sim/sender.h"

namespace waypost::sim {
namespace {

std::string path_of(const mail::ReversePath& sender) {
  return sender ? "<" + sender->to_string() + ">" : "<>";
}

std::string notify_words(std::uint8_t notify) {
  if (notify == mail::kNotifyUnset) return "";
  if (notify == mail::kNotifyNever) return " NOTIFY=NEVER";
  return notify == mail::kNotifySuccess ? " NOTIFY=SUCCESS" : " NOTIFY=FAILURE";
}

}  // namespace

Sender::Sender(Stage& stage, Ledger& ledger)
    : stage_(stage),
      ledger_(ledger),
      letters_left_(stage.chance.between(1, stage.weather.bulk ? 12 : 3)),
      pipelines_(stage.chance.odds(0.6)) {
  expected_.push_back(Expect::greeting);
}

void Sender::say(std::string_view bytes) {
  if (stage_.chance.odds(stage_.weather.client_leaves / 20)) {
    link_->say(bytes.substr(0, stage_.chance.below(bytes.size() + 1)));
    return leave();
  }
  link_->say(bytes);
}

void Sender::leave() {
  over_ = true;
  link_->hang_up();
}

void Sender::on_end() { over_ = true; }

void Sender::on_bytes(std::string_view bytes) {
  input_ += bytes;
  for (auto end = input_.find("\r\n"); end != std::string::npos && !over_;
       end = input_.find("\r\n")) {
    const std::string line = input_.substr(0, end);
    input_.erase(0, end + 2);
    if (line.size() > 3 && line[3] == '-') continue;
    on_reply(std::atoi(line.c_str()));
  }
}

void Sender::on_reply(int code) {
  if (code == 421 || expected_.empty()) return leave();
  const Expect expect = expected_.front();
  expected_.pop_front();
  switch (expect) {
    case Expect::greeting:
      if (code != 220) return leave();
      expected_.push_back(Expect::ehlo);
      return say("EHLO ex1.corp.example\r\n");
    case Expect::ehlo:
    case Expect::rset:
      return begin_letter();
    case Expect::mail:
      if (!pipelines_) return code == 250 ? write_letter() : leave();
      return;
    case Expect::rcpt:
      if (code == 250) letter_->fates[rcpt_replies_].acknowledged = true;
      accepted_ += code == 250;
      ++rcpt_replies_;
      if (!pipelines_) write_letter();
      return;
    case Expect::go_ahead:
      if (code == 354) return send_content();
      return on_content_reply(code);
    case Expect::chunk:
      if (code != 250 && pipelines_) return;  // the last chunk's reply is the verdict
      if (code != 250) return on_content_reply(code);
      return send_content();
    case Expect::verdict:
      return on_content_reply(code);
  }
}

void Sender::begin_letter() {
  if (letters_left_ == 0) {
    say("QUIT\r\n");
    over_ = true;
    return;
  }
  --letters_left_;
  Chance& chance = stage_.chance;
  Letter& letter = ledger_.compose();
  letter_ = &letter;
  bdat_ = chance.odds(0.7);
  const std::string number = std::to_string(letter.number);
  switch (chance.below(6)) {
    case 0:
      break;
    case 1:
    case 2:
      letter.sender = {"u" + std::to_string(chance.below(kUsers)) + "+s" + number, kOwnDomain};
      break;
    default:
      letter.sender = {"s" + number, "ext.example"};
  }
  const std::size_t recipients = chance.odds(0.6) ? 1 : chance.between(2, kUsers);
  const std::size_t first = chance.below(kUsers);
  for (std::size_t i = 0; i < recipients; ++i)
    letter.fates.push_back(draw_recipient((first + i) % kUsers));
  content_ = draw_content(letter);
  if (!bdat_ && !content_.ends_with("\r\n")) content_ += "\r\n";
  letter.content = bdat_ ? content_ : with_whole_lines(content_);
  next_recipient_ = rcpt_replies_ = accepted_ = 0;
  stage_.journal.note("letter {} from {} to {} recipients, {} octets by {}", number,
                      path_of(letter.sender), recipients, content_.size(), bdat_ ? "BDAT" : "DATA");
  const Duration pause = chance.odds(stage_.weather.client_slow)
                             ? chance.span(minutes(1), minutes(20))
                             : chance.span(Duration(100), seconds(2));
  stage_.agenda.at(stage_.in(pause), [this] {
    if (over_) return;
    expected_.push_back(Expect::mail);
    say("MAIL FROM:" + path_of(letter_->sender) + (stage_.chance.odds(0.3) ? " RET=FULL" : "") +
        "\r\n");
    if (pipelines_ && !over_) write_letter();
  });
}

Fate Sender::draw_recipient(std::size_t number) {
  Chance& chance = stage_.chance;
  Fate fate;
  const std::string user = "u" + std::to_string(number);
  fate.original = {user, kOwnDomain};
  if (chance.odds(0.12)) fate.original.local_part.front() = 'a';  // the same person's other address
  if (chance.odds(0.1)) fate.original.local_part += "+tag";
  if (chance.odds(0.1)) fate.original = {user + ".0", kTargetDomain};
  if (chance.odds(0.1))
    fate.original = {user, "away" + std::to_string(chance.below(3)) + ".example"};
  constexpr std::uint8_t kWishes[] = {mail::kNotifyUnset, mail::kNotifyUnset, mail::kNotifyNever,
                                      mail::kNotifySuccess, mail::kNotifyFailure};
  fate.notify = kWishes[chance.below(5)];
  return fate;
}

std::string Sender::draw_content(const Letter& letter) {
  Chance& chance = stage_.chance;
  const std::string number = std::to_string(letter.number);
  std::string content = "X-Number: " + number + "\r\nMessage-ID: <" + number + "@sim>\r\n\r\n";
  const bool large = chance.odds(stage_.weather.bulk ? 0.6 : 0.05);
  const std::uint64_t octets = large ? chance.below(40'000) : chance.below(800);
  while (content.size() < octets) {
    switch (chance.below(12)) {
      case 0:
        content += ".\r\n";
        break;
      case 1:
        content += "\r\n";
        break;
      case 2:
        content += "bare\nnewline\n";
        break;
      default:
        content.append(chance.between(1, large ? 900 : 70),
                       static_cast<char>('a' + chance.below(26)));
        content += chance.odds(0.5) ? "\r\n" : " ";
    }
  }
  if (chance.odds(0.8)) content += "end\r\n";
  return content;
}

/// Everything that may go out now: all of it when pipelining, else one command.
void Sender::write_letter() {
  std::string commands;
  while (next_recipient_ < letter_->fates.size()) {
    const Fate& fate = letter_->fates[next_recipient_++];
    commands += "RCPT TO:<" + fate.original.to_string() + ">" + notify_words(fate.notify) + "\r\n";
    expected_.push_back(Expect::rcpt);
    if (!pipelines_) return say(commands);
  }
  if (!pipelines_ && accepted_ == 0) return leave();
  if (bdat_) {
    if (!commands.empty()) say(commands);
    if (!over_) send_content();
    return;
  }
  expected_.push_back(Expect::go_ahead);
  say(commands + "DATA\r\n");
}

void Sender::send_content() {
  if (!bdat_) {
    expected_.push_back(Expect::verdict);
    std::string stuffed;
    // Behind a bare LF no line begins: a dot there is an attempt to smuggle, and goes as it is.
    for (const char c : content_) {
      if (c == '.' && (stuffed.empty() || stuffed.ends_with("\r\n"))) stuffed += '.';
      stuffed += c;
    }
    return say(stuffed + ".\r\n");
  }
  while (!over_) {
    const bool last = content_.size() < 2 || stage_.chance.odds(0.7);
    const std::size_t octets = last ? content_.size() : stage_.chance.below(content_.size());
    const std::string chunk = content_.substr(0, octets);
    content_.erase(0, octets);
    expected_.push_back(last ? Expect::verdict : Expect::chunk);
    say("BDAT " + std::to_string(octets) + (last ? " LAST\r\n" : "\r\n") + chunk);
    if (last || !pipelines_) return;
  }
}

void Sender::on_content_reply(int code) {
  if (expected_.empty()) {
    if (code == 354) return leave();
    const bool positive = code >= 200 && code < 300;
    ledger_.answered(*letter_, positive);
    if (positive) return begin_letter();
    expected_.push_back(Expect::rset);  // RFC 3030 §2
    say("RSET\r\n");
  }
}

}  // namespace waypost::sim
