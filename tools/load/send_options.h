// What a sender is asked to do; made from the command line by cli_send.
#pragma once

#include "waypost/net/tls.h"

#include "load/content.h"
#include "load/recipient_mix.h"
#include "load/schedule.h"

#include <cstdint>
#include <string>
#include <vector>

namespace waypost::load {

/// How many commands travel in one write.
enum class Pipelining : std::uint8_t {
  exchange,  // MAIL and all RCPTs, then BDAT with the content, as Exchange does
  full,      // MAIL, RCPTs, BDAT and content at once
  off,       // a round trip for each
};

struct SendOptions {
  std::vector<std::string> targets;  // HOST:PORT; never a default
  std::string source_address;
  unsigned servers = 1;
  unsigned connections_per_server = 20;
  std::uint64_t messages_per_connection = 20;  // 0: keep it open
  std::string helo = "ex%.rehearsal.example";  // '%' is the server's number
  Pipelining pipelining = Pipelining::exchange;
  bool use_bdat = true;
  bool exchange_parameters = true;  // RET, ENVID, NOTIFY and ORCPT, if DSN is offered
  bool implicit_tls = false;
  net::ClientTlsOptions tls;
  bool tls_resumption = true;
  std::string auth_user, auth_password;
  std::string sender = "sender@rehearsal.example";

  ContentOptions content;
  RecipientOptions recipients;
  ScheduleOptions schedule;

  unsigned threads = 1;
  Duration timeout = std::chrono::minutes(5);   // for each reply
  Duration give_up = std::chrono::seconds(30);  // without a single success
  std::uint64_t run_id = 0;
  std::string log_file;  // empty: no log
};

}  // namespace waypost::load
