// What the stand-in has received: one JSON line a message, the bytes as N.eml if asked for,
// counters.
//
// Any thread. A line is in the file (one write() to an O_APPEND descriptor) before the client hears
// 250, so a test that knows of a 250 can read the record.
#pragma once

#include "waypost/base/clock.h"
#include "waypost/base/result.h"
#include "waypost/mail/envelope.h"
#include "waypost/net/tls.h"
#include "waypost/smtp/server_dialogue.h"

#include "load/identity.h"
#include "load/journal.h"
#include "sink/content_digest.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace waypost::sink {

struct Counters {
  std::atomic<std::uint64_t> connections{0}, open_sessions{0}, handshakes{0}, resumed{0};
  std::atomic<std::uint64_t> messages{0}, recipients{0}, octets{0};
  std::atomic<std::uint64_t> misdeeds{0}, violations{0}, reports{0};
};

/// One message as it is recorded.
struct Receipt {
  std::uint64_t session = 0;
  std::string client, helo, user;
  bool esmtp = false, bdat = false;
  const net::TlsInfo* tls = nullptr;  // null: plain text
  smtp::MailCommand mail;
  std::vector<smtp::RcptCommand> recipients;
  std::vector<std::string> violations;  // what the client used though it was not offered
  const ContentDigest* digest = nullptr;
  const std::string* content = nullptr;  // null unless wants_content()
  std::string message_id;
  unsigned received_fields = 0;
  const load::IdentityScan* identity = nullptr;
};

/// What is known of every message, also of those that are only counted.
struct Arrival {
  const mail::ReversePath* sender = nullptr;
  const std::vector<smtp::RcptCommand>* recipients = nullptr;
  const load::IdentityScan* identity = nullptr;
  std::string_view content;  // of a message with the null sender, its beginning; else empty
  std::uint64_t octets = 0;
};

class Recorder {
 public:
  /// `record_file` and `eml_directory` may be empty. ErrorKind::io names what can't be opened.
  static Result<std::unique_ptr<Recorder>> open(const std::string& record_file,
                                                const std::string& eml_directory);
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  /// REQUIRES: nothing is recorded yet.
  void keep_journal(std::unique_ptr<load::JournalWriter> journal);
  bool wants_content() const { return !eml_directory_.empty(); }
  /// False: messages are counted and go into the journal, and that is all.
  bool wants_records() const { return fd_ >= 0 || wants_content(); }
  bool has_journal() const { return journal_ != nullptr; }
  void note_fault(const std::string& name, bool begins);
  void count(const Arrival& arrival);
  Result<> record(const Receipt& receipt);
  void flush();
  Counters& counters() { return counters_; }
  std::string counters_json() const;

 private:
  Recorder(int fd, std::string eml_directory) : fd_(fd), eml_directory_(std::move(eml_directory)) {}
  void add_to_journal(const Arrival& arrival);
  Result<> store_content(std::uint64_t number, const std::string& content) const;
  int fd_;
  std::string eml_directory_;
  std::atomic<std::uint64_t> next_{1};
  Counters counters_;
  std::unique_ptr<load::JournalWriter> journal_;
};

}  // namespace waypost::sink
