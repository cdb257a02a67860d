// One connection to a next hop: a stream, a client dialogue, and the coroutine that moves bytes
// between them.
//
// Used by one attempt at a time; between attempts it lies idle in its deliverer's pool. One shard.
#pragma once

#include "waypost/net/shard.h"
#include "waypost/net/stream.h"
#include "waypost/net/tls.h"
#include "waypost/outbound/next_hop.h"
#include "waypost/smtp/client_dialogue.h"
#include "waypost/spool/spool.h"

#include "outbound/host_plan.h"

#include <memory>
#include <string>
#include <utility>

namespace waypost::outbound {

class Connection {
 public:
  Connection(net::Shard& shard, const NextHopOptions& options,
             std::shared_ptr<const net::TlsContext> tls, smtp::ClientOptions dialogue,
             Candidate candidate);

  /// Greets, secures, authenticates: on success the dialogue is ready. On failure failure_reply()
  /// may have what the server said. `resume`: a TLS session may be offered.
  net::Task<Result<>> open(std::unique_ptr<net::Stream> stream, bool resume = true);
  /// Runs one transaction; the dialogue's outcome() has the replies. An Error: it broke off.
  net::Task<Result<>> run(const smtp::ClientTransaction& transaction,
                          spool::ContentReader& content);
  /// True if open() offered a TLS session: whoever can't resume it may refuse us for that alone.
  bool offered_session() const { return tls_attempt_.offered; }
  /// QUIT without waiting for the answer, where it would be heard; then close.
  void quit();
  void cut();
  /// False if the server has closed or spoken in the meantime.
  bool still_silent();

  const smtp::ClientDialogue& dialogue() const { return dialogue_; }
  const smtp::Reply& failure_reply() const { return dialogue_.failure_reply(); }
  const net::TlsInfo& tls() const { return tls_info_; }
  const Candidate& candidate() const { return candidate_; }
  /// "inbound-smtp.us-east-1.amazonaws.com[192.0.2.1]:25"
  std::string remote_host() const;
  bool reusable() const { return stream_ != nullptr && dialogue_.reusable(); }
  std::uint32_t messages() const { return messages_; }
  /// Bare CR and LF that were made CRLF since the last call.
  std::uint64_t take_repaired_newlines() { return std::exchange(repaired_, 0); }
  net::Deadline& idle_deadline() { return idle_; }
  std::string pool_key;  // the deliverer's: what this connection may be reused for

 private:
  net::Task<Result<smtp::ClientStep>> pump();
  net::Task<Result<>> secure();
  net::Task<Result<>> send_content(spool::ContentReader& content);
  net::Task<Result<>> hear_last_words(Error why);
  Result<> broken(Error error);
  Duration patience() const;
  SteadyTime deadline() const { return shard_.timers.in(patience()); }
  Error at_stage(Error error) const;

  net::Shard& shard_;
  const NextHopOptions& options_;
  std::shared_ptr<const net::TlsContext> tls_context_;
  smtp::ClientDialogue dialogue_;
  Candidate candidate_;
  std::unique_ptr<net::Stream> stream_;
  net::Stream* handshaking_ = nullptr;  // while TLS has the stream
  net::TlsInfo tls_info_;
  net::TlsAttempt tls_attempt_;
  net::Deadline idle_;
  std::string carried_;  // replies read but not consumed yet
  std::uint32_t messages_ = 0;
  std::uint64_t repaired_ = 0;
};

}  // namespace waypost::outbound
