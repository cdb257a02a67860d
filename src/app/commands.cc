#include "app/commands.h"

#include "waypost/admin/server.h"
#include "waypost/config/config.h"
#include "waypost/inbound/passwords.h"

#include "app/address_list.h"
#include "app/answers.h"
#include "app/daemon_calls.h"
#include "app/explain.h"
#include "app/times.h"
#include "app/version.h"
#include "app/waves_on_disk.h"

#include <boost/json.hpp>
#include <boost/version.hpp>
#include <openssl/crypto.h>

#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>

namespace waypost::app {
namespace {

namespace json = boost::json;
constexpr std::chrono::seconds kLoadPatience{600};  // a directory or a million entries take a while

/// nullopt: it has been said why; end with kExitConfig.
std::optional<std::string> socket_or_say(const CommandOptions& options, const char* who) {
  auto socket = socket_to_ask(options);
  if (socket) return std::move(*socket);
  std::cerr << who << ": " << socket.error().message << "\n";
  return std::nullopt;
}

bool is_time(std::string_view key) { return key.ends_with("_at") || key.ends_with("_until"); }

/// For people: local times, a line for each item of a list.
std::string pretty(const json::object& object, std::size_t indent = 0) {
  const std::string pad(indent * 2, ' ');
  std::string out;
  for (const auto& [key, inner] : object) {
    out += pad + std::string(key);
    if (inner.is_object()) {
      out += "\n" + pretty(inner.as_object(), indent + 1);
    } else if (inner.is_array()) {
      out += inner.as_array().empty() ? ": none\n" : "\n";
      for (const auto& one : inner.as_array())
        out += pad + "  " +
               (one.is_string() ? std::string(one.as_string()) : json::serialize(one)) + "\n";
    } else if (inner.is_string()) {
      const std::string text(inner.as_string());
      out += ": " + (is_time(key) ? local_time(text) : text) + "\n";
    } else {
      out += ": " + json::serialize(inner) + "\n";
    }
  }
  return out;
}

void print_next_hop(const json::object& decision) {
  if (const auto* hosts = decision.if_contains("mx")) {
    std::cout << "            MX";
    for (const auto& host : hosts->as_array()) std::cout << " " << host.as_string().c_str() << ";";
    std::cout << "\n";
  }
  if (const auto trouble = text_of(decision, "mx_trouble"); !trouble.empty())
    std::cout << "            MX: " << trouble << "\n";
  if (const auto* health = decision.if_contains("next_hop_health")) {
    const auto& object = health->as_object();
    std::cout << "            " << text_of(object, "words");
    if (const auto reply = text_of(object, "last_reply"); !reply.empty())
      std::cout << "; last answer: " << reply;
    std::cout << "\n";
  }
}

void print_sender(const json::object& sender) {
  std::cout << "sender      " << text_of(sender, "reverse_path");
  if (const auto rewritten = text_of(sender, "rewritten"); !rewritten.empty())
    std::cout << ", rewritten to " << rewritten;
  if (const auto trouble = text_of(sender, "trouble"); !trouble.empty())
    std::cout << " (" << trouble << ")";
  std::cout << "\n";
}

void print_steps(const json::object& decision) {
  const auto line = [&](const char* label, const char* key) {
    if (const auto* value = decision.if_contains(key);
        value != nullptr && value->is_string() && !value->as_string().empty()) {
      std::cout << label << value->as_string().c_str() << "\n";
    }
  };
  line("address     ", "address");
  line("verdict     ", "verdict");
  line("target      ", "target");
  line("next hop    ", "next_hop");
  line("            ", "next_hop_summary");
  print_next_hop(decision);
  line("state       ", "state");
  line("wave        ", "wave");
  if (const auto* next = decision.if_contains("next_change"))
    std::cout << "            " << text_of(next->as_object(), "to") << " from "
              << text_of(next->as_object(), "at") << "\n";
  if (const auto* copies = decision.if_contains("copies"))
    for (const auto& copy : copies->as_array())
      std::cout << "copy to     " << text_of(copy.as_object(), "target") << " by "
                << text_of(copy.as_object(), "next_hop") << "\n";
  if (const auto* shadow = decision.if_contains("shadow"))
    std::cout << "shadow      when active: " << text_of(shadow->as_object(), "target") << " by "
              << text_of(shadow->as_object(), "next_hop") << "\n";
  if (decision.contains("source")) {
    std::cout << "source      " << decision.at("source").as_string().c_str();
    if (count_of(decision, "line") > 0) std::cout << ":" << count_of(decision, "line");
    std::cout << "\n";
  }
  line("directory   ", "dn");
  if (const auto* sender = decision.if_contains("sender")) print_sender(sender->as_object());
  if (const auto* size = decision.if_contains("size"))
    std::cout << "size        " << count_of(size->as_object(), "octets")
              << " octets: " << text_of(size->as_object(), "why") << "\n";
  line("because     ", "why");
  line("reply       ", "reply");
  std::cout << "steps\n";
  std::size_t number = 0;
  for (const auto& step : decision.at("steps").as_array()) {
    std::cout << "  " << ++number << ". " << step.at("step").as_string().c_str() << ": "
              << step.at("detail").as_string().c_str() << "\n";
  }
}

int verdict_exit(std::string_view verdict) {
  return verdict == "refuse" || verdict == "defer" ? 1 : 0;
}

/// Asks the daemon; where none answers configuration, tables and the waves' journal decide, by the
/// same code as in the daemon.
class Explainer {
 public:
  Explainer(const CommandOptions& options, std::string socket)
      : options_(options), socket_(std::move(socket)) {}

