#include "waypost/inbound/passwords.h"

#include "waypost/base/text_file.h"

#include <sodium.h>

#include <sstream>

namespace waypost::inbound {
namespace {

bool library_ready() {
  static const bool ready = ::sodium_init() >= 0;
  return ready;
}

std::string hash_of(std::string_view password) {
  char hash[crypto_pwhash_STRBYTES] = {};
  const int status = ::crypto_pwhash_argon2id_str(hash, password.data(), password.size(),
                                                  crypto_pwhash_argon2id_OPSLIMIT_INTERACTIVE,
                                                  crypto_pwhash_argon2id_MEMLIMIT_INTERACTIVE);
  return status == 0 ? hash : "";
}

bool known_form(const std::string& hash) {
  return hash.starts_with("$argon2id$") || hash.starts_with("$7$");
}

bool matches(const std::string& hash, const std::string& password) {
  if (hash.starts_with("$7$")) {
    std::string padded = hash;
    padded.resize(crypto_pwhash_scryptsalsa208sha256_STRBYTES, '\0');
    return ::crypto_pwhash_scryptsalsa208sha256_str_verify(padded.c_str(), password.data(),
                                                           password.size()) == 0;
  }
  return ::crypto_pwhash_str_verify(hash.c_str(), password.data(), password.size()) == 0;
}

}  // namespace

void wipe_password(std::string& password) {
  ::sodium_memzero(password.data(), password.size());
  password.clear();
}

Result<std::string> make_password_line(std::string_view user, std::string_view password) {
  const bool bad_user =
      user.empty() || user.front() == '#' || std::any_of(user.begin(), user.end(), [](char c) {
        return c == ':' || static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
      });
  if (bad_user)
    return fail(ErrorKind::invalid,
                "a user name is not empty, has no ':' and no control characters");
  if (password.empty()) return fail(ErrorKind::invalid, "the password is empty");
  if (!library_ready())
    return fail(ErrorKind::unsupported, "the cryptographic library can't be started");
  const std::string hash = hash_of(password);
  if (hash.empty())
    return fail(ErrorKind::exhausted,
                "hashing a password takes 64 MiB of memory, which is not to be had");
  return std::string(user) + ":" + hash;
}

Result<PasswordHashes> read_password_file(const std::string& path) {
  auto text = read_text_file(path);
  if (!text) return fail(text.error().kind, "password file " + text.error().message);
  std::istringstream in(std::move(*text));
  PasswordHashes hashes;
  std::string line;
  for (std::size_t number = 1; std::getline(in, line); ++number) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (line.empty() || line.front() == '#') continue;
    const auto colon = line.find(':');
    const std::string place = path + ":" + std::to_string(number) + ": ";
    if (colon == std::string::npos || colon == 0) {
      return fail(ErrorKind::invalid,
                  place + "the form is user:hash; make such a line with 'waypost passwd USER'");
    }
    std::string hash = line.substr(colon + 1);
    if (!known_form(hash)) {
      return fail(ErrorKind::invalid, place +
                                          "the hash is neither $argon2id$ nor $7$ (scrypt); make "
                                          "the line with 'waypost passwd USER'");
    }
    if (!hashes.emplace(line.substr(0, colon), std::move(hash)).second) {
      return fail(ErrorKind::invalid, place + "user " + line.substr(0, colon) + " is there twice");
    }
  }
  return hashes;
}

bool verify_password(const PasswordHashes& hashes, const std::string& user,
                     const std::string& password) {
  if (!library_ready()) return false;
  static const std::string nobody = hash_of("a password that nobody has");
  const auto found = hashes.find(user);
  const bool good = matches(found != hashes.end() ? found->second : nobody, password);
  return good && found != hashes.end();
}

}  // namespace waypost::inbound
