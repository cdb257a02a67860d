#include "net/tls_context.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

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

std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 512)) {
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? '?' : c;
  }
  return out;
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
  Result<> prepare_connect(const std::string& host, std::string session_key);
  Task<Result<>> handshake(SteadyTime deadline);
  Result<> judge_server_peer();
  Result<> judge_client_peer();
  void remember_expected(std::string names) { expected_ = std::move(names); }

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
  bool has_buffered() const override { return ::SSL_has_pending(ssl_.get()) == 1; }
  const TlsInfo& tls() const override { return info_; }

 private:
  IoCount explain(int result);
  void fill_info();
  void read_peer_certificate();

  std::unique_ptr<Stream> inner_;
  std::shared_ptr<const TlsContextImpl> context_;
  std::pair<const TlsContextImpl*, std::string> session_owner_{nullptr, ""};
  SslPtr ssl_;  // after session_owner_: a late callback may look at it
  TlsInfo info_;
  std::string expected_, certificate_names_, issuer_, not_after_;
  Error error_;
  bool closed_ = false, broken_ = false;
};

IoCount TlsStreamImpl::explain(int result) {
  switch (::SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return {IoState::want_read, 0};
    case SSL_ERROR_WANT_WRITE:
      return {IoState::want_write, 0};
    case SSL_ERROR_ZERO_RETURN:
      return {IoState::end_of_stream, 0};
    case SSL_ERROR_SYSCALL:
      broken_ = true;
      error_ = inner_->last_error();
      if (error_.message.empty()) error_ = {ErrorKind::closed, "the peer closed the connection"};
      return {IoState::failed, 0};
    default:
      broken_ = true;
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

Result<> TlsStreamImpl::prepare_connect(const std::string& host, std::string session_key) {
  SSL* ssl = ssl_.get();
  ::SSL_set_connect_state(ssl);
  unsigned char address[16];
  const bool is_ip = ::inet_pton(AF_INET, host.c_str(), address) == 1 ||
                     ::inet_pton(AF_INET6, host.c_str(), address) == 1;
  if (!is_ip && !host.empty()) SSL_set_tlsext_host_name(ssl, host.c_str());
  X509_VERIFY_PARAM* parameters = ::SSL_get0_param(ssl);
  ::X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  std::vector<std::string> names = context_->client().names;
  if (names.empty()) names.push_back(host);
  std::string expected;
  for (std::string name : names) {
    expected += (expected.empty() ? "" : ", ") + name;
    if (name.starts_with("*.")) name.erase(0, 1);  // ".example.com" is OpenSSL's word for it
    if (::inet_pton(AF_INET, name.c_str(), address) == 1 ||
        ::inet_pton(AF_INET6, name.c_str(), address) == 1) {
      ::X509_VERIFY_PARAM_set1_ip_asc(parameters, name.c_str());
    } else if (::X509_VERIFY_PARAM_add1_host(parameters, name.c_str(), 0) != 1) {
      return fail(ErrorKind::tls, "'" + name + "' is no certificate name");
    }
  }
  expected_ = expected;
  session_owner_ = {context_.get(), std::move(session_key)};
  SSL_set_app_data(ssl, &session_owner_);
  if (const SessionPtr session = context_->take_session(session_owner_.second))
    ::SSL_set_session(ssl, session.get());
  return {};
}

void TlsStreamImpl::fill_info() {
  SSL* ssl = ssl_.get();
  info_.version = ::SSL_get_version(ssl);
  info_.cipher = ::SSL_get_cipher_name(ssl);
  info_.resumed = ::SSL_session_reused(ssl) == 1;
  read_peer_certificate();
  const long verdict = ::SSL_get_verify_result(ssl);
  const bool has_certificate = !info_.peer_fingerprint.empty() || info_.resumed;
  info_.verified = verdict == X509_V_OK && has_certificate;
  if (const char* name = ::SSL_get0_peername(ssl); name != nullptr)
    info_.peer_name = printable(name);
  if (verdict != X509_V_OK) info_.verify_error = ::X509_verify_cert_error_string(verdict);
}

void TlsStreamImpl::read_peer_certificate() {
  const X509Ptr certificate(::SSL_get1_peer_certificate(ssl_.get()));
  if (!certificate) return;
  char text[512] = {};
  ::X509_NAME_oneline(::X509_get_subject_name(certificate.get()), text, sizeof text);
  info_.peer_subject = printable(text);
  ::X509_NAME_oneline(::X509_get_issuer_name(certificate.get()), text, sizeof text);
  issuer_ = printable(text);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  ::X509_digest(certificate.get(), ::EVP_sha256(), digest, &size);
  static constexpr char hex[] = "0123456789abcdef";
  for (unsigned i = 0; i < size; ++i) {
    info_.peer_fingerprint += hex[digest[i] >> 4];
    info_.peer_fingerprint += hex[digest[i] & 15];
  }
  const std::unique_ptr<GENERAL_NAMES, Freed<GENERAL_NAMES_free>> names(static_cast<GENERAL_NAMES*>(
      ::X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()) && certificate_names_.size() < 400;
       ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_DNS) continue;
    const std::string_view value(
        reinterpret_cast<const char*>(::ASN1_STRING_get0_data(name->d.dNSName)),
        static_cast<std::size_t>(::ASN1_STRING_length(name->d.dNSName)));
    info_.peer_names.push_back(printable(value));
    certificate_names_ += (certificate_names_.empty() ? "" : ", ") + printable(value);
  }
  if (::X509_NAME_get_text_by_NID(::X509_get_subject_name(certificate.get()), NID_commonName, text,
                                  sizeof text) > 0) {
    info_.peer_names.push_back(printable(text));
  }
  std::tm parts{};
  if (::ASN1_TIME_to_tm(::X509_get0_notAfter(certificate.get()), &parts) == 1) {
    ::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &parts);
    not_after_ = text;
  }
}

Result<> TlsStreamImpl::judge_server_peer() {
  if (info_.verified) return {};
  std::string why =
      info_.verify_error.empty() ? "the server showed no certificate" : info_.verify_error;
  const long verdict = ::SSL_get_verify_result(ssl_.get());
  if (verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH) {
    why += ": it is for " + (certificate_names_.empty() ? info_.peer_subject : certificate_names_) +
           ", expected was " + expected_;
  } else if (verdict == X509_V_ERR_CERT_HAS_EXPIRED) {
    why += " on " + not_after_;
  } else if (!issuer_.empty()) {
    why += "; its issuer is " + issuer_;
  }
  info_.verify_error = why;
  if (context_->client().policy != TlsPolicy::verify) return {};
  return fail(ErrorKind::tls, "TLS: the certificate of " + inner_->remote().to_string() +
                                  " is not trusted: " + why);
}

Result<> TlsStreamImpl::judge_client_peer() {
  if (!context_->requires_client_certificate() || info_.verified) return {};
  return fail(ErrorKind::tls,
              info_.peer_subject.empty()
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
                                                     SteadyTime deadline) {
  auto tls = std::make_unique<TlsStreamImpl>(
      std::move(stream), std::static_pointer_cast<const TlsContextImpl>(std::move(context)));
  auto prepared = tls->prepare_connect(host, std::move(session_key));
  if (!prepared) co_return fail(std::move(prepared).error());
  auto shaken = co_await tls->handshake(deadline);
  if (!shaken) co_return fail(std::move(shaken).error());
  auto judged = tls->judge_server_peer();
  if (!judged) co_return fail(std::move(judged).error());
  co_return std::unique_ptr<TlsStream>(std::move(tls));
}

}  // namespace waypost::net
