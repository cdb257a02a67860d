// A small certificate authority for rehearsals and tests; never for production.
#pragma once

#include "waypost/base/result.h"

#include <string>
#include <vector>

namespace waypost::sink {

struct CertificateOptions {
  std::string directory;  // made if missing
  std::vector<std::string>
      names;                 // DNS names (or IP literals) of the leaf; the first names its files
  int days = 30;             // negative: expired that long ago
  bool self_signed = false;  // not signed by the CA: for tests of refusal
  bool rsa = false;          // RSA-2048 instead of ECDSA P-256
};

struct CertificateFiles {
  std::string ca_file, chain_file, key_file;
};

/// Writes DIR/ca.crt and DIR/ca.key (kept if they are there) and DIR/NAME.crt, DIR/NAME.key.
/// ErrorKind::io names the file that could not be written.
Result<CertificateFiles> make_certificates(const CertificateOptions& options);

}  // namespace waypost::sink
