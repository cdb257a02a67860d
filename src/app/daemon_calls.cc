#include "app/daemon_calls.h"

#include "waypost/admin/server.h"
#include "waypost/config/config.h"

#include "app/answers.h"

#include <iostream>

namespace waypost::app {
namespace json = boost::json;

DaemonCalls::DaemonCalls(const CommandOptions& options, std::string who)
    : socket_(
          options.socket.empty()
              ? config::load_file(options.config_file, {.check_files = false}).config.admin.socket
              : options.socket),
      who_(std::move(who)) {}

std::optional<json::object> DaemonCalls::ask(const std::string& path, const json::object& request,
                                             std::chrono::seconds patience) {
  const auto answer =
      request.empty() ? admin::request(socket_, "GET", path, {}, patience)
                      : admin::request(socket_, "POST", path, json::serialize(request), patience);
  if (!answer) {
    std::cerr << who_ << ": " << answer.error().message << "\n";
    exit_code_ = kExitUnavailable;
    return std::nullopt;
  }
  json::object object = object_of(answer->body);
  if (answer->status == 200) return object;
  const std::string why = text_of(object, "error");
  std::cerr << who_ << ": " << (why.empty() ? answer->body : why) << "\n";
  if (const auto* problems = object.if_contains("problems"); problems && problems->is_array())
    for (const auto& one : problems->as_array()) std::cerr << one.as_string().c_str() << "\n";
  exit_code_ = answer->status == 422                           ? 2
               : answer->status >= 400 && answer->status < 500 ? kExitUsage
                                                               : kExitFailed;
  return std::nullopt;
}

bool DaemonCalls::walk(const std::string& path, json::object request,
                       const std::function<void(const json::object&)>& each) {
  for (;;) {
    const auto answer = ask(path, request);
    if (!answer) return false;
    each(*answer);
    if (!answer->contains("from")) return true;
    request["from"] = answer->at("from");
    if (answer->contains("shard")) request["shard"] = answer->at("shard");
  }
}

}  // namespace waypost::app
