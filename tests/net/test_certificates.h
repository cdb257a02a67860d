// Certificates for tests, made by OpenSSL in a folder that vanishes with its authority.
#pragma once

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace waypost::net::testing {

struct CertificateFiles {
  std::string chain_file, key_file;
};

struct CertificateWish {
  std::vector<std::string> names;  // host names, and addresses as "IP:192.0.2.1"
  std::string common_name;         // empty: none
  bool rsa = false;                // else ECDSA P-256
  int valid_from_days = -1;        // from today
  int valid_until_days = 30;
};

/// Makes keys and certificates; its own is in ca_file().
class TestAuthority {
 public:
  explicit TestAuthority(const std::string& name = "Waypost Test CA") {
    static std::atomic<int> count{0};
    folder_ = std::filesystem::temp_directory_path() /
              ("waypost-ca-" + std::to_string(::getpid()) + "-" + std::to_string(++count));
    std::filesystem::create_directories(folder_);
    key_ = make_key(false);
    CertificateWish wish;
    wish.common_name = name;
    wish.valid_until_days = 3650;
    certificate_ = make(wish, key_.get(), nullptr, key_.get(), true);
    write_certificates(ca_file(), {certificate_.get()});
  }
  ~TestAuthority() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  TestAuthority(const TestAuthority&) = delete;
  TestAuthority& operator=(const TestAuthority&) = delete;

  std::string ca_file() const { return folder_ / "ca.pem"; }
  std::string folder() const { return folder_; }

  CertificateFiles issue(const CertificateWish& wish) {
    const Key key = make_key(wish.rsa);
    const Certificate leaf = make(wish, key.get(), certificate_.get(), key_.get(), false);
    return write(leaf.get(), key.get());
  }
  CertificateFiles issue(const std::string& name) {
    CertificateWish wish;
    wish.names = {name};
    return issue(wish);
  }
  /// Vouches for itself.
  CertificateFiles self_signed(const CertificateWish& wish) {
    const Key key = make_key(wish.rsa);
    const Certificate leaf = make(wish, key.get(), nullptr, key.get(), false);
    return write(leaf.get(), key.get());
  }

 private:
  struct Free {
    void operator()(EVP_PKEY* key) const { ::EVP_PKEY_free(key); }
    void operator()(X509* certificate) const { ::X509_free(certificate); }
  };
  using Key = std::unique_ptr<EVP_PKEY, Free>;
  using Certificate = std::unique_ptr<X509, Free>;

  static void must(bool good, const char* what) {
    if (!good) throw std::runtime_error(std::string("test certificate: ") + what);
  }
  static Key make_key(bool rsa) {
    Key key(rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256"));
    must(key != nullptr, "key");
    return key;
  }
  static void add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    ::X509V3_set_ctx(&context, issuer == nullptr ? certificate : issuer, certificate, nullptr,
                     nullptr, 0);
    X509_EXTENSION* extension = ::X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
    must(extension != nullptr, value.c_str());
    ::X509_add_ext(certificate, extension, -1);
    ::X509_EXTENSION_free(extension);
  }
  static void add_names(X509* certificate, const std::vector<std::string>& names) {
    if (names.empty()) return;
    GENERAL_NAMES* list = sk_GENERAL_NAME_new_null();
    for (const auto& text : names) {
      const bool address = text.starts_with("IP:");
      GENERAL_NAME* name =
          address ? ::a2i_GENERAL_NAME(nullptr, nullptr, nullptr, GEN_IPADD, text.c_str() + 3, 0)
                  : ::GENERAL_NAME_new();
      must(name != nullptr, text.c_str());
      if (!address) {  // with its length, so that a test may put a NUL inside
        ASN1_IA5STRING* value = ::ASN1_IA5STRING_new();
        ::ASN1_STRING_set(value, text.data(), static_cast<int>(text.size()));
        ::GENERAL_NAME_set0_value(name, GEN_DNS, value);
      }
      sk_GENERAL_NAME_push(list, name);
    }
    must(::X509_add1_ext_i2d(certificate, NID_subject_alt_name, list, 0, 0) == 1, "names");
    ::GENERAL_NAMES_free(list);
  }
  static Certificate make(const CertificateWish& wish, EVP_PKEY* key, X509* issuer,
                          EVP_PKEY* issuer_key, bool authority) {
    static std::atomic<long> serial{1000};
    Certificate made(::X509_new());
    X509* const x = made.get();
    ::X509_set_version(x, 2);
    ::ASN1_INTEGER_set(::X509_get_serialNumber(x), ++serial);
    ::X509_time_adj_ex(X509_getm_notBefore(x), wish.valid_from_days, 0, nullptr);
    ::X509_time_adj_ex(X509_getm_notAfter(x), wish.valid_until_days, 0, nullptr);
    ::X509_set_pubkey(x, key);
    if (!wish.common_name.empty()) {
      ::X509_NAME_add_entry_by_txt(::X509_get_subject_name(x), "CN", MBSTRING_UTF8,
                                   reinterpret_cast<const unsigned char*>(wish.common_name.data()),
                                   static_cast<int>(wish.common_name.size()), -1, 0);
    }
    ::X509_set_issuer_name(x, ::X509_get_subject_name(issuer == nullptr ? x : issuer));
    add_extension(x, issuer, NID_basic_constraints, authority ? "critical,CA:TRUE" : "CA:FALSE");
    add_extension(x, issuer, NID_subject_key_identifier, "hash");
    add_names(x, wish.names);
    must(::X509_sign(x, issuer_key, ::EVP_sha256()) > 0, "signature");
    return made;
  }
  static void write_certificates(const std::string& path, const std::vector<X509*>& certificates) {
    const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "w"), &std::fclose);
    must(file != nullptr, path.c_str());
    for (X509* certificate : certificates) ::PEM_write_X509(file.get(), certificate);
  }
  CertificateFiles write(X509* leaf, EVP_PKEY* key) {
    const std::string stem = folder_ / std::to_string(++issued_);
    const CertificateFiles files{stem + ".pem", stem + ".key"};
    write_certificates(files.chain_file, {leaf});
    const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(files.key_file.c_str(), "w"),
                                                     &std::fclose);
    must(file != nullptr, "key file");
    ::PEM_write_PrivateKey(file.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
    return files;
  }

  std::filesystem::path folder_;
  Key key_;
  Certificate certificate_;
  int issued_ = 0;
};

}  // namespace waypost::net::testing
