#include "net/host_name.h"
#include "net/peer_certificate.h"
#include "net/tls_context.h"

#include <openssl/bio.h>
#include <openssl/err.h>

#include <arpa/inet.h>

#include <cstring>

namespace waypost::net {

std::string_view to_string(TlsPolicy policy) {
  switch (policy) {
    case TlsPolicy::verify:
      return "verify";
    case TlsPolicy::require:
      return "require";
    case TlsPolicy::opportunistic:
      return "opportunistic";
    case TlsPolicy::none:
      return "none";
  }
  return "unknown";
}

namespace {

constexpr std::size_t kRecord = 16 * 1024;

/// "[IPv6:2001:db8::1]" and "mail.example.com." as certificates write them.
std::string bare_host(std::string host) {
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
    if (host.size() > 5 && ::strncasecmp(host.c_str(), "ipv6:", 5) == 0) host.erase(0, 5);
  }
  if (host.size() > 1 && host.back() == '.') host.pop_back();
  return host;
}

// OpenSSL reads and writes any Stream through this BIO.
Stream& stream_of(BIO* bio) { return *static_cast<Stream*>(::BIO_get_data(bio)); }

int bio_read(BIO* bio, char* into, std::size_t size, std::size_t* done) {
  ::BIO_clear_retry_flags(bio);
  const IoCount count = stream_of(bio).try_read({into, size});
  *done = count.octets;
  if (count.state == IoState::done) return 1;
  if (count.state == IoState::want_read) ::BIO_set_retry_read(bio);
  if (count.state == IoState::end_of_stream) ::BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  return 0;
}

int bio_write(BIO* bio, const char* bytes, std::size_t size, std::size_t* done) {
  ::BIO_clear_retry_flags(bio);
  const iovec one{const_cast<char*>(bytes), size};
  const IoCount count = stream_of(bio).try_write({&one, 1});
  *done = count.octets;
  if (count.state == IoState::done) return 1;
  if (count.state == IoState::want_write) ::BIO_set_retry_write(bio);
  return 0;
}

long bio_control(BIO* bio, int command, long, void*) {
  if (command == BIO_CTRL_FLUSH) return 1;
  if (command == BIO_CTRL_EOF) return ::BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
  return 0;
}

const BIO_METHOD* stream_bio() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* made = ::BIO_meth_new(::BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
    ::BIO_meth_set_read_ex(made, &bio_read);
    ::BIO_meth_set_write_ex(made, &bio_write);
    ::BIO_meth_set_ctrl(made, &bio_control);
    return made;
  }();
  return method;
}

class TlsStreamImpl final : public TlsStream {
 public:
  TlsStreamImpl(std::unique_ptr<Stream> inner, std::shared_ptr<const TlsContextImpl> context)
      : inner_(std::move(inner)), context_(std::move(context)), ssl_(::SSL_new(context_->raw())) {
    BIO* bio = ::BIO_new(stream_bio());
    ::BIO_set_data(bio, inner_.get());
    ::BIO_set_init(bio, 1);
    ::SSL_set_bio(ssl_.get(), bio, bio);
  }
  ~TlsStreamImpl() override { close(); }

  void prepare_accept() { ::SSL_set_accept_state(ssl_.get()); }
  /// True if a session is offered.
  bool prepare_connect(const std::string& host, std::string session_key, bool may_resume);
  Task<Result<>> handshake(SteadyTime deadline);
  Result<> judge_server_peer();
  Result<> judge_client_peer();
  void forget_sessions() const { context_->forget_sessions(session_owner_.second); }
  /// The handshake has succeeded: what that tells of resumption.
  void note_resumption(bool was_refused) const {
    if (info_.resumed || was_refused)
      context_->note_resumption(session_owner_.second, info_.resumed);
  }

