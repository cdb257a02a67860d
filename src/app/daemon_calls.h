// One question to the running daemon and its answer, for the subcommands. Private to app.
#pragma once

#include "waypost/admin/server.h"

#include "app/commands.h"

#include <boost/json/object.hpp>

#include <chrono>
#include <functional>
#include <optional>
#include <string>

namespace waypost::app {

inline constexpr int kExitNo = 1, kExitUsage = 64, kExitUnavailable = 69, kExitFailed = 74,
                     kExitConfig = 78;

/// Only the configuration at the default place may be missing: then the defaults hold.
bool is_default_and_missing(const std::string& config_file);

/// The socket to ask: as given, else as the configuration says, else the default if there is no
/// configuration at the default place. ErrorKind::invalid: the configuration was meant to say, and
/// does not: another daemon would be asked. End with kExitConfig.
Result<std::string> socket_to_ask(const CommandOptions& options);

/// Speaks for one command: `who` stands in front of every complaint ("waypost wave plan").
class DaemonCalls {
 public:
  DaemonCalls(const CommandOptions& options, std::string who);

  /// Reads (GET, the fields in the query). nullopt: it has been said why on standard error, and
  /// exit_code() is what to end with.
  std::optional<boost::json::object> ask(const std::string& path, const boost::json::object& fields,
                                         std::chrono::seconds patience = std::chrono::seconds(10));
  /// Acts (POST, the fields in the body).
  std::optional<boost::json::object> act(const std::string& path, const boost::json::object& fields,
                                         std::chrono::seconds patience = std::chrono::seconds(10));
  /// ask() page after page, as long as the answer has `from` (and `shard`).
  bool walk(const std::string& path, boost::json::object fields,
            const std::function<void(const boost::json::object&)>& each);
  /// act() step by step, likewise.
  bool act_on_all(const std::string& path, boost::json::object fields,
                  const std::function<void(const boost::json::object&)>& each);
  /// An answer that need not be JSON; nullopt as for ask(), but 404 and what is beyond is given.
  std::optional<admin::Answer> fetch(const std::string& path, const boost::json::object& fields);
  int exit_code() const { return exit_code_; }

 private:
  Result<admin::Answer> request(const std::string& method, const std::string& path,
                                const std::string& body, std::chrono::seconds patience) const;
  std::optional<boost::json::object> take(Result<admin::Answer> answer);
  Result<std::string> socket_;
  std::string who_;
  int exit_code_ = 0;
};

}  // namespace waypost::app
