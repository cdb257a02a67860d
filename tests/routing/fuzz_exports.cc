// Any octets as each kind of export: read, and held to what the readers promise.
#include "waypost/routing/exports.h"
#include "waypost/routing/unseen.h"

#include <cstdlib>
#include <string>
#include <string_view>

using namespace waypost;

namespace {

void hold(bool promise) {
  if (!promise) std::abort();
}

void look_at(const std::vector<routing::Problem>& problems) {
  hold(problems.size() <= 401);
  for (const auto& problem : problems) {
    hold(!problem.message.empty());
    for (const char c : problem.to_string()) hold(static_cast<unsigned char>(c) >= 0x20);
  }
}

void look_at(const std::string& address) {
  const auto parsed = mail::parse_mailbox(address);
  hold(parsed && !parsed->domain.empty());
  hold(!routing::first_unseen(parsed->local_part));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string content(reinterpret_cast<const char*>(data), size);
  const auto exchange = routing::read_exchange_export("fuzz.csv", content);
  look_at(exchange.problems);
  for (const auto& one : exchange.recipients) {
    hold(!one.addresses.empty() && one.addresses.front() == one.primary);
    for (const auto& address : one.addresses) look_at(address);
    if (!one.external.empty()) look_at(one.external);
    hold(one.place.line > 0 && one.primary_column > 0);
  }
  const auto half = content.find("\x1e");
  const routing::ExportFile users{"users.json", content.substr(0, half)};
  const routing::ExportFile aliases{"aliases.json",
                                    half == std::string::npos ? content : content.substr(half + 1)};
  const auto workmail = routing::read_workmail_export({users}, {aliases});
  look_at(workmail.problems);
  for (const auto& one : workmail.entities) {
    hold(!one.id.empty() && one.place.line > 0);
    hold(!one.usable() || !one.email.empty());
    if (!one.email.empty()) look_at(one.email);
    for (const auto& alias : one.aliases) look_at(alias);
  }
  return 0;
}
