// Certificates against their keys, names and dates, before the daemon has to refuse to start.
#include "config/schema.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <ctime>
#include <memory>

namespace waypost::config {
namespace {

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};
using Bio = std::unique_ptr<BIO, Freed<&BIO_free_all>>;
using Certificate = std::unique_ptr<X509, Freed<&X509_free>>;
using PrivateKey = std::unique_ptr<EVP_PKEY, Freed<&EVP_PKEY_free>>;

constexpr std::time_t kSoon = 14 * 86'400;

bool readable(const std::string& file) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> opened(std::fopen(file.c_str(), "re"),
                                                               &std::fclose);
  return opened != nullptr;
}

std::string date_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return "an unknown date";
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &parts);
  return text;
}

// A passphrase prompt would hang a daemon.
int no_passphrase(char*, int, int, void*) { return -1; }

class Checker {
 public:
  explicit Checker(Reading& reading) : reading_(reading) {}

  void check(const std::string& chain, const std::string& key, Place chain_place, Place key_place,
             const std::string& own_name) {
    // Files that are missing were reported when they were read.
    if (chain.empty() || key.empty() || !readable(chain) || !readable(key)) return;
    const Bio chain_bio(BIO_new_file(chain.c_str(), "r"));
    const Certificate certificate(
        chain_bio ? PEM_read_bio_X509(chain_bio.get(), nullptr, &no_passphrase, nullptr) : nullptr);
    const Bio key_bio(BIO_new_file(key.c_str(), "r"));
    const PrivateKey private_key(
        key_bio ? PEM_read_bio_PrivateKey(key_bio.get(), nullptr, &no_passphrase, nullptr)
                : nullptr);
    ERR_clear_error();
    if (!certificate)
      reading_.error(chain_place,
                     "'" + chain +
                         "' holds no certificate in PEM form (a block that begins with "
                         "-----BEGIN CERTIFICATE-----)");
    if (!private_key)
      reading_.error(key_place,
                     "'" + key +
                         "' holds no private key in PEM form that can be read without a "
                         "passphrase; remove the passphrase with: openssl pkey -in FILE");
    if (!certificate) return;
    if (private_key && X509_check_private_key(certificate.get(), private_key.get()) != 1)
      reading_.error(key_place, "the private key '" + key +
                                    "' does not belong to the certificate '" + chain +
                                    "'; use the key that the certificate was made for");
    ERR_clear_error();
    check_dates(*certificate, chain, chain_place);
    if (!own_name.empty() &&
        X509_check_host(certificate.get(), own_name.c_str(), own_name.size(), 0, nullptr) != 1)
      reading_.warning(chain_place, "the certificate '" + chain + "' is not for own_name '" +
                                        own_name + "'; senders that check names will not deliver");
  }

 private:
  void check_dates(X509& certificate, const std::string& chain, Place place) {
    auto now = static_cast<std::time_t>(
        std::chrono::duration_cast<std::chrono::seconds>(Clock::system().now().time_since_epoch())
            .count());
    const auto* end = X509_get0_notAfter(&certificate);
    const auto* begin = X509_get0_notBefore(&certificate);
    if (X509_cmp_time(end, &now) < 0)
      reading_.error(place,
                     "the certificate '" + chain + "' expired on " + date_of(end) + "; renew it");
    else if (std::time_t soon = now + kSoon; X509_cmp_time(end, &soon) < 0)
      reading_.warning(place,
                       "the certificate '" + chain + "' expires on " + date_of(end) + "; renew it");
    if (X509_cmp_time(begin, &now) > 0)
      reading_.error(place, "the certificate '" + chain + "' is not valid before " +
                                date_of(begin) + "; check this machine's clock");
  }

  Reading& reading_;
};

}  // namespace

void check_certificates(const Config& config, Reading& reading) {
  Checker checker(reading);
  const auto& pairs = config.inbound.tls.certificates;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const auto path = "tls.certificates[" + std::to_string(i) + "]";
    checker.check(pairs[i].chain_file, pairs[i].key_file,
                  nearest_place(reading.places, path + ".chain"),
                  nearest_place(reading.places, path + ".key"), config.inbound.own_name);
  }
  for (const auto& hop : config.next_hops) {
    const auto path = "next_hops." + hop.name;
    checker.check(hop.tls.client_chain_file, hop.tls.client_key_file,
                  nearest_place(reading.places, path + ".tls_client_certificate"),
                  nearest_place(reading.places, path + ".tls_client_key"), {});
  }
}

}  // namespace waypost::config
