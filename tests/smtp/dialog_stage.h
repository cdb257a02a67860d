// The stage of tests/dialogs/README.md in memory: the table, the users, and what was accepted.
#pragma once

#include "waypost/smtp/server_dialogue.h"

#include <string>
#include <vector>

namespace waypost::smtp::testing {

struct Accepted {
  std::string sender;
  std::vector<std::string> targets;
  std::string content;
  bool operator==(const Accepted&) const = default;
};

class DialogStage final : public ServerHandler {
 public:
  Reply on_mail(const MailCommand& command) override;
  Reply on_rcpt(const RcptCommand& command) override;
  std::optional<Reply> on_content_start() override { return std::nullopt; }
  void on_content(std::string_view bytes) override { open_.content += bytes; }
  void on_abandon() override { open_ = {}; }

  Reply commit();
  Reply verify(const Credentials& credentials) const;
  const std::vector<Accepted>& accepted() const { return accepted_; }

 private:
  Accepted open_;
  std::vector<Accepted> accepted_;
};

}  // namespace waypost::smtp::testing
