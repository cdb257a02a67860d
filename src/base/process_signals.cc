#include "waypost/base/process_signals.h"

namespace waypost {

void begin_signals(const sigset_t& held) {
  std::signal(SIGXFSZ, SIG_IGN);
  ::sigprocmask(SIG_SETMASK, &held, nullptr);
}

sigset_t signals_of(std::initializer_list<int> signals) {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : signals) ::sigaddset(&set, signal);
  return set;
}

}  // namespace waypost
