// What TlsStream needs to know of a context.
#pragma once

#include "waypost/net/tls.h"

#include <openssl/ssl.h>

#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace waypost::net {

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using SslCtxPtr = std::unique_ptr<SSL_CTX, Freed<SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, Freed<SSL_free>>;
using SessionPtr = std::unique_ptr<SSL_SESSION, Freed<SSL_SESSION_free>>;
using X509Ptr = std::unique_ptr<X509, Freed<X509_free>>;

/// The oldest error of OpenSSL's queue in words; empties the queue.
std::string openssl_reason();

class TlsContextImpl final : public TlsContext {
 public:
  TlsContextImpl(SslCtxPtr context, ClientTlsOptions client, bool require_client_certificate)
      : context_(std::move(context)),
        client_(std::move(client)),
        require_client_(require_client_certificate) {}
  std::optional<WallTime> expires_at() const override { return expires_at_; }
  void note_expiry(WallTime at) {
    if (!expires_at_ || at < *expires_at_) expires_at_ = at;
  }
  SSL_CTX* raw() const { return context_.get(); }
  const ClientTlsOptions& client() const { return client_; }
  bool requires_client_certificate() const { return require_client_; }

  /// Sessions of our client side, a few per key; those of TLS 1.3 are used once (RFC 8446 appendix
  /// C.4). Any thread.
  void keep_session(const std::string& key, SSL_SESSION* session) const;
  SessionPtr take_session(const std::string& key) const;
  void forget_sessions(const std::string& key) const;
  /// Whether the peer resumes. After kMostRefusals in a row its sessions are not kept any more, for
  /// each costs a connection.
  void note_resumption(const std::string& key, bool worked) const;

 private:
  static constexpr std::size_t kSessionsPerKey = 4, kKeys = 1000;
  static constexpr unsigned kMostRefusals = 3;
  SslCtxPtr context_;
  ClientTlsOptions client_;
  bool require_client_;
  std::optional<WallTime> expires_at_;
  mutable std::mutex mutex_;  // taken once per handshake
  mutable std::map<std::string, std::vector<SessionPtr>> sessions_;
  mutable std::map<std::string, unsigned> refusals_;  // of resumption, in a row
};

}  // namespace waypost::net