  /// ErrorKind::invalid: the question; not_found: nobody can answer; io: the daemon could not.
  Result<json::object> ask(const json::object& request) {
    if (!config_) {
      const auto told = admin::request(socket_, "GET", "/v1/explain" + admin::query_of(request));
      if (told && told->status == 200) return object_of(told->body);
      if (told)
        return fail(told->status < 500 ? ErrorKind::invalid : ErrorKind::io,
                    text_of(object_of(told->body), "error"));
      if (auto loaded = load(); !loaded) return fail(std::move(loaded).error());
    }
    auto fields = admin::Fields::of_body(json::serialize(request));
    const auto question = read_question(fields, Clock::system().now());
    if (const auto wrong = fields.finish(); !wrong.empty())
      return fail(ErrorKind::invalid, admin::sentence_of(wrong));
    return explain(question, *router_, *config_);
  }

 private:
  Result<> load() {
    auto loaded = config::load_file(options_.config_file);
    if (!loaded.usable())
      return fail(ErrorKind::not_found, "no daemon answers, and " + options_.config_file +
                                            " can't be used; see 'waypost check --config " +
                                            options_.config_file + "'");
    std::vector<routing::Problem> problems;
    auto router =
        routing::Router::load(loaded.config.routing, problems, waves_on_disk(loaded.config));
    if (!router) return fail(ErrorKind::not_found, router.error().message);
    router_ = std::move(*router);
    config_ = std::move(loaded.config);
    std::cerr << "(no daemon answers: this is what " << options_.config_file << " says)\n";
    return {};
  }

