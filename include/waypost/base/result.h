// Expected failures as values.
//
// Owns: Error and Result. Every function that can fail in a way that its caller must deal with
// returns Result<T>; coroutines return Task<Result<T>>. Exceptions stay at the seams to libraries.
// A bug aborts (see WAYPOST_INVARIANT); bytes from a wire or a disk never reach an invariant.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace waypost {

enum class ErrorKind : std::uint8_t {
  invalid,      // the input breaks its grammar or a limit
  not_found,    // a name, file or record does not exist
  timeout,      // a deadline passed
  closed,       // the peer closed the stream in order
  network,      // refused, reset, unreachable
  tls,          // handshake or verification failed
  dns,          // a look-up failed in a way that may pass
  protocol,     // the peer broke its protocol
  io,           // a file operation failed
  corrupt,      // stored bytes fail their checksum
  exhausted,    // a limit or the disk is full
  read_only,    // the spool has stopped taking mail
  cancelled,    // we are shutting down
  unsupported,  // the peer can't do what is needed
};

std::string_view to_string(ErrorKind kind);

struct Error {
  ErrorKind kind = ErrorKind::invalid;
  std::string
      message;  // what happened, where, and what to do; no trailing full stop, no line break
};

template <class T = void>
using Result = std::expected<T, Error>;

/// `return fail(ErrorKind::io, "...")` from any function that returns a Result.
[[nodiscard]] inline std::unexpected<Error> fail(ErrorKind kind, std::string message) {
  return std::unexpected<Error>(Error{kind, std::move(message)});
}

/// Passes an error on from one Result type to another: `if (!r) return fail(std::move(r).error())`.
[[nodiscard]] inline std::unexpected<Error> fail(Error error) {
  return std::unexpected<Error>(std::move(error));
}

/// "No such file or directory (errno 2)".
std::string describe_errno(int errno_value);

[[noreturn]] void invariant_failed(const char* expression, const char* file, int line);

}  // namespace waypost

/// A condition that only a bug in Waypost can break. Stays on in release builds.
#define WAYPOST_INVARIANT(expression) \
  ((expression) ? void(0) : ::waypost::invariant_failed(#expression, __FILE__, __LINE__))
