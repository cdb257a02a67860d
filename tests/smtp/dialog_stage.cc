#include "smtp/dialog_stage.h"

#include <map>
#include <utility>

namespace waypost::smtp::testing {

namespace {

using Table = std::map<std::string, std::string>;

Table make_table() {
  Table table;
  const std::string own = "@corp.example";
  const std::string target = "@orgname.awsapps.com";
  for (const char* name : {"ann", "bob", "carol", "dave", "robert", "postmaster"}) {
    table[name + own] = name + target;
  }
  for (int n = 1; n <= 1001; ++n) {
    const std::string name = "user" + std::to_string(n);
    table[name + own] = name + target;
  }
  table["o'brien" + own] = "obrien" + target;
  table["quoted local" + own] = "quoted.local" + target;
  table["jürgen" + own] = "juergen" + target;
  return table;
}

const Table& table() {
  static const Table made = make_table();
  return made;
}

}  // namespace

Reply DialogStage::on_mail(const MailCommand& command) {
  open_ = {};
  open_.sender = command.reverse_path ? command.reverse_path->to_string() : "";
  return {250, mail::status::sender_ok, "sender ok"};
}

Reply DialogStage::on_rcpt(const RcptCommand& command) {
  std::string domain = mail::ascii_lower(command.forward_path.domain);
  if (domain == "orgname.awsapps.com") {
    open_.targets.push_back(command.forward_path.to_string());
    return {250, mail::status::recipient_ok, "recipient ok"};
  }
  if (domain == "old-corp.example") domain = "corp.example";
  if (domain != "corp.example") return {550, mail::status::relay_denied, "no relaying"};
  const auto entry =
      table().find(mail::ascii_lower(command.forward_path.local_part) + "@" + domain);
  if (entry == table().end()) return {550, mail::status::unknown_mailbox, "nobody of that name"};
  open_.targets.push_back(entry->second);
  return {250, mail::status::recipient_ok, "recipient ok"};
}

Reply DialogStage::commit() {
  accepted_.push_back(std::exchange(open_, {}));
  return {250, mail::status::queued, "message queued as 0123456789AB"};
}

Reply DialogStage::verify(const Credentials& credentials) const {
  if (credentials.user == "exchange" && credentials.password == "Wave-2026!") {
    return {235, mail::status::auth_ok, "welcome"};
  }
  return {535, mail::status::auth_failed, "user or password is wrong"};
}

}  // namespace waypost::smtp::testing
