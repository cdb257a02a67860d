// The tracking log: one JSON line per event in the life of a message. docs/tracking-log.md
// describes each field.
//
// Owns: the file and its writer thread. write() formats into a buffer and never blocks on the disk;
// lines of one message keep their order. A full disk is reported in the service log once a minute
// and counted, never thrown.
#pragma once

#include "waypost/base/clock.h"
#include "waypost/base/queue_id.h"
#include "waypost/base/result.h"
#include "waypost/ops/line_file.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace waypost::ops {

/// received: acknowledged to the client. routed: one per recipient. delivered, deferred, failed:
/// one per recipient and attempt. reported: a DSN was queued. refused: a recipient or message that
/// was not accepted, or a client. abandoned: the client went away inside the content. requeued:
/// found again after a restart. control: an operator's command, one per message.
enum class TrackingKind : std::uint8_t {
  received,
  routed,
  refused,
  abandoned,
  delivered,
  deferred,
  failed,
  reported,
  held,
  released,
  requeued,
  control
};
std::string_view to_string(TrackingKind kind);

/// Only what is set is written. Views must live until write() returns.
struct TrackingEvent {
  TrackingKind kind = TrackingKind::received;
  WallTime at{};
  QueueId queue_id{};                 // 0: none
  std::string_view message_id;        // as in the header, with angle brackets
  std::string_view sender;            // reverse-path; "<>" when null
  std::string_view rewritten_sender;  // what stood in MAIL FROM instead (SRS)
  std::string_view recipient;         // the original address
  std::string_view target;            // the address that it was rewritten to
  std::string_view next_hop;          // its configured name
  std::string_view remote_host;       // "inbound-smtp.us-east-1.amazonaws.com[192.0.2.1]:25"
  std::string_view client;            // "ex1.corp.example[10.0.0.5]"
  std::string_view tls;               // "TLSv1.3 TLS_AES_128_GCM_SHA256 verified=name"
  std::string_view reply;             // the remote reply, or ours when refusing
  std::string_view status;            // enhanced status "2.6.0"
  std::string_view why;               // the decision in words
  std::string_view wave;
  std::string_view shadow_target;      // routed, of a wave in shadow mode: where it would go
  std::string_view shadow_next_hop;    // and by which next hop
  std::string_view by;                 // control: who did it
  std::string_view action;             // control: the verb
  std::string_view original_queue_id;  // reported: the message that the report is about
  std::uint64_t size = 0;              // octets
  std::uint32_t recipients = 0;
  std::uint32_t attempt = 0;   // 1 for the first
  std::int64_t delay_us = -1;  // since acceptance
  std::int64_t took_us = -1;  // this step: time from last byte to 250, or the length of the attempt
  WallTime next_attempt{};    // deferred
};

struct TrackingOptions {
  std::string path;  // empty: no tracking log
};

class TrackingLog {
 public:
  static Result<std::unique_ptr<TrackingLog>> open(const TrackingOptions& options);
  /// For use(): what can fail, before anything is changed.
  static Result<std::shared_ptr<LineFile>> open_file(const TrackingOptions& options);
  virtual ~TrackingLog() = default;
  virtual void write(const TrackingEvent& event) = 0;
  /// Later lines go to this file: the same name once more (log rotation), another one, or none.
  virtual void use(std::shared_ptr<LineFile> /*file*/) {}
  /// Returns when everything written so far is in the file (not synced). False if that takes longer
  /// than `at_most`: its disk hangs.
  virtual bool flush(std::chrono::milliseconds /*at_most*/) { return true; }
  /// Since the start: the disk was full or did not answer.
  virtual std::uint64_t lines_lost() { return 0; }

  /// Swallows everything; for tests and tools.
  static TrackingLog& none();
};

/// One event as its JSON line without line break. Exposed for tests.
std::string to_json_line(const TrackingEvent& event);
void append_json_line(std::string& out, const TrackingEvent& event);

}  // namespace waypost::ops