  IoCount try_read(std::span<char> into) override {
    ::ERR_clear_error();
    std::size_t done = 0;
    const int ok = ::SSL_read_ex(ssl_.get(), into.data(), into.size(), &done);
    return ok == 1 ? IoCount{IoState::done, done} : explain(0);
  }
  IoCount try_peek(std::span<char> into) override {
    ::ERR_clear_error();
    std::size_t done = 0;
    const int ok = ::SSL_peek_ex(ssl_.get(), into.data(), into.size(), &done);
    return ok == 1 ? IoCount{IoState::done, done} : explain(0);
  }
  IoCount try_write(std::span<const iovec> list) override {
    ::ERR_clear_error();
    static thread_local char gathered[kRecord];
    const char* bytes = nullptr;
    std::size_t size = 0;
    if (!list.empty() && (list.size() == 1 || list.front().iov_len >= kRecord)) {
      bytes = static_cast<const char*>(list.front().iov_base);
      size = list.front().iov_len;
    } else {
      for (const iovec& entry : list) {  // small pieces become one record and one send
        const std::size_t n = std::min(entry.iov_len, kRecord - size);
        std::memcpy(gathered + size, entry.iov_base, n);
        size += n;
        if (size == kRecord) break;
      }
      bytes = gathered;
    }
    if (size == 0) return {IoState::want_write, 0};
    std::size_t done = 0;
    const int ok = ::SSL_write_ex(ssl_.get(), bytes, size, &done);
    return ok == 1 ? IoCount{IoState::done, done} : explain(0);
  }
  Task<Result<>> wait_readable(SteadyTime deadline) override {
    return inner_->wait_readable(deadline);
  }
  Task<Result<>> wait_writable(SteadyTime deadline) override {
    return inner_->wait_writable(deadline);
  }
  Error last_error() const override { return error_; }
  void close() override {
    if (closed_) return;
    closed_ = true;
    ::ERR_clear_error();
    if (!broken_ && ::SSL_is_init_finished(ssl_.get()) == 1) ::SSL_shutdown(ssl_.get());
    ::ERR_clear_error();
    error_ = {ErrorKind::cancelled, "the connection was closed by us"};
    inner_->close();
  }
  const Endpoint& remote() const override { return inner_->remote(); }
  const Endpoint& local() const override { return inner_->local(); }
  /// The beginning of a record in the read-ahead buffer is nothing that could be read yet.
  bool has_buffered() const override {
    if (::SSL_has_pending(ssl_.get()) == 0) return inner_->has_buffered();
    if (::SSL_pending(ssl_.get()) > 0) return true;
    ::ERR_clear_error();
    char one = 0;
    std::size_t done = 0;
    if (::SSL_peek_ex(ssl_.get(), &one, 1, &done) == 1) return true;
    return explain(0).state != IoState::want_read;  // the next read tells the failure
  }
  bool drained() const override { return ::SSL_has_pending(ssl_.get()) == 0 && inner_->drained(); }
  const TlsInfo& tls() const override { return info_; }

 private:
  IoCount explain(int result) const;
  void fill_info();
  bool check_names(X509& certificate);

  std::unique_ptr<Stream> inner_;
  std::shared_ptr<const TlsContextImpl> context_;
  std::pair<const TlsContextImpl*, std::string> session_owner_{nullptr, ""};
  SslPtr ssl_;  // after session_owner_: a late callback may look at it
  TlsInfo info_;
  std::string host_;
  mutable Error error_;  // has_buffered() may be the one that meets the failure
  mutable bool broken_ = false;
  bool closed_ = false;
};

