// Keeps directories synchronised: a thread for each, which reads at its interval.
//
// Owned by the main thread. The report is called on the threads of the watch, one call at a time,
// and must not call back into the watch's stop(). stop() returns within a second, with one
// exception: a Kerberos server that does not answer is waited for as long as libkrb5 does.
#pragma once

#include "waypost/base/clock.h"
#include "waypost/routing/directory.h"

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

namespace waypost::routing {

/// How long to wait after a synchronisation. `failures`: so many in a row; `random` in [0, 1).
/// Success: the interval. Failure: from 15 s doubling up to the interval (at least 5 minutes), but
/// half an hour at least when credentials were refused, because more attempts may lock the account.
/// Up to a fifth is taken off or added at random.
Duration directory_wait(Duration interval, unsigned failures, bool credentials_refused,
                        double random);

class DirectoryWatch {
 public:
  using Report = std::function<void(const DirectoryOutcome&)>;
  /// Starts at once; the first synchronisations begin without delay.
  DirectoryWatch(std::vector<std::unique_ptr<Directory>> directories, Report report,
                 const Clock& clock = Clock::system());
  ~DirectoryWatch();
  /// Soon, or after the one that is going on. False: no such directory.
  bool synchronise_now(std::string_view name, DirectorySyncRequest request = {});
  /// Cuts what is going on; its report is not called any more.
  void stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace waypost::routing
