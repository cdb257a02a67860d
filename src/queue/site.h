// How much a next hop may be given at once, and when it is left alone.
//
// The window grows with each success (doubling at first, then by one a round) and is halved when
// the other side asks for less or a connection breaks; once for attempts that ran side by side. A
// site that can't be reached, or breaks even a window of one, is left alone for a while; then a
// single attempt probes it.
#pragma once

#include "waypost/base/clock.h"

#include <cstdint>

namespace waypost::queue {

class Site {
 public:
  static constexpr std::uint32_t kFirstWindow = 5;

  /// Attempts at once, at least 1, at most `most`.
  std::uint32_t window(std::uint32_t most) const {
    if (troubles_ > 0) return 1;
    const auto now = static_cast<std::uint32_t>(window_);
    return now < 1 ? 1 : (now < most ? now : most);
  }
  bool paused(SteadyTime now) const { return paused_until_ > now; }
  SteadyTime paused_until() const { return paused_until_; }
  /// Pauses in a row; 0: the site is well.
  std::uint32_t troubles() const { return troubles_; }

  /// It took a message, or refused one for the message's own sake.
  void speaks_with_us() { troubles_ = 0; }
  void succeeded(std::uint32_t most);
  /// `began`: when the attempt began. Of attempts that ran at the same time only the first counts.
  void shrink(SteadyTime began, SteadyTime now);
  /// True if the site is to be paused now: pause() follows. `reached`: there was a session.
  bool troubled(bool reached, SteadyTime began, SteadyTime now);
  void pause(SteadyTime until) {
    paused_until_ = until;
    ++troubles_;
  }
  /// An operator says that it is well again: the next attempt is a probe.
  void open() { paused_until_ = {}; }

 private:
  double window_ = kFirstWindow;
  double doubling_below_ = 1e9;
  SteadyTime shrunk_at_{}, paused_until_{};
  std::uint32_t troubles_ = 0;
};

}  // namespace waypost::queue
