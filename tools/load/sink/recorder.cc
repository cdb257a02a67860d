#include "sink/recorder.h"

#include "waypost/mail/xtext.h"

#include "sink/failure_report.h"

#include <boost/json.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>

namespace waypost::sink {
namespace {

namespace json = boost::json;

json::string_view view(std::string_view text) { return {text.data(), text.size()}; }

/// Addresses and names as text that JSON can hold, whatever octets they have.
json::string text(std::string_view octets) {
  return json::string(view(mail::printable(octets, 4096)));
}

std::string iso_time(WallTime at) {
  const std::time_t seconds =
      std::chrono::system_clock::to_time_t(std::chrono::time_point_cast<std::chrono::seconds>(at));
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char buffer[64];
  const auto length = std::strftime(buffer, sizeof buffer, "%Y-%m-%dT%H:%M:%S", &parts);
  const auto micros = static_cast<unsigned>(at.time_since_epoch().count() % 1'000'000);
  std::snprintf(buffer + length, sizeof buffer - length, ".%06uZ", micros);
  return buffer;
}

json::array notify_words(std::uint8_t notify) {
  json::array words;
  if (notify & mail::kNotifyNever) words.emplace_back("NEVER");
  if (notify & mail::kNotifySuccess) words.emplace_back("SUCCESS");
  if (notify & mail::kNotifyFailure) words.emplace_back("FAILURE");
  if (notify & mail::kNotifyDelay) words.emplace_back("DELAY");
  return words;
}

json::object parameters(const smtp::MailCommand& mail) {
  json::object out;
  if (mail.size != 0) out["size"] = mail.size;
  if (mail.body != mail::BodyType::unset) {
    out["body"] = mail.body == mail::BodyType::seven_bit ? "7BIT" : "8BITMIME";
  }
  if (mail.ret != mail::Ret::unset) out["ret"] = mail.ret == mail::Ret::full ? "FULL" : "HDRS";
  if (!mail.envid.empty()) out["envid"] = text(mail.envid);
  if (mail.smtputf8) out["smtputf8"] = true;
  return out;
}

json::array recipients(const std::vector<smtp::RcptCommand>& commands) {
  json::array out;
  for (const auto& command : commands) {
    json::object one{{"address", text(command.forward_path.to_string())}};
    if (command.notify != mail::kNotifyUnset) one["notify"] = notify_words(command.notify);
    if (!command.orcpt.empty()) one["orcpt"] = text(command.orcpt);
    out.push_back(std::move(one));
  }
  return out;
}

json::object to_json(std::uint64_t number, const Receipt& receipt) {
  json::object out{{"n", number},
                   {"time", iso_time(Clock::system().now())},
                   {"session", receipt.session},
                   {"client", receipt.client},
                   {"helo", text(receipt.helo)},
                   {"esmtp", receipt.esmtp},
                   {"sender", text(mail::to_string(receipt.mail.reverse_path))},
                   {"recipients", recipients(receipt.recipients)},
                   {"parameters", parameters(receipt.mail)},
                   {"transfer", receipt.bdat ? "BDAT" : "DATA"},
                   {"size", receipt.digest->octets()},
                   {"sha256", receipt.digest->whole()},
                   {"sha256_below", receipt.digest->below()},
                   {"received", text(receipt.digest->top_field())},
                   {"received_fields", receipt.received_fields},
                   {"message_id", text(receipt.message_id)}};
  if (receipt.identity != nullptr && receipt.identity->identity()) {
    const load::Identity& said = *receipt.identity->identity();
    out["load"] = json::object{{"run", load::hex(said.run)},
                               {"sequence", said.sequence},
                               {"unchanged", said.digest == receipt.identity->digest()}};
  }
  if (!receipt.user.empty()) out["user"] = text(receipt.user);
  if (receipt.tls != nullptr) {
    out["tls"] = receipt.tls->version;
    out["cipher"] = receipt.tls->cipher;
    out["resumed"] = receipt.tls->resumed;
    out["client_certificate"] = text(receipt.tls->peer_subject);
    out["client_verified"] = receipt.tls->verified;
  }
  if (!receipt.violations.empty()) {
    json::array list;
    for (const auto& violation : receipt.violations) list.push_back(text(violation));
    out["violations"] = std::move(list);
  }
  return out;
}

Result<> write_fully(int fd, std::string_view bytes, const std::string& what) {
  while (!bytes.empty()) {
    const auto wrote = ::write(fd, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return fail(ErrorKind::io, what + ": " + describe_errno(errno));
    bytes.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Recorder>> Recorder::open(const std::string& record_file,
                                                 const std::string& eml_directory) {
  int fd = -1;
  if (!record_file.empty()) {
    fd = ::open(record_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0) return fail(ErrorKind::io, record_file + ": " + describe_errno(errno));
  }
  if (!eml_directory.empty()) {
    std::error_code error;
    std::filesystem::create_directories(eml_directory, error);
    if (error) return fail(ErrorKind::io, eml_directory + ": " + error.message());
  }
  return std::unique_ptr<Recorder>(new Recorder(fd, eml_directory));
}

Recorder::~Recorder() {
  if (fd_ >= 0) ::close(fd_);
}

Result<> Recorder::store_content(std::uint64_t number, const std::string& content) const {
  const std::string path = eml_directory_ + "/" + std::to_string(number) + ".eml";
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return fail(ErrorKind::io, path + ": " + describe_errno(errno));
  auto written = write_fully(fd, content, path);
  ::close(fd);
  return written;
}

void Recorder::keep_journal(std::unique_ptr<load::JournalWriter> journal) {
  journal_ = std::move(journal);
}

void Recorder::note_fault(const std::string& name, bool begins) {
  if (!journal_) return;
  std::string line = "F";
  load::add_field(line,
                  static_cast<std::uint64_t>(Clock::system().now().time_since_epoch().count()));
  load::add_field(line, name);
  load::add_field(line, begins ? std::string_view("begins") : std::string_view("ends"));
  journal_->write(line + "\n");
}

void Recorder::flush() {
  if (journal_) journal_->flush();
}

void Recorder::count(const Arrival& arrival) {
  counters_.messages.fetch_add(1, std::memory_order_relaxed);
  counters_.recipients.fetch_add(arrival.recipients->size(), std::memory_order_relaxed);
  counters_.octets.fetch_add(arrival.octets, std::memory_order_relaxed);
  if (!*arrival.sender) counters_.reports.fetch_add(1, std::memory_order_relaxed);
  if (journal_) add_to_journal(arrival);
}

void Recorder::add_to_journal(const Arrival& arrival) {
  static thread_local std::string line;
  line.clear();
  const auto& said = arrival.identity->identity();
  const auto at = static_cast<std::uint64_t>(Clock::system().now().time_since_epoch().count());
  if (!*arrival.sender) {
    const FailureReport report = read_failure_report(arrival.content);
    if (report.about) {
      line = "B";
      load::add_field(line, load::hex(report.about->run));
      load::add_field(line, report.about->sequence);
      for (const auto& one : report.recipients) load::add_field(line, one);
      line += '\n';
      journal_->write(line);
      return;
    }
  }
  if (said) {
    line = "R";
    load::add_field(line, load::hex(said->run));
    load::add_field(line, said->sequence);
    load::add_field(line, load::hex(said->digest));
    load::add_field(line, load::hex(arrival.identity->digest()));
  } else {
    line = "X";
  }
  load::add_field(line, at);
  load::add_field(line, arrival.octets);
  if (said) load::add_field(line, mail::to_string(*arrival.sender));
  for (const auto& one : *arrival.recipients) {
    load::add_field(line, one.forward_path.to_string());
  }
  line += '\n';
  journal_->write(line);
}

Result<> Recorder::record(const Receipt& receipt) {
  const std::uint64_t number = next_.fetch_add(1, std::memory_order_relaxed);
  if (wants_content() && receipt.content != nullptr) {
    if (auto stored = store_content(number, *receipt.content); !stored) return stored;
  }
  if (fd_ < 0) return {};
  return write_fully(fd_, json::serialize(to_json(number, receipt)) + "\n", "the record file");
}

std::string Recorder::counters_json() const {
  const auto get = [](const std::atomic<std::uint64_t>& n) { return n.load(); };
  return json::serialize(json::object{{"connections", get(counters_.connections)},
                                      {"open_sessions", get(counters_.open_sessions)},
                                      {"handshakes", get(counters_.handshakes)},
                                      {"resumed", get(counters_.resumed)},
                                      {"messages", get(counters_.messages)},
                                      {"recipients", get(counters_.recipients)},
                                      {"octets", get(counters_.octets)},
                                      {"reports", get(counters_.reports)},
                                      {"misdeeds", get(counters_.misdeeds)},
                                      {"violations", get(counters_.violations)}}) +
         "\n";
}

}  // namespace waypost::sink
