#include "app/explain.h"

#include "waypost/routing/directory.h"

#include "app/answers.h"
#include "app/next_hop_summary.h"

#include <algorithm>

namespace waypost::app {
namespace {

namespace json = boost::json;

bool has_target(const routing::Decision& decision) {
  return decision.verdict == routing::Verdict::rewrite ||
         decision.verdict == routing::Verdict::pass || decision.verdict == routing::Verdict::hold;
}

const outbound::NextHopOptions* next_hop_of(const config::Config& config, std::string_view name) {
  const auto found = std::find_if(config.next_hops.begin(), config.next_hops.end(),
                                  [name](const auto& hop) { return hop.name == name; });
  return found == config.next_hops.end() ? nullptr : &*found;
}

/// Which limits on size the message meets, first ours, then the next hop's.
json::object size_json(std::uint64_t size, const config::Config& config,
                       const outbound::NextHopOptions* hop) {
  json::object object{{"octets", size}, {"fits", true}};
  if (size > config.inbound.limits.message_size) {
    object["fits"] = false;
    object["why"] = "552 5.3.4 at MAIL: limits.message_size is " +
                    std::to_string(config.inbound.limits.message_size) + " octets";
  } else if (hop != nullptr && hop->max_message_size > 0 && size > hop->max_message_size) {
    object["fits"] = false;
    object["why"] = "accepted, then returned with 5.3.4: max_message_size of next hop '" +
                    hop->name + "' is " + std::to_string(hop->max_message_size) + " octets";
  } else {
    object["why"] =
        hop == nullptr || hop->max_message_size > 0
            ? "within all limits that are configured"
            : "within our limits; what the next hop takes shows its SIZE, WorkMail's is "
              "40 MB after encoding";
  }
  return object;
}

json::object sender_json(const mail::ReversePath& sender, const routing::Router& router,
                         const routing::Decision& decision, WallTime at) {
  json::object object{{"reverse_path", mail::to_string(sender)}};
  if (decision.verdict != routing::Verdict::rewrite && decision.verdict != routing::Verdict::pass)
    return object;
  const auto choice = router.sender_for(sender, decision, at);
  if (choice.rewritten) object["rewritten"] = choice.rewritten->to_string();
  if (!choice.trouble.empty()) object["trouble"] = choice.trouble;
  return object;
}

}  // namespace

json::object to_json(const Explanation& explanation) {
  const routing::Decision& decision = explanation.decision;
  json::object object;
  object["address"] = decision.original.to_string();
  object["verdict"] = std::string(routing::to_string(decision.verdict));
  if (has_target(decision)) object["target"] = decision.target.to_string();
  if (!decision.next_hop.empty()) object["next_hop"] = decision.next_hop;
  if (!explanation.next_hop_summary.empty())
    object["next_hop_summary"] = explanation.next_hop_summary;
  if (decision.state) object["state"] = std::string(routing::to_string(*decision.state));
  if (!decision.wave.empty()) object["wave"] = decision.wave;
  if (!decision.place.source.empty()) {
    object["source"] = decision.place.source;
    object["line"] = decision.place.line;
  }
  object["why"] = decision.why;
  object["reply"] = decision.reply.to_line();
  json::array copies;
  for (const auto& copy : decision.copies)
    copies.push_back(
        json::object{{"target", copy.target.to_string()}, {"next_hop", copy.next_hop}});
  if (!copies.empty()) object["copies"] = std::move(copies);
  if (!decision.shadow_next_hop.empty())
    object["shadow"] =
        json::object{{"target", decision.shadow_target}, {"next_hop", decision.shadow_next_hop}};
  json::array steps;
  for (const auto& step : explanation.steps) {
    steps.push_back(json::object{{"step", step.step}, {"detail", step.detail}});
  }
  object["steps"] = std::move(steps);
  return object;
}

RouteQuestion read_question(admin::Fields& fields, WallTime now) {
  RouteQuestion question;
  const auto mailbox = [&](std::string_view field, const std::string& text) {
    auto read = mail::parse_mailbox(text);
    if (!read) fields.refuse(field, "can't be '" + text + "': " + read.error().message);
    return read ? std::move(*read) : mail::Mailbox{};
  };
  if (const auto text = fields.text("address", admin::Need::required); !text.empty())
    question.address = mailbox("address", text);
  question.at = now;
  if (const auto at = fields.text("at"); !at.empty()) {
    const auto time = routing::parse_time(at, now);
    if (time)
      question.at = *time;
    else
      fields.refuse("at", "is no time that is clear: " + time.error().message);
  }
  if (const auto sender = fields.text("sender"); sender == "<>") {
    question.sender = mail::ReversePath{};
  } else if (!sender.empty()) {
    question.sender = mail::ReversePath{mailbox("sender", sender)};
  }
  question.size = fields.count("size").value_or(0);
  return question;
}

json::object explain(const RouteQuestion& question, const routing::Router& router,
                     const config::Config& config) {
  Explanation explanation;
  explanation.decision = router.decide(question.address, question.at, &explanation.steps);
  explanation.next_hop_summary =
      summarise_next_hop(config.next_hops, explanation.decision.next_hop);
  json::object object = to_json(explanation);
  const auto& decision = explanation.decision;
  object["at"] = routing::format_time(question.at);
  for (const auto& directory : config.directories)
    if (directory.snapshot == decision.place.source) {
      object["directory"] = directory.name;
      if (const auto dn = routing::directory_dn_at(directory.snapshot, decision.place.line))
        object["dn"] = *dn;
    }
  if (!decision.wave.empty())
    if (const auto* wave = router.waves().find(decision.wave))
      if (const auto* next = wave->next_after(question.at))
        object["next_change"] = json::object{{"at", routing::format_time(next->at)},
                                             {"to", routing::to_string(next->to)}};
  if (question.sender)
    object["sender"] = sender_json(*question.sender, router, decision, question.at);
  if (question.size > 0)
    object["size"] = size_json(question.size, config, next_hop_of(config, decision.next_hop));
  return object;
}

}  // namespace waypost::app
