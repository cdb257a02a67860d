// TLS on OpenSSL 3: contexts, policy, handshakes.
//
// TlsContext: immutable, shared by shards (std::shared_ptr); reload makes a new one, running
// sessions keep the old. The policy of a next hop (verify, require ...) is here, because the check
// of a certificate against names is. TLS 1.2 and above; ECDSA before RSA; session resumption on
// both sides; read buffers are released while idle.
#pragma once

#include "waypost/base/result.h"
#include "waypost/net/stream.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace waypost::net {

enum class TlsMinimum : std::uint8_t { tls1_2, tls1_3 };

struct ServerTlsOptions {
  struct CertificatePair {
    std::string chain_file;  // PEM, leaf first
    std::string key_file;
  };
  std::vector<CertificatePair> certificates;  // e.g. one ECDSA, one RSA
  TlsMinimum minimum = TlsMinimum::tls1_2;
  bool old_ciphers = false;    // TLS 1.2 with CBC or without forward secrecy (RFC 9325 §4.1)
  std::string client_ca_file;  // set: ask clients for a certificate and check it against these CAs
  bool require_client_certificate = false;
};

/// How a next hop is to be protected (Postfix's words where they exist).
enum class TlsPolicy : std::uint8_t {
  verify,         // STARTTLS must succeed, chain and name must check
  require,        // STARTTLS must succeed, certificate is not checked
  opportunistic,  // STARTTLS if offered; plain text else
  none,           // never
};
std::string_view to_string(TlsPolicy policy);

struct ClientTlsOptions {
  TlsPolicy policy = TlsPolicy::verify;
  std::string ca_file;             // empty: the system's store
  std::vector<std::string> names;  // accepted certificate names ("*.example.com" and ".example.com"
                                   // allowed); empty: the name of the host that was connected to
  std::string client_chain_file, client_key_file;
  TlsMinimum minimum = TlsMinimum::tls1_2;
  bool old_ciphers = false;
};

/// What was negotiated, for Received, tracking and decisions.
struct TlsInfo {
  std::string version;  // "TLSv1.3"
  std::string cipher;   // "TLS_AES_256_GCM_SHA384"
  bool resumed = false;
  bool verified = false;                // chain and (client side) name were checked and are good
  std::string peer_subject;             // printable; empty: no certificate
  std::string peer_name;                // client side: the certificate name that matched
  std::vector<std::string> peer_names;  // DNS names of the certificate, and its common name
  std::string peer_fingerprint;         // SHA-256 of the certificate, lower-case hex
  std::string verify_error;  // why not verified, in OpenSSL's words and with the names that the
                             // certificate has
};

class TlsContext {
 public:
  static Result<std::shared_ptr<const TlsContext>> for_server(const ServerTlsOptions& options);
  static Result<std::shared_ptr<const TlsContext>> for_client(const ClientTlsOptions& options);
  virtual ~TlsContext() = default;
  /// Earliest notAfter of our own certificates, for metrics and `check`.
  virtual std::optional<WallTime> expires_at() const = 0;
};

class TlsStream : public Stream {
 public:
  virtual const TlsInfo& tls() const = 0;
};

/// Server handshake over `stream` (ownership passes). ErrorKind::tls says what the peer did.
Task<Result<std::unique_ptr<TlsStream>>> tls_accept(std::unique_ptr<Stream> stream,
                                                    std::shared_ptr<const TlsContext> context,
                                                    SteadyTime deadline);
/// What a client wants of one handshake besides its context, and what came of it.
struct TlsAttempt {
  bool may_resume = true;  // false: a full handshake, because offering a session failed
  std::string_view farewell =
      {};                // said to a peer that is not trusted, before closing (RFC 3207 §4.1)
  bool offered = false;  // set: a session was offered
};
/// Client handshake. `host`: SNI and, if the context names none, the name to check. `session_key`:
/// sessions are resumed among connections with the same key (next hop, host, port). With
/// TlsPolicy::verify an unverified peer is ErrorKind::tls before any application byte but the
/// farewell is sent. A key whose peer refuses resumption again and again is offered none any more.
Task<Result<std::unique_ptr<TlsStream>>> tls_connect(std::unique_ptr<Stream> stream,
                                                     std::shared_ptr<const TlsContext> context,
                                                     std::string host, std::string session_key,
                                                     SteadyTime deadline,
                                                     TlsAttempt* attempt = nullptr);

}  // namespace waypost::net
