#include "sink/certificates.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>
#include <sys/stat.h>

#include <cstdio>
#include <filesystem>
#include <memory>

namespace waypost::sink {
namespace {

template <auto Free>
struct Release {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Release<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Release<X509_free>>;
using File = std::unique_ptr<std::FILE, Release<std::fclose>>;

constexpr long kDay = 24 * 60 * 60;

Result<File> open_file(const std::string& path, const char* mode) {
  File file(std::fopen(path.c_str(), mode));
  if (!file) return fail(ErrorKind::io, path + ": " + describe_errno(errno));
  return file;
}

Result<> write_key(const std::string& path, EVP_PKEY* key) {
  auto file = open_file(path, "w");
  if (!file) return fail(std::move(file).error());
  ::chmod(path.c_str(), 0600);
  if (PEM_write_PrivateKey(file->get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return fail(ErrorKind::io, path + ": the key could not be written");
  }
  return {};
}

Result<> write_certificate(const std::string& path, X509* certificate) {
  auto file = open_file(path, "w");
  if (!file) return fail(std::move(file).error());
  if (PEM_write_X509(file->get(), certificate) != 1) {
    return fail(ErrorKind::io, path + ": the certificate could not be written");
  }
  return {};
}

Key make_key(bool rsa) { return Key(rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256")); }

Certificate blank_certificate(EVP_PKEY* key, const std::string& common_name, int days) {
  Certificate certificate(X509_new());
  std::uint64_t serial = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial);
  X509_set_version(certificate.get(), 2);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate.get()), serial >> 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), days < 0 ? (days - 1) * kDay : -kDay);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), days * kDay);
  X509_set_pubkey(certificate.get(), key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1,
                             0);
  return certificate;
}

void add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  if (auto* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str())) {
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }
}

std::string alternative_names(const std::vector<std::string>& names) {
  std::string list;
  for (const auto& name : names) {
    unsigned char address[16];
    const bool literal = ::inet_pton(AF_INET, name.c_str(), address) == 1 ||
                         ::inet_pton(AF_INET6, name.c_str(), address) == 1;
    if (!list.empty()) list += ",";
    list += (literal ? "IP:" : "DNS:") + name;
  }
  return list;
}

struct Authority {
  Key key;
  Certificate certificate;
};

Result<Authority> read_authority(const std::string& certificate_file, const std::string& key_file) {
  Authority authority;
  auto key = open_file(key_file, "r");
  if (!key) return fail(std::move(key).error());
  authority.key.reset(PEM_read_PrivateKey(key->get(), nullptr, nullptr, nullptr));
  auto certificate = open_file(certificate_file, "r");
  if (!certificate) return fail(std::move(certificate).error());
  authority.certificate.reset(PEM_read_X509(certificate->get(), nullptr, nullptr, nullptr));
  if (!authority.key || !authority.certificate) {
    return fail(ErrorKind::invalid, certificate_file + ", " + key_file + ": not PEM files");
  }
  return authority;
}

Result<Authority> make_authority(const std::string& certificate_file, const std::string& key_file) {
  Authority authority;
  authority.key = make_key(false);
  authority.certificate =
      blank_certificate(authority.key.get(), "Waypost rehearsal authority", 3650);
  X509* certificate = authority.certificate.get();
  X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
  add_extension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE");
  add_extension(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
  add_extension(certificate, certificate, NID_subject_key_identifier, "hash");
  if (X509_sign(certificate, authority.key.get(), EVP_sha256()) == 0) {
    return fail(ErrorKind::tls, "the authority could not be signed");
  }
  if (auto written = write_key(key_file, authority.key.get()); !written) {
    return fail(std::move(written).error());
  }
  if (auto written = write_certificate(certificate_file, certificate); !written) {
    return fail(std::move(written).error());
  }
  return authority;
}

}  // namespace

Result<CertificateFiles> make_certificates(const CertificateOptions& options) {
  if (options.names.empty()) {
    return fail(ErrorKind::invalid, "a certificate needs at least one --name");
  }
  std::error_code error;
  std::filesystem::create_directories(options.directory, error);
  const std::string base = options.directory + "/";
  CertificateFiles files{base + "ca.crt", base + options.names.front() + ".crt",
                         base + options.names.front() + ".key"};
  const bool have_authority = std::filesystem::exists(files.ca_file);
  auto authority = have_authority ? read_authority(files.ca_file, base + "ca.key")
                                  : make_authority(files.ca_file, base + "ca.key");
  if (!authority) return fail(std::move(authority).error());

  const Key key = make_key(options.rsa);
  const Certificate leaf = blank_certificate(key.get(), options.names.front(), options.days);
  X509* issuer = options.self_signed ? leaf.get() : authority->certificate.get();
  X509_set_issuer_name(leaf.get(), X509_get_subject_name(issuer));
  add_extension(leaf.get(), issuer, NID_basic_constraints, "critical,CA:FALSE");
  add_extension(leaf.get(), issuer, NID_ext_key_usage, "serverAuth,clientAuth");
  add_extension(leaf.get(), issuer, NID_subject_alt_name, alternative_names(options.names));
  EVP_PKEY* signer = options.self_signed ? key.get() : authority->key.get();
  if (X509_sign(leaf.get(), signer, EVP_sha256()) == 0) {
    return fail(ErrorKind::tls, "the certificate could not be signed");
  }
  if (auto written = write_key(files.key_file, key.get()); !written) {
    return fail(std::move(written).error());
  }
  if (auto written = write_certificate(files.chain_file, leaf.get()); !written) {
    return fail(std::move(written).error());
  }
  return files;
}

}  // namespace waypost::sink
