// SRS as policy: who is rewritten, and what becomes of mail that returns.
#include "waypost/base/counted.h"
#include "waypost/base/text_file.h"

#include "routing/router_impl.h"

#include <sstream>

namespace waypost::routing {

Result<std::vector<std::string>> read_srs_secrets(const std::string& path) {
  auto text = read_text_file(path);
  if (!text && text.error().kind == ErrorKind::io)
    return fail(ErrorKind::io, "the SRS secret file " + text.error().message +
                                   "; check the path and that the waypost user may read it");
  if (!text) return fail(text.error().kind, "the SRS secret file " + text.error().message);
  std::istringstream in(std::move(*text));
  std::vector<std::string> secrets;
  std::string line;
  for (unsigned number = 1; std::getline(in, line); ++number) {
    const auto first = line.find_first_not_of(" \t\r");
    if (first == std::string::npos || line[first] == '#') continue;
    const auto last = line.find_last_not_of(" \t\r");
    std::string secret = line.substr(first, last - first + 1);
    if (secret.size() < kLeastSecretOctets)
      return fail(ErrorKind::invalid, "the SRS secret in line " + std::to_string(number) +
                                          " is too short: " + std::to_string(kLeastSecretOctets) +
                                          " characters are needed; make one with: openssl rand "
                                          "-hex 24");
    secrets.push_back(std::move(secret));
  }
  if (secrets.empty())
    return fail(ErrorKind::invalid,
                "the SRS secret file has no secret; make one with: openssl rand -hex 24");
  return secrets;
}

void RouterCore::use_srs(std::vector<std::string> secrets) {
  const SrsOptions& wanted = options.srs;
  auto domain = normalise_domain(wanted.domain);
  if (!domain || secrets.empty()) return;
  srs_domain = *domain;
  const auto days = std::chrono::duration_cast<std::chrono::days>(wanted.max_age).count();
  srs.emplace(mail::SrsParameters{std::move(*domain), std::move(secrets),
                                  static_cast<unsigned>(days), wanted.max_local_part});
  for (const auto& own : wanted.own_domains)
    if (auto normal = normalise_domain(own)) srs_own.insert(std::move(*normal));
}

SenderChoice TableRouter::sender_for(const mail::ReversePath& sender, const Decision& decision,
                                     WallTime at) const {
  if (!core_->srs || !sender || decision.verdict != Verdict::rewrite) return {};
  const auto domain = normalise_domain(sender->domain);
  if (domain) {
    const bool own =
        core_->srs_own.empty() ? core_->is_own(*domain) : core_->srs_own.contains(*domain);
    if (own || *domain == core_->srs_domain) return {};
  }
  auto rewritten = core_->srs->forward(*sender, at);
  if (!rewritten) return {std::nullopt, rewritten.error().message};
  return {std::move(*rewritten), {}};
}

/// Mail to an address that we have made (or that claims it).
Decision TableRouter::decide_returned(const mail::Mailbox& address, WallTime at,
                                      std::vector<TraceStep>* trace) const {
  const auto note = [&](const std::string& text) {
    if (trace != nullptr) trace->push_back({"SRS", text});
  };
  Decision decision;
  decision.original = address;
  const auto refuse = [&](mail::EnhancedStatus status, const std::string& words) {
    decision.verdict = Verdict::refuse;
    decision.reply = smtp::Reply{550, status, "<" + printable(address) + ">: " + words};
    decision.why = "returned mail: " + words;
    note(words);
    return decision;
  };
  const auto back = core_->srs->reverse(address, at);
  switch (back.trouble) {
    case mail::SrsTrouble::malformed:
      return refuse(mail::status::unknown_mailbox, "this is no complete return address (SRS)");
    case mail::SrsTrouble::wrong_hash:
      return refuse(mail::status::relay_denied,
                    "this return address was not made here: its hash is wrong (SRS)");
    case mail::SrsTrouble::expired:
      return refuse(mail::status::unknown_mailbox,
                    "this return address has expired: it is " + counted(back.age_days, "day") +
                        " old, " + std::to_string(core_->srs->parameters().max_age_days) +
                        " are allowed (SRS)");
    case mail::SrsTrouble::none:
      break;
  }
  const std::string sender = printable(back.sender);
  note("returns to " + sender + "; signed with secret " + std::to_string(back.secret + 1) +
       " of the file");
  const auto domain = normalise_domain(back.sender.domain);
  if (domain && *domain == core_->srs_domain)
    return refuse(mail::status::routing_loop, "this return address leads back to itself (SRS)");
  if (!core_->options.srs.return_next_hop.empty()) {
    note("goes to srs.return_next_hop '" + core_->options.srs.return_next_hop + "'");
    decision.verdict = Verdict::rewrite;
    decision.target = back.sender;
    decision.next_hop = core_->options.srs.return_next_hop;
    decision.reply = smtp::Reply{250, mail::status::recipient_ok, "recipient ok"};
    decision.why = "returned mail for " + sender + "; goes to srs.return_next_hop";
    return decision;
  }
  decision = decide(back.sender, at, trace);
  decision.original = address;
  if (decision.verdict == Verdict::pass) decision.verdict = Verdict::rewrite;
  decision.why = "returned mail for " + sender + ": " + decision.why;
  return decision;
}

}  // namespace waypost::routing