IoCount TlsStreamImpl::explain(int result) const {
  switch (::SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return {IoState::want_read, 0};
    case SSL_ERROR_WANT_WRITE:
      return {IoState::want_write, 0};
    case SSL_ERROR_ZERO_RETURN:
      return {IoState::end_of_stream, 0};
    case SSL_ERROR_SYSCALL:
      if (std::exchange(broken_, true)) return {IoState::failed, 0};  // the first reason counts
      error_ = inner_->last_error();
      if (error_.message.empty()) error_ = {ErrorKind::closed, "the peer closed the connection"};
      return {IoState::failed, 0};
    default:
      if (std::exchange(broken_, true)) return {IoState::failed, 0};
      error_ = {ErrorKind::tls,
                "TLS with " + inner_->remote().to_string() + ": " + openssl_reason()};
      return {IoState::failed, 0};
  }
}

Task<Result<>> TlsStreamImpl::handshake(SteadyTime deadline) {
  for (;;) {
    ::ERR_clear_error();
    const int ok = ::SSL_do_handshake(ssl_.get());
    if (ok == 1) break;
    const IoCount count = explain(ok);
    Result<> ready;
    if (count.state == IoState::want_read) {
      ready = co_await inner_->wait_readable(deadline);
    } else if (count.state == IoState::want_write) {
      ready = co_await inner_->wait_writable(deadline);
    } else if (error_.kind == ErrorKind::tls) {
      co_return fail(error_);
    } else {
      const std::string reason =
          error_.message.empty() ? "the peer closed the connection" : error_.message;
      co_return fail(ErrorKind::tls,
                     "TLS handshake with " + inner_->remote().to_string() + ": " + reason);
    }
    if (!ready) {
      const std::string reason = ready.error().message;
      co_return fail(
          ready.error().kind == ErrorKind::cancelled ? ErrorKind::cancelled : ErrorKind::tls,
          "TLS handshake with " + inner_->remote().to_string() + ": " + reason);
    }
  }
  fill_info();
  co_return Result<>();
}

bool TlsStreamImpl::prepare_connect(const std::string& host, std::string session_key,
                                    bool may_resume) {
  SSL* ssl = ssl_.get();
  ::SSL_set_connect_state(ssl);
  host_ = bare_host(host);
  if (auto ascii = ascii_host_name(host_)) host_ = std::move(*ascii);
  unsigned char address[16];
  const bool is_ip = ::inet_pton(AF_INET, host_.c_str(), address) == 1 ||
                     ::inet_pton(AF_INET6, host_.c_str(), address) == 1;
  if (!is_ip && !host_.empty()) SSL_set_tlsext_host_name(ssl, host_.c_str());  // RFC 6066 §3
  session_owner_ = {context_.get(), std::move(session_key)};
  SSL_set_app_data(ssl, &session_owner_);
  if (session_owner_.second.empty() || !may_resume) return false;
  const SessionPtr session = context_->take_session(session_owner_.second);
  if (session) ::SSL_set_session(ssl, session.get());
  return session != nullptr;
}

/// Leaves in verify_error why the peer can't be trusted. A resumed session carries the certificate
/// and the verdict of its first handshake, so nobody is verified by resuming alone.
void TlsStreamImpl::fill_info() {
  SSL* ssl = ssl_.get();
  info_.version = ::SSL_get_version(ssl);
  info_.cipher = ::SSL_get_cipher_name(ssl);
  info_.resumed = ::SSL_session_reused(ssl) == 1;
  const X509Ptr certificate(::SSL_get1_peer_certificate(ssl));
  if (!certificate) return;
  PeerCertificate about = describe_certificate(*certificate);
  const long verdict = ::SSL_get_verify_result(ssl);
  if (verdict != X509_V_OK) {
    info_.verify_error = ::X509_verify_cert_error_string(verdict);
    if (verdict == X509_V_ERR_CERT_HAS_EXPIRED) {
      info_.verify_error += " on " + about.not_after;
    } else if (verdict == X509_V_ERR_CERT_NOT_YET_VALID) {
      info_.verify_error += " before " + about.not_before;
    } else {
      info_.verify_error += "; its issuer is " + about.issuer;
    }
  } else if (::SSL_is_server(ssl) == 0 && !check_names(*certificate)) {
    std::string expected;
    for (const auto& name : context_->client().names)
      expected += (expected.empty() ? "" : ", ") + name;
    if (expected.empty()) expected = host_;
    info_.verify_error = about.has_alternative_names
                             ? "hostname mismatch: it is for " + about.names_text
                             : "hostname mismatch: it has no subject alternative names, and its "
                               "subject " +
                                   (about.subject.empty() ? "(empty)" : about.subject) +
                                   " does not count (RFC 9525); it needs a DNS name";
    info_.verify_error += ", expected was " + expected;
  } else {
    info_.verified = true;
  }
  info_.peer_subject = std::move(about.subject);
  info_.peer_names = std::move(about.names);
  info_.peer_fingerprint = std::move(about.fingerprint);
}

