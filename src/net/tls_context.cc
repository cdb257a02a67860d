#include "net/tls_context.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

namespace waypost::net {
namespace {

constexpr const char* kCiphersTls12 =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:"
    "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305";
/// Behind those, for who asks for them: CBC, and RSA key exchange, which has no forward secrecy.
/// RFC 9325 §4.1 is against both; old Windows with an RSA certificate has nothing else.
constexpr const char* kOldCiphersTls12 =
    ":ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES128-SHA256:"
    "ECDHE-RSA-AES256-SHA384:AES128-GCM-SHA256:AES256-GCM-SHA384";
constexpr const char* kCiphersTls13 =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

std::unexpected<Error> problem(std::string text) { return fail(ErrorKind::tls, std::move(text)); }

/// A file that can't be opened is an error of its own; OpenSSL's words for it are no help.
Result<> check_readable(const std::string& what, const std::string& path) {
  struct stat about{};
  if (::stat(path.c_str(), &about) != 0 || ::access(path.c_str(), R_OK) != 0)
    return fail(ErrorKind::io, what + " " + path + ": " + describe_errno(errno));
  if (S_ISDIR(about.st_mode)) return fail(ErrorKind::io, what + " " + path + " is a folder");
  return {};
}

void apply_basics(SSL_CTX* context, TlsMinimum minimum, bool old_ciphers) {
  ::SSL_CTX_set_min_proto_version(context,
                                  minimum == TlsMinimum::tls1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
  const std::string ciphers = std::string(kCiphersTls12) + (old_ciphers ? kOldCiphersTls12 : "");
  ::SSL_CTX_set_cipher_list(context, ciphers.c_str());
  ::SSL_CTX_set_ciphersuites(context, kCiphersTls13);
  ::SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE |
                                     SSL_OP_IGNORE_UNEXPECTED_EOF);
  // Idle sessions hold no record buffers; a write may be repeated from another buffer with the same
  // octets.
  ::SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  ::SSL_CTX_set_read_ahead(context, 1);  // one recv for several records instead of two for each
}

std::optional<WallTime> expiry_of(X509* certificate) {
  std::tm parts{};
  if (::ASN1_TIME_to_tm(::X509_get0_notAfter(certificate), &parts) != 1) return std::nullopt;
  return WallTime(std::chrono::seconds(::timegm(&parts)));
}

Result<> load_pair(SSL_CTX* context, const std::string& chain, const std::string& key) {
  if (auto readable = check_readable("certificate", chain); !readable) return readable;
  if (auto readable = check_readable("key", key); !readable) return readable;
  if (::SSL_CTX_use_certificate_chain_file(context, chain.c_str()) != 1) {
    return problem("certificate " + chain + ": " + openssl_reason() +
                   "; it must be PEM, leaf certificate first");
  }
  if (::SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1) {
    const std::string reason = openssl_reason();
    if (reason.find("mismatch") != std::string::npos) {
      return problem("key " + key + " does not belong to certificate " + chain);
    }
    return problem("key " + key + ": " + reason + "; it must be PEM without a passphrase");
  }
  if (::SSL_CTX_check_private_key(context) != 1) {
    openssl_reason();
    return problem("key " + key + " does not belong to certificate " + chain);
  }
  return {};
}

int accept_any_certificate(int, X509_STORE_CTX*) { return 1; }

int on_new_session(SSL* ssl, SSL_SESSION* session);

}  // namespace

std::string openssl_reason() {
  const unsigned long code = ::ERR_get_error();
  ::ERR_clear_error();
  if (code == 0) return "no reason given";
  const char* reason = ::ERR_reason_error_string(code);
  if (reason != nullptr) return reason;
  char text[256];
  ::ERR_error_string_n(code, text, sizeof text);
  return text;
}

void TlsContextImpl::keep_session(const std::string& key, SSL_SESSION* session) const {
  // A copy: the connection goes on changing its own, and ours may be used by another thread.
  SessionPtr copy(::SSL_SESSION_dup(session));
  if (!copy) return;
  const std::lock_guard lock(mutex_);
  if (const auto refused = refusals_.find(key);
      refused != refusals_.end() && refused->second >= kMostRefusals)
    return;
  if (sessions_.size() >= kKeys && !sessions_.contains(key)) sessions_.erase(sessions_.begin());
  auto& kept = sessions_[key];
  if (kept.size() >= kSessionsPerKey) kept.erase(kept.begin());
  kept.push_back(std::move(copy));
}

SessionPtr TlsContextImpl::take_session(const std::string& key) const {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(key);
  if (found == sessions_.end()) return nullptr;
  auto& kept = found->second;
  // Before TLS 1.3 a session may be used again and again, and servers seldom send a new one.
  if (::SSL_SESSION_get_protocol_version(kept.back().get()) < TLS1_3_VERSION) {
    return SessionPtr(::SSL_SESSION_dup(kept.back().get()));
  }
  SessionPtr session = std::move(kept.back());
  kept.pop_back();
  if (kept.empty()) sessions_.erase(found);
  return session;
}

void TlsContextImpl::forget_sessions(const std::string& key) const {
  const std::lock_guard lock(mutex_);
  sessions_.erase(key);
}

void TlsContextImpl::note_resumption(const std::string& key, bool worked) const {
  const std::lock_guard lock(mutex_);
  if (worked) {
    refusals_.erase(key);
    return;
  }
  if (refusals_.size() >= kKeys && !refusals_.contains(key)) refusals_.erase(refusals_.begin());
  if (++refusals_[key] >= kMostRefusals) sessions_.erase(key);
}

Result<std::shared_ptr<const TlsContext>> TlsContext::for_server(const ServerTlsOptions& options) {
  SslCtxPtr raw(::SSL_CTX_new(::TLS_server_method()));
  if (!raw) return problem("TLS can't be started: " + openssl_reason());
  apply_basics(raw.get(), options.minimum, options.old_ciphers);
  ::SSL_CTX_set_num_tickets(raw.get(), 1);
  static constexpr unsigned char kSessionContext[] = "waypost";
  ::SSL_CTX_set_session_id_context(raw.get(), kSessionContext, sizeof kSessionContext - 1);
  ::SSL_CTX_set_session_cache_mode(raw.get(), SSL_SESS_CACHE_OFF);  // tickets carry the state
  if (options.certificates.empty()) return problem("no certificate is configured");
  std::optional<WallTime> expiry;
  for (const auto& pair : options.certificates) {
    if (auto loaded = load_pair(raw.get(), pair.chain_file, pair.key_file); !loaded)
      return fail(loaded.error());
    const auto until = expiry_of(::SSL_CTX_get0_certificate(raw.get()));
    if (until && (!expiry || *until < *expiry)) expiry = until;
  }
  if (!options.client_ca_file.empty()) {
    if (auto readable = check_readable("client CA file", options.client_ca_file); !readable)
      return fail(readable.error());
    if (::SSL_CTX_load_verify_locations(raw.get(), options.client_ca_file.c_str(), nullptr) != 1) {
      return problem("client CA file " + options.client_ca_file + ": " + openssl_reason());
    }
    ::SSL_CTX_set_client_CA_list(raw.get(),
                                 ::SSL_load_client_CA_file(options.client_ca_file.c_str()));
    // The session decides about the result: a client without a good certificate may still have a
    // good address.
    ::SSL_CTX_set_verify(raw.get(), SSL_VERIFY_PEER, &accept_any_certificate);
  }
  auto made = std::make_shared<TlsContextImpl>(std::move(raw), ClientTlsOptions{},
                                               options.require_client_certificate);
  if (expiry) made->note_expiry(*expiry);
  return std::shared_ptr<const TlsContext>(std::move(made));
}

Result<std::shared_ptr<const TlsContext>> TlsContext::for_client(const ClientTlsOptions& options) {
  SslCtxPtr raw(::SSL_CTX_new(::TLS_client_method()));
  if (!raw) return problem("TLS can't be started: " + openssl_reason());
  apply_basics(raw.get(), options.minimum, options.old_ciphers);
  if (options.ca_file.empty()) {
    ::SSL_CTX_set_default_verify_paths(raw.get());
  } else {
    if (auto readable = check_readable("CA file", options.ca_file); !readable)
      return fail(readable.error());
    if (::SSL_CTX_load_verify_locations(raw.get(), options.ca_file.c_str(), nullptr) != 1) {
      return problem("CA file " + options.ca_file + ": " + openssl_reason());
    }
  }
  if (!options.client_chain_file.empty()) {
    auto loaded = load_pair(raw.get(), options.client_chain_file, options.client_key_file);
    if (!loaded) return fail(loaded.error());
  }
  // Verified after the handshake and before any octet of ours, so that the message can say what is
  // wrong.
  ::SSL_CTX_set_verify(raw.get(), SSL_VERIFY_NONE, nullptr);
  ::SSL_CTX_set_session_cache_mode(raw.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  ::SSL_CTX_sess_set_new_cb(raw.get(), &on_new_session);
  std::optional<WallTime> expiry;
  if (!options.client_chain_file.empty()) expiry = expiry_of(::SSL_CTX_get0_certificate(raw.get()));
  auto made = std::make_shared<TlsContextImpl>(std::move(raw), options, false);
  if (expiry) made->note_expiry(*expiry);
  return std::shared_ptr<const TlsContext>(std::move(made));
}

namespace {

/// The SSL's application data is the key under which its sessions are kept; the context is found
/// through it.
int on_new_session(SSL* ssl, SSL_SESSION* session) {
  const auto* owner =
      static_cast<const std::pair<const TlsContextImpl*, std::string>*>(SSL_get_app_data(ssl));
  if (owner == nullptr || owner->second.empty()) return 0;
  owner->first->keep_session(owner->second, session);
  return 0;  // the reference stays OpenSSL's
}

}  // namespace

}  // namespace waypost::net