  const CommandOptions& options_;
  std::string socket_;
  std::optional<config::Config> config_;  // set: no daemon answers
  std::shared_ptr<const routing::Router> router_;
};

std::string read_password(const std::string& prompt) {
  std::string password;
  termios before{};
  const bool terminal = ::tcgetattr(STDIN_FILENO, &before) == 0;
  if (terminal) {
    std::cerr << prompt << std::flush;
    termios quiet = before;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    ::tcsetattr(STDIN_FILENO, TCSANOW, &quiet);
  }
  std::getline(std::cin, password);
  if (terminal) {
    ::tcsetattr(STDIN_FILENO, TCSANOW, &before);
    std::cerr << "\n";
  }
  return password;
}

}  // namespace

int reload(const CommandOptions& options, bool confirm_shrink) {
  const auto socket = socket_or_say(options, "waypost reload");
  if (!socket) return kExitConfig;
  const json::object request{{"confirm_shrink", confirm_shrink}};
  const auto answer =
      admin::request(*socket, "POST", "/v1/reload", json::serialize(request), kLoadPatience);
  if (!answer) {
    std::cerr << "waypost reload: " << answer.error().message << "\n";
    return kExitUnavailable;
  }
  if (options.json) {
    std::cout << answer->body;
    return answer->status == 200 ? 0 : 1;
  }
  boost::system::error_code error;
  const auto report = json::parse(answer->body, error);
  if (error || !report.is_object() || !report.as_object().contains("problems")) {
    std::cerr << "waypost reload: " << answer->body << "\n";
    return 1;
  }
  for (const auto& problem : report.at("problems").as_array())
    std::cerr << problem.as_string().c_str() << "\n";
  std::cout << report.at("summary").as_string().c_str() << "\n";
  return answer->status == 200 ? 0 : 1;
}

int explain_route(const CommandOptions& options, const ExplainArguments& arguments) {
  const auto addresses = with_standard_input(arguments.addresses);
  if (addresses.empty()) {
    std::cerr << "waypost route explain: standard input has no address\n";
    return kExitUsage;
  }
  auto socket = socket_or_say(options, "waypost route explain");
  if (!socket) return kExitConfig;
  Explainer explainer(options, std::move(*socket));
  int exit_code = 0;
  for (const auto& address : addresses) {
    json::object request{{"address", address}};
    if (arguments.size > 0) request["size"] = arguments.size;
    if (!arguments.at.empty()) request["at"] = arguments.at;
    if (!arguments.sender.empty()) request["sender"] = arguments.sender;
    const auto answer = explainer.ask(request);
    std::cout.flush();
    if (!answer) {
      std::cerr << "waypost route explain: " << answer.error().message << "\n";
      if (answer.error().kind == ErrorKind::not_found) return kExitUnavailable;
      if (answer.error().kind == ErrorKind::io) return kExitFailed;
      exit_code = kExitUsage;  // about this address; the others are answered
      continue;
    }
    if (options.json) {
      std::cout << json::serialize(*answer) << "\n";
    } else {
      if (&address != addresses.data()) std::cout << "\n";
      print_steps(*answer);
    }
    exit_code = std::max(exit_code, verdict_exit(text_of(*answer, "verdict")));
  }
  return exit_code;
}

int status(const CommandOptions& options) {
  const auto socket = socket_or_say(options, "waypost status");
  if (!socket) return kExitConfig;
  const auto answer = admin::request(*socket, "GET", "/v1/status");
  if (!answer) {
    std::cerr << "waypost status: " << answer.error().message << "\n";
    return kExitUnavailable;
  }
  const json::object object = object_of(answer->body);
  if (answer->status != 200) {
    std::cerr << "waypost status: " << text_of(object, "error") << "\n";
    return kExitFailed;
  }
  std::cout << (options.json ? answer->body : pretty(object));
  return 0;
}

int version(bool as_json) {
  if (as_json) {
    std::cout << json::serialize(json::object{{"waypost", kVersion},
                                              {"openssl", OpenSSL_version(OPENSSL_VERSION_STRING)},
                                              {"boost", BOOST_LIB_VERSION}})
              << "\n";
    return 0;
  }
  std::cout << "waypost " << kVersion << "\n"
            << "OpenSSL " << OpenSSL_version(OPENSSL_VERSION_STRING) << ", Boost "
            << BOOST_LIB_VERSION << "\n";
  return 0;
}

int make_password(const std::string& user) {
  const std::string password = read_password("Password for " + user + ": ");
  if (::isatty(STDIN_FILENO) == 1 && read_password("The same again: ") != password) {
    std::cerr << "waypost passwd: the two differ; nothing was made\n";
    return kExitUsage;
  }
  const auto line = inbound::make_password_line(user, password);
  if (!line) {
    std::cerr << "waypost passwd: " << line.error().message << "\n";
    return kExitUsage;
  }
  std::cout << *line << "\n";
  return 0;
}

}  // namespace waypost::app
