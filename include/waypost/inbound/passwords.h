// Password files: "user:hash" lines, '#' comments. Hashes are libsodium's: argon2id ($argon2id$...)
// or scrypt ($7$...).
#pragma once

#include "waypost/base/result.h"

#include <string>
#include <string_view>
#include <unordered_map>

namespace waypost::inbound {

/// "user:$argon2id$...": a line for the file. ErrorKind::invalid for an empty password or a user
/// with ':' or controls.
Result<std::string> make_password_line(std::string_view user, std::string_view password);

using PasswordHashes = std::unordered_map<std::string, std::string>;
/// ErrorKind::io, or invalid with file and line.
Result<PasswordHashes> read_password_file(const std::string& path);

/// Takes some 50 ms of CPU by design: never on a shard's thread. Unknown users take as long as
/// known ones.
bool verify_password(const PasswordHashes& hashes, const std::string& user,
                     const std::string& password);

/// Overwrites and empties it.
void wipe_password(std::string& password);

}  // namespace waypost::inbound
