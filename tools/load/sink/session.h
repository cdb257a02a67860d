// One conversation with a client of the stand-in: ServerDialogue, and the misdeeds around it.
//
// Lives on one shard's thread, kept alive by its own coroutine. Commands are fed one line at a
// time, so that a rule can take the place of any reply; content is fed as it arrives.
#pragma once

#include "waypost/mail/header.h"
#include "waypost/net/shard.h"
#include "waypost/net/stream.h"
#include "waypost/net/tls.h"
#include "waypost/smtp/server_dialogue.h"

#include "load/identity.h"
#include "sink/behaviour.h"
#include "sink/content_digest.h"
#include "sink/recorder.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::sink {

enum class TlsMode : std::uint8_t { none, starttls, implicit };

struct Settings {
  std::string name = "inbound-smtp.local";
  TlsMode tls = TlsMode::starttls;
  std::shared_ptr<const net::TlsContext> tls_context;
  std::vector<std::string> hidden_extensions;  // upper-case EHLO keywords that are not offered
  bool bare_ok = false;                        // the EHLO answer ends with a bare "250 Ok"
  std::string auth_user, auth_password;        // empty: AUTH is not offered
  std::uint64_t max_message_size = 40ull * 1024 * 1024;
  std::uint32_t max_recipients = 500;
  Duration idle = std::chrono::minutes(5);

  bool offers(std::string_view keyword) const;
};

class Session final : public smtp::ServerHandler {
 public:
  /// Serves until the conversation ends. REQUIRES: all references outlive it.
  static net::Task<void> serve(net::Shard& shard, const Settings& settings, Behaviour& behaviour,
                               Recorder& recorder, std::unique_ptr<net::Stream> stream,
                               std::uint64_t number);

  Session(net::Shard& shard, const Settings& settings, Behaviour& behaviour, Recorder& recorder,
          std::unique_ptr<net::Stream> stream, std::uint64_t number);

  smtp::Reply on_mail(const smtp::MailCommand& command) override;
  smtp::Reply on_rcpt(const smtp::RcptCommand& command) override;
  std::optional<smtp::Reply> on_content_start() override;
  void on_content(std::string_view bytes) override;
  void on_abandon() override;

 private:
  net::Task<void> converse();
  net::Task<bool> begin();           // implicit TLS and greeting; false: over
  net::Task<bool> consume_buffer();  // everything that has arrived; false: over
  net::Task<bool> take_step(smtp::Step step, bool input_left);
  net::Task<bool> start_tls(bool input_left);
  net::Task<bool> finish_message();
  net::Task<bool> misbehave();  // what misdeed_ says; false: close
  net::Task<bool> flush();

  bool in_octets() const;
  std::string_view next_piece(std::string_view input) const;
  /// Answers a command line in place of the dialogue: rules, and words that were not offered.
  bool answered_here(std::string_view line);
  std::optional<std::string> not_offered(std::string_view verb, std::string_view line) const;
  void edit_ehlo_reply(std::size_t from);
  bool look(Stage stage, std::string_view subject);
  bool look_for_recipients(Stage stage, std::uint64_t octets = 0);
  bool replaces_reply() const;
  smtp::Reply refusal() const;
  void violation(std::string what);
  void forget_transaction();
  Result<> keep_message();
  Receipt receipt() const;

  net::Shard& shard_;
  const Settings& settings_;
  Behaviour& behaviour_;
  Recorder& recorder_;
  std::unique_ptr<net::Stream> stream_;
  std::uint64_t number_;
  std::string client_;
  smtp::ServerOptions options_;
  smtp::ServerDialogue dialogue_;
  const net::TlsInfo* tls_ = nullptr;

  std::unique_ptr<char[]> buffer_;
  std::size_t filled_ = 0;
  std::string out_;                 // replies of finished steps, not yet written
  std::optional<Misdeed> misdeed_;  // of the step that was just taken

  smtp::MailCommand mail_;
  std::vector<smtp::RcptCommand> recipients_;
  std::vector<std::string> violations_;
  // Fed only if something wants it: a sink that just counts spends nothing on them.
  ContentDigest digest_;
  mail::HeaderScan scan_;
  load::IdentityScan identity_;
  std::string content_;
  std::uint64_t octets_ = 0;
};

}  // namespace waypost::sink
