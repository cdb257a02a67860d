// A next hop with mx_of_recipient stands for the whole Internet. A domain whose servers answer
// slowly on purpose must not take every place: it gets a quarter of them, and a job goes to one
// domain only, so that nobody waits behind another domain's servers.
#include "queue/queue_impl.h"

namespace waypost::queue {
namespace {

constexpr std::uint32_t kShare = 4;           // one domain: one place in so many
constexpr std::chrono::minutes kAskAgain{5};  // at the latest; a place that gets free calls earlier

std::string domain_of(const outbound::AttemptInput& input, std::size_t at) {
  return mail::ascii_lower(input.recipients[at].target.domain);
}

}  // namespace

/// Leaves in the job the recipients of one domain; the others become jobs of their own. False: too
/// many deliveries to it run, and the job waits. True: end_domain_turn() must follow.
bool QueueImpl::take_domain_turn(Index at, outbound::AttemptInput& input) {
  Job& job = jobs_[at];
  Hop& hop = hops_[job.hop];
  const std::string domain = domain_of(input, 0);
  std::vector<std::uint32_t> staying;
  std::map<std::string, std::vector<std::uint32_t>> others;
  for (std::size_t k = 0; k < input.recipients.size(); ++k) {
    const std::string its = domain_of(input, k);
    (its == domain ? staying : others[its]).push_back(input.recipients[k].index);
  }
  std::erase_if(input.recipients, [&](const outbound::AttemptRecipient& one) {
    return mail::ascii_lower(one.target.domain) != domain;
  });
  for (auto& [name, recipients] : others) add_rest(job, std::move(recipients));
  job.recipients = RecipientList(std::move(staying));
  const auto found = context_.deliverers.find(hop.name);
  const std::uint32_t most = most_at_once(hop, found->second);
  if (hop.domains.begin(domain, std::max(1u, most / kShare))) return true;
  const SteadyTime due = now() + backoff_.after({kAskAgain}, 1);
  hop.domains.wait(domain, messages_[job.message].sender, {at, job.generation, due},
                   [this](const DomainTurns::Waiting& one) { return still_waits(one); });
  make_waiting(at, due);
  return false;
}

void QueueImpl::end_domain_turn(Index at, const std::string& domain) {
  Hop& hop = hops_[at];
  hop.domains.end(domain);
  while (const auto waiting = hop.domains.next(domain)) {
    if (still_waits(*waiting)) return make_ready(waiting->job);
  }
}

/// A flush, a command or its time may have moved it on.
bool QueueImpl::still_waits(const DomainTurns::Waiting& one) const {
  const Job& job = jobs_[one.job];
  return job.alive && job.generation == one.generation && job.state == JobState::waiting &&
         job.due == one.due;
}

}  // namespace waypost::queue
