// One connection to a next hop: a mail server in as many moods as the weather allows. It takes
// commands one after the other, and what it decides it tells the ledger at once, whether or not the
// gateway ever hears of it.
#pragma once

#include "sim/ledger.h"
#include "sim/network.h"

namespace waypost::sim {

class Receiver final : public Peer {
 public:
  Receiver(Stage& stage, Ledger& ledger, std::string hop);
  /// Greets as soon as it likes.
  void connect(std::shared_ptr<Link> link);
  void on_bytes(std::string_view bytes) override;
  void on_end() override { over_ = true; }

 private:
  enum class Mode : std::uint8_t { commands, bdat, data };
  void work();
  bool take_content();
  void on_command(const std::string& line);
  void on_mail(const std::string& line);
  void on_rcpt(const std::string& line);
  void on_bdat(const std::string& line);
  void on_end_of_content();
  /// Says it, or what the weather makes of it; then thinks for a while.
  void answer(std::string_view reply, bool may_go_wrong = true);
  void reset();

  Stage& stage_;
  Ledger& ledger_;
  const std::string hop_;
  std::shared_ptr<Link> link_;
  std::string input_, content_;
  Mode mode_ = Mode::commands;
  std::size_t chunk_left_ = 0;
  bool last_chunk_ = false, mail_given_ = false;
  mail::ReversePath sender_;
  std::vector<mail::Mailbox> recipients_;
  bool busy_ = false, over_ = false, spoiled_ = false, by_bdat_ = false;
  bool offers_pipelining_, offers_chunking_, offers_dsn_;
  std::size_t most_recipients_;  // in a transaction; the others get 452
};

}  // namespace waypost::sim
