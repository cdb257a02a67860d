// What we tell the service manager (sd_notify(3)). Every function is harmless where there is none.
#pragma once

#include <chrono>
#include <string>

namespace waypost::app {

void notify_ready(const std::string& status);
void notify_reloading();
void notify_stopping(const std::string& status);
void notify_status(const std::string& status);
void notify_alive();
/// Asks for more time to start or stop than the unit gives (EXTEND_TIMEOUT_USEC).
void notify_extend(std::chrono::seconds more);
/// How often notify_alive() must come: half of the unit's WatchdogSec=; zero: no watchdog.
std::chrono::microseconds watchdog_interval();

}  // namespace waypost::app
