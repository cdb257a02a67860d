#include "app/daemon_calls.h"

#include "waypost/admin/server.h"
#include "waypost/config/config.h"

#include "app/answers.h"

#include <filesystem>
#include <iostream>

namespace waypost::app {
namespace json = boost::json;
namespace {
constexpr std::chrono::seconds kPatience{10};  // as of all questions
}

bool is_default_and_missing(const std::string& config_file) {
  std::error_code error;
  return config_file == CommandOptions().config_file &&
         !std::filesystem::exists(config_file, error) && !error;
}

Result<std::string> socket_to_ask(const CommandOptions& options) {
  if (!options.socket.empty()) return options.socket;
  if (is_default_and_missing(options.config_file)) return config::AdminOptions().socket;
  const auto loaded = config::load_file(options.config_file, {.check_files = false});
  if (loaded.socket_known) return loaded.config.admin.socket;
  std::string why =
      "it is not known which daemon to ask, so nothing was done: mend the configuration, or name "
      "the daemon's socket with --socket";
  for (const auto& one : loaded.diagnostics)
    if (one.level == config::Diagnostic::Level::error) why += "\n" + one.to_string();
  return fail(ErrorKind::invalid, std::move(why));
}

DaemonCalls::DaemonCalls(const CommandOptions& options, std::string who)
    : socket_(socket_to_ask(options)), who_(std::move(who)) {}

Result<admin::Answer> DaemonCalls::request(const std::string& method, const std::string& path,
                                           const std::string& body,
                                           std::chrono::seconds patience) const {
  if (!socket_) return fail(socket_.error());
  return admin::request(*socket_, method, path, body, patience);
}

std::optional<json::object> DaemonCalls::ask(const std::string& path, const json::object& fields,
                                             std::chrono::seconds patience) {
  return take(request("GET", path + admin::query_of(fields), {}, patience));
}

std::optional<json::object> DaemonCalls::act(const std::string& path, const json::object& fields,
                                             std::chrono::seconds patience) {
  return take(request("POST", path, json::serialize(fields), patience));
}

std::optional<admin::Answer> DaemonCalls::fetch(const std::string& path,
                                                const json::object& fields) {
  auto answer = request("GET", path + admin::query_of(fields), {}, kPatience);
  if (answer) return std::move(*answer);
  take(std::move(answer));
  return std::nullopt;
}

std::optional<json::object> DaemonCalls::take(Result<admin::Answer> answer) {
  if (!answer) {
    std::cerr << who_ << ": " << answer.error().message << "\n";
    exit_code_ = socket_ ? kExitUnavailable : kExitConfig;
    return std::nullopt;
  }
  json::object object = object_of(answer->body);
  if (answer->status == 200) return object;
  const std::string why = text_of(object, "error");
  std::cerr << who_ << ": " << (why.empty() ? answer->body : why) << "\n";
  if (const auto* problems = object.if_contains("problems"); problems && problems->is_array())
    for (const auto& one : problems->as_array())
      std::cerr << (one.is_string() ? std::string(one.as_string()) : json::serialize(one)) << "\n";
  exit_code_ = answer->status == 422                           ? 2
               : answer->status >= 400 && answer->status < 500 ? kExitUsage
                                                               : kExitFailed;
  return std::nullopt;
}

namespace {

/// False: that was all.
bool go_on(json::object& fields, const json::object& answer) {
  if (!answer.contains("from")) return false;
  fields["from"] = answer.at("from");
  if (answer.contains("shard")) fields["shard"] = answer.at("shard");
  return true;
}

}  // namespace

bool DaemonCalls::walk(const std::string& path, json::object fields,
                       const std::function<void(const json::object&)>& each) {
  for (;;) {
    const auto answer = ask(path, fields);
    if (!answer) return false;
    each(*answer);
    if (!go_on(fields, *answer)) return true;
  }
}

bool DaemonCalls::act_on_all(const std::string& path, json::object fields,
                             const std::function<void(const json::object&)>& each) {
  for (;;) {
    const auto answer = act(path, fields);
    if (!answer) return false;
    each(*answer);
    if (!go_on(fields, *answer)) return true;
  }
}

}  // namespace waypost::app
