#include "app/queue_export.h"

#include "waypost/base/counted.h"
#include "waypost/base/durable.h"

#include "app/answers.h"
#include "app/daemon_calls.h"

#include <boost/json.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <iostream>

namespace waypost::app {
namespace {

namespace json = boost::json;

/// False: it has been said why on standard error, and nothing is there under this name.
bool save(const std::string& path, std::string_view text) {
  const auto saved = DurableFile(Disk::system(), path).replace(text);
  if (!saved) std::cerr << "waypost queue export: " << saved.error().message << "\n";
  return saved.has_value();
}

/// Mail is nobody else's business: what is made here only its owner may open.
bool make_export_folder(const std::string& path) {
  ::umask(0077);
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (!error && !std::filesystem::is_directory(path, error) && !error)
    error = std::make_error_code(std::errc::not_a_directory);
  if (!error && ::access(path.c_str(), W_OK | X_OK) != 0)
    error.assign(errno, std::generic_category());
  if (!error) return true;
  std::cerr << "waypost queue export: --directory: " << path << ": " << error.message()
            << ". Nothing was written; name a folder that you may write to\n";
  return false;
}

enum class Saved : std::uint8_t { whole, not_whole, delivered_meanwhile };

/// The envelope is written last: a message without ID.json is none.
Saved save_message(DaemonCalls& daemon, const std::string& directory, const json::object& message) {
  const std::string id = text_of(message, "queue_id");
  const auto content = daemon.fetch("/v1/queue/content", {{"queue_id", id}});
  if (!content) return Saved::not_whole;  // it has been told
  if (content->status == 404) return Saved::delivered_meanwhile;
  if (content->status != 200) {
    std::cerr << "waypost queue export: " << id << ": " << content->body;
    return Saved::not_whole;
  }
  const std::string path = directory + "/" + id;
  if (!save(path + ".eml", content->body)) return Saved::not_whole;
  if (save(path + ".json", json::serialize(message) + "\n")) return Saved::whole;
  std::error_code ignored;
  if (!std::filesystem::exists(path + ".json", ignored))  // an earlier export may have left one
    std::filesystem::remove(path + ".eml", ignored);
  return Saved::not_whole;
}

}  // namespace

int export_queue(const CommandOptions& common, const std::string& directory,
                 const json::object& request) {
  if (!make_export_folder(directory)) return kExitFailed;
  std::uint64_t done = 0, failed = 0;
  DaemonCalls daemon(common, "waypost queue export");
  const bool good = daemon.act_on_all("/v1/queue/export", request, [&](const json::object& answer) {
    for (const auto& message : answer.at("messages").as_array()) {
      const auto saved = save_message(daemon, directory, message.as_object());
      if (saved == Saved::whole) ++done;
      if (saved == Saved::not_whole) ++failed;
    }
  });
  if (good || done + failed > 0)
    std::cout << counted(done, "message") << " written to " << directory
              << (failed > 0 ? ", " + std::to_string(failed) + " not" : std::string())
              << (good ? "" : " until it broke off") << "\n";
  if (!good) return daemon.exit_code();
  return failed > 0 ? kExitFailed : done == 0 ? kExitNo : 0;
}

}  // namespace waypost::app
