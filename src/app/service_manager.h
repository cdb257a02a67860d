// What we tell the service manager (sd_notify(3)). Every function is harmless where there is none.
//
// One thread at a time. Nothing here waits for the manager: while it does not read, beats and texts
// are dropped, and the newest of ready, reloading and stopping is sent again with what comes next.
#pragma once

#include <chrono>
#include <string>

namespace waypost::app {

void notify_ready(const std::string& status);
void notify_reloading();
void notify_stopping(const std::string& status);
void notify_status(const std::string& status);
void notify_alive();
/// How often notify_alive() must come: half of the unit's WatchdogSec=; zero: no watchdog.
std::chrono::microseconds watchdog_interval();

}  // namespace waypost::app
