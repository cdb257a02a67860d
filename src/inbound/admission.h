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
#include "inbound/password_queue.h"

#include <condition_variable>
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
  PasswordWorker();
  ~PasswordWorker();
  PasswordWorker(const PasswordWorker&) = delete;
  PasswordWorker& operator=(const PasswordWorker&) = delete;
  /// Suspends until the worker has judged; on `shard`'s thread. `client`: its address. REQUIRES:
  /// `shard` outlives the worker.
  net::Task<PasswordVerdict> verify(net::Shard& shard, std::shared_ptr<const Settings> settings,
                                    std::string client, smtp::Credentials credentials);

 private:
  void submit(PasswordQueue::Job job, SteadyTime now);
  void run();
  std::mutex mutex_;
  std::condition_variable work_;
  PasswordQueue jobs_;
  SteadyTime newest_{};  // when the last job came
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace waypost::inbound
