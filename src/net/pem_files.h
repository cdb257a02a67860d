// PEM files into an SSL_CTX, read as base/text_file.h reads: OpenSSL's own readers pass over a
// block behind a byte order mark without a word, so that the first CA of a file would be missing.
//
// Errors name the file (`what` says which it is) and say what to do.
#pragma once

#include "waypost/base/result.h"

#include <openssl/ssl.h>

#include <string>

namespace waypost::net {

/// Leaf first, then its intermediates; and its key.
Result<> use_pair(SSL_CTX* context, const std::string& chain, const std::string& key);
/// Trusts the file's certificates, and takes its revocation lists. `ask_for_them`: a server names
/// them to its clients.
Result<> trust_cas(SSL_CTX* context, const std::string& what, const std::string& path,
                   bool ask_for_them);

}  // namespace waypost::net
