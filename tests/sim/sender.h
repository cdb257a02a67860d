// One connection of a sending server (Exchange): some letters, by BDAT or DATA, pipelined or one
// command at a time, that may give up at any moment.
#pragma once

#include "sim/ledger.h"
#include "sim/network.h"

#include <deque>

namespace waypost::sim {

class Sender final : public Peer {
 public:
  Sender(Stage& stage, Ledger& ledger);
  void connect(std::shared_ptr<Link> link) { link_ = std::move(link); }
  void on_bytes(std::string_view bytes) override;
  void on_end() override;
  bool over() const { return over_; }

 private:
  enum class Expect : std::uint8_t { greeting, ehlo, mail, rcpt, go_ahead, chunk, verdict, rset };
  void on_reply(int code);
  void begin_letter();
  void write_letter();
  Fate draw_recipient(std::size_t number);
  std::string draw_content(const Letter& letter);
  void send_content();
  void on_content_reply(int code);
  void say(std::string_view bytes);
  void leave();

  Stage& stage_;
  Ledger& ledger_;
  std::shared_ptr<Link> link_;
  std::string input_;
  std::deque<Expect> expected_;
  Letter* letter_ = nullptr;
  std::string content_;  // what goes over the wire, without dot-stuffing
  std::size_t letters_left_;
  std::size_t next_recipient_ = 0, rcpt_replies_ = 0, accepted_ = 0;
  bool pipelines_, bdat_ = true, over_ = false;
};

}  // namespace waypost::sim
