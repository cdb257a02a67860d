#include "load/queued_mail.h"

#include "waypost/admin/fields.h"
#include "waypost/admin/server.h"
#include "waypost/mail/address.h"

#include <boost/json.hpp>

namespace waypost::load {
namespace {

namespace json = boost::json;

std::string_view text_of(const json::object& object, std::string_view key) {
  const auto* found = object.if_contains(key);
  if (found == nullptr || !found->is_string()) return {};
  return {found->as_string().data(), found->as_string().size()};
}

std::optional<std::uint64_t> number_of(const json::object& object, std::string_view key) {
  const auto* found = object.if_contains(key);
  if (found == nullptr || !found->is_int64() || found->as_int64() < 0) return std::nullopt;
  return static_cast<std::uint64_t>(found->as_int64());
}

bool take_message(const json::value& value, QueuedMail& into) {
  if (!value.is_object()) return false;
  const std::string_view id = text_of(value.as_object(), "queue_id");
  const auto* open = value.as_object().if_contains("open");
  if (id.empty() || open == nullptr || !open->is_array()) return false;
  for (const auto& one : open->as_array()) {
    const std::string_view address =
        one.is_object() ? text_of(one.as_object(), "address") : std::string_view();
    if (address.empty()) return false;
    into.add(id, address);
  }
  return true;
}

std::string question_at(QueueCursor cursor) {
  return "/v1/queue/list" +
         admin::query_of({{"all", true}, {"shard", cursor.shard}, {"from", cursor.from}});
}

}  // namespace

void QueuedMail::add(std::string_view queue_id, std::string_view address) {
  open_[std::string(queue_id)].insert(mail::ascii_lower(address));
}

bool QueuedMail::holds(std::string_view queue_id, std::string_view address) const {
  if (open_.empty()) return false;
  const auto found = open_.find(std::string(queue_id));
  return found != open_.end() && found->second.contains(mail::ascii_lower(address));
}

Result<std::optional<QueueCursor>> take_slice(std::string_view answer, QueuedMail& into) {
  const auto bad = [] {
    return fail(ErrorKind::protocol, "this is no answer of waypost to /v1/queue/list");
  };
  boost::system::error_code error;
  const auto value = json::parse({answer.data(), answer.size()}, error);
  if (error || !value.is_object()) return bad();
  const auto* messages = value.as_object().if_contains("messages");
  if (messages == nullptr || !messages->is_array()) return bad();
  for (const auto& message : messages->as_array()) {
    if (!take_message(message, into)) return bad();
  }
  if (!value.as_object().contains("from")) return std::optional<QueueCursor>();
  const auto shard = number_of(value.as_object(), "shard");
  const auto from = number_of(value.as_object(), "from");
  if (!shard || !from) return bad();
  return std::optional<QueueCursor>({*shard, *from});
}

Result<QueuedMail> ask_queued_mail(const std::string& socket) {
  QueuedMail mail;
  std::optional<QueueCursor> cursor = QueueCursor{};
  while (cursor) {
    const auto answer = admin::request(socket, "GET", question_at(*cursor));
    if (!answer) return fail(ErrorKind::network, "--admin-socket: " + answer.error().message);
    if (answer->status != 200) {
      return fail(ErrorKind::protocol, "--admin-socket " + socket + ": /v1/queue/list answers " +
                                           std::to_string(answer->status) + " " + answer->body);
    }
    const auto next = take_slice(answer->body, mail);
    if (!next) {
      return fail(ErrorKind::protocol, "--admin-socket " + socket + ": " + next.error().message);
    }
    const bool onward = !*next || (*next)->shard > cursor->shard ||
                        ((*next)->shard == cursor->shard && (*next)->from > cursor->from);
    if (!onward) {
      return fail(ErrorKind::protocol,
                  "--admin-socket " + socket + ": the list of the queue goes in circles");
    }
    cursor = *next;
  }
  return mail;
}

}  // namespace waypost::load