bool TlsStreamImpl::check_names(X509& certificate) {
  const auto& configured = context_->client().names;
  const auto name = configured.empty() ? matching_name(certificate, {host_})
                                       : matching_name(certificate, configured);
  if (name) info_.peer_name = *name;
  return name.has_value();
}

Result<> TlsStreamImpl::judge_server_peer() {
  if (info_.verified) return {};
  if (info_.verify_error.empty()) info_.verify_error = "the server showed no certificate";
  if (context_->client().policy != TlsPolicy::verify) return {};
  forget_sessions();  // a server that gets a better certificate is looked at anew
  return fail(ErrorKind::tls, "TLS: the certificate of " + inner_->remote().to_string() +
                                  " is not trusted: " + info_.verify_error);
}

Result<> TlsStreamImpl::judge_client_peer() {
  if (!context_->requires_client_certificate() || info_.verified) return {};
  return fail(ErrorKind::tls,
              info_.peer_fingerprint.empty()
                  ? "the client showed no certificate, but one is required"
                  : "the client's certificate is not trusted: " + info_.verify_error);
}

}  // namespace

Task<Result<std::unique_ptr<TlsStream>>> tls_accept(std::unique_ptr<Stream> stream,
                                                    std::shared_ptr<const TlsContext> context,
                                                    SteadyTime deadline) {
  auto tls = std::make_unique<TlsStreamImpl>(
      std::move(stream), std::static_pointer_cast<const TlsContextImpl>(std::move(context)));
  tls->prepare_accept();
  auto shaken = co_await tls->handshake(deadline);
  if (!shaken) co_return fail(std::move(shaken).error());
  auto judged = tls->judge_client_peer();
  if (!judged) co_return fail(std::move(judged).error());
  co_return std::unique_ptr<TlsStream>(std::move(tls));
}

Task<Result<std::unique_ptr<TlsStream>>> tls_connect(std::unique_ptr<Stream> stream,
                                                     std::shared_ptr<const TlsContext> context,
                                                     std::string host, std::string session_key,
                                                     SteadyTime deadline, TlsAttempt* attempt) {
  auto tls = std::make_unique<TlsStreamImpl>(
      std::move(stream), std::static_pointer_cast<const TlsContextImpl>(std::move(context)));
  const bool may_resume = attempt == nullptr || attempt->may_resume;
  const bool offered = tls->prepare_connect(host, std::move(session_key), may_resume);
  if (attempt != nullptr) attempt->offered = offered;
  auto shaken = co_await tls->handshake(deadline);
  if (!shaken) {
    tls->forget_sessions();
    co_return fail(std::move(shaken).error());
  }
  tls->note_resumption(!may_resume);
  auto judged = tls->judge_server_peer();
  if (!judged) {
    if (attempt != nullptr && !attempt->farewell.empty()) {
      const iovec one{const_cast<char*>(attempt->farewell.data()), attempt->farewell.size()};
      tls->try_write({&one, 1});
    }
    co_return fail(std::move(judged).error());
  }
  co_return std::unique_ptr<TlsStream>(std::move(tls));
}

}  // namespace waypost::net
