#include "net/pem_files.h"

#include "waypost/base/text_file.h"

#include "net/tls_context.h"

#include <openssl/err.h>
#include <openssl/pem.h>

namespace waypost::net {
namespace {

using BioPtr = std::unique_ptr<BIO, Freed<BIO_free_all>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;

std::unexpected<Error> problem(std::string text) { return fail(ErrorKind::tls, std::move(text)); }

/// A passphrase prompt would hang a daemon.
int no_passphrase(char*, int, int, void*) { return -1; }

/// REQUIRES: `text` outlives it.
BioPtr over(const std::string& text) {
  return BioPtr(::BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

Result<std::string> read_pem(const std::string& what, const std::string& path) {
  auto text = read_text_file(path);
  if (!text) return fail(text.error().kind, what + " " + text.error().message);
  return text;
}

/// What ends a PEM file in order: no further block.
bool at_the_end() {
  const unsigned long code = ::ERR_peek_last_error();
  const bool end = ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
  if (end) ::ERR_clear_error();
  return end;
}

Result<> use_chain(SSL_CTX* context, const std::string& path) {
  auto text = read_pem("certificate", path);
  if (!text) return fail(std::move(text).error());
  const BioPtr bio = over(*text);
  const auto wrong = [&] {
    return problem("certificate " + path + ": " + openssl_reason() +
                   "; it must be PEM, leaf certificate first");
  };
  const X509Ptr leaf(::PEM_read_bio_X509_AUX(bio.get(), nullptr, &no_passphrase, nullptr));
  if (!leaf || ::SSL_CTX_use_certificate(context, leaf.get()) != 1) return wrong();
  ::SSL_CTX_clear_chain_certs(context);
  for (;;) {
    X509Ptr next(::PEM_read_bio_X509(bio.get(), nullptr, &no_passphrase, nullptr));
    if (!next) break;
    if (::SSL_CTX_add0_chain_cert(context, next.get()) != 1) return wrong();
    (void)next.release();  // the context has it
  }
  if (!at_the_end()) return wrong();
  return {};
}

Result<> use_key(SSL_CTX* context, const std::string& chain, const std::string& path) {
  auto text = read_pem("key", path);
  if (!text) return fail(std::move(text).error());
  const BioPtr bio = over(*text);
  const KeyPtr key(::PEM_read_bio_PrivateKey(bio.get(), nullptr, &no_passphrase, nullptr));
  ::OPENSSL_cleanse(text->data(), text->size());
  if (!key)
    return problem("key " + path + ": " + openssl_reason() +
                   "; it must be PEM without a passphrase");
  if (::SSL_CTX_use_PrivateKey(context, key.get()) != 1 ||
      ::SSL_CTX_check_private_key(context) != 1) {
    const std::string reason = openssl_reason();
    if (reason.find("mismatch") != std::string::npos)
      return problem("key " + path + " does not belong to certificate " + chain);
    return problem("key " + path + ": " + reason + "; it must be PEM without a passphrase");
  }
  return {};
}

}  // namespace

Result<> use_pair(SSL_CTX* context, const std::string& chain, const std::string& key) {
  if (auto used = use_chain(context, chain); !used) return used;
  return use_key(context, chain, key);
}

Result<> trust_cas(SSL_CTX* context, const std::string& what, const std::string& path,
                   bool ask_for_them) {
  auto text = read_pem(what, path);
  if (!text) return fail(std::move(text).error());
  const BioPtr bio = over(*text);
  const auto wrong = [&] { return problem(what + " " + path + ": " + openssl_reason()); };
  const auto free_all = [](STACK_OF(X509_INFO) * all) {
    sk_X509_INFO_pop_free(all, &::X509_INFO_free);
  };
  const std::unique_ptr<STACK_OF(X509_INFO), decltype(free_all)> blocks(
      ::PEM_X509_INFO_read_bio(bio.get(), nullptr, &no_passphrase, nullptr), free_all);
  if (!blocks) return wrong();
  X509_STORE* store = ::SSL_CTX_get_cert_store(context);
  int certificates = 0;
  for (int i = 0; i < sk_X509_INFO_num(blocks.get()); ++i) {
    const X509_INFO* block = sk_X509_INFO_value(blocks.get(), i);
    if (block->crl != nullptr && ::X509_STORE_add_crl(store, block->crl) != 1) return wrong();
    if (block->x509 == nullptr) continue;
    if (::X509_STORE_add_cert(store, block->x509) != 1) return wrong();
    if (ask_for_them) ::SSL_CTX_add_client_CA(context, block->x509);
    ++certificates;
  }
  if (certificates == 0)
    return problem(what + " " + path +
                   ": holds no certificate in PEM form (a block that begins with "
                   "-----BEGIN CERTIFICATE-----)");
  ::ERR_clear_error();
  return {};
}

}  // namespace waypost::net
