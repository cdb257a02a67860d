#include "app/service_manager.h"

#include <systemd/sd-daemon.h>

#include <time.h>

namespace waypost::app {
namespace {

std::uint64_t monotonic_us() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec) / 1'000;
}

void notify(const std::string& state) { ::sd_notify(0, state.c_str()); }

}  // namespace

void notify_ready(const std::string& status) { notify("READY=1\nSTATUS=" + status); }
void notify_reloading() { notify("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(monotonic_us())); }
void notify_stopping(const std::string& status) { notify("STOPPING=1\nSTATUS=" + status); }
void notify_status(const std::string& status) { notify("STATUS=" + status); }
void notify_alive() { notify("WATCHDOG=1"); }
void notify_extend(std::chrono::seconds more) {
  notify("EXTEND_TIMEOUT_USEC=" +
         std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(more).count()));
}

std::chrono::microseconds watchdog_interval() {
  std::uint64_t limit_us = 0;
  if (::sd_watchdog_enabled(0, &limit_us) <= 0) return std::chrono::microseconds(0);
  return std::chrono::microseconds(limit_us / 2);
}

}  // namespace waypost::app
