// Who may relay: by network, by password, by client certificate.
//
// Settings: an immutable snapshot of everything that a reload may change; sessions keep the one
// they began with. PasswordWorker: verifies on a thread of its own, because a good hash takes its
// time.
#pragma once

#include "waypost/inbound/options.h"
#include "waypost/inbound/passwords.h"
#include "waypost/net/shard.h"
#include "waypost/net/tls.h"
#include "waypost/smtp/server_dialogue.h"

#include "inbound/network_set.h"

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace waypost::inbound {

struct Settings {
  Options options;
  NetworkSet networks;
  std::vector<NetworkSet> proxies;  // one per listener
  PasswordHashes passwords;
  std::shared_ptr<const net::TlsContext> tls;  // null: no certificate configured

  /// ErrorKind says which file or value is wrong.
  static Result<std::shared_ptr<const Settings>> load(Options options);
  bool has_passwords() const { return !passwords.empty(); }
  bool may_authenticate() const {
    return has_passwords() || !options.admission.client_certificate_names.empty();
  }
  /// True if the verified certificate's name or fingerprint is one of those that may relay.
  bool admits_certificate(const net::TlsInfo& tls_info) const;
};

enum class PasswordVerdict : std::uint8_t {
  good,
  bad,
  busy,  // not judged: too many wait, or we are shutting down
};

class PasswordWorker {
 public:
  /// Judgements that may wait: some seconds' worth of hashing.
  static constexpr std::size_t kMostWaiting = 64;
  PasswordWorker();
  ~PasswordWorker();
  PasswordWorker(const PasswordWorker&) = delete;
  PasswordWorker& operator=(const PasswordWorker&) = delete;
  /// Suspends until the worker has judged; on `shard`'s thread. REQUIRES: `shard` outlives the
  /// worker.
  net::Task<PasswordVerdict> verify(net::Shard& shard, std::shared_ptr<const Settings> settings,
                                    smtp::Credentials credentials);

 private:
  bool submit(std::function<void()> job);
  void run();
  std::mutex mutex_;
  std::condition_variable work_;
  std::deque<std::function<void()>> jobs_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace waypost::inbound
