#include "waypost/queue/journal.h"

#include "waypost/base/sealed_journal.h"

#include "queue/json_values.h"

#include <algorithm>

namespace waypost::queue {
namespace json = boost::json;
namespace {

json::object touched_object(const Touched& touched) {
  json::array recipients;
  for (const std::uint32_t i : touched.recipients) recipients.emplace_back(i);
  json::object object{{"id", touched.id.to_string()}, {"recipients", std::move(recipients)}};
  if (!touched.routes.empty()) object["routes"] = json::value_from(touched.routes);
  return object;
}

Result<Touched> touched_from(const json::value& value) {
  const auto nonsense = [] { return fail(ErrorKind::invalid, "'touched' makes no sense"); };
  if (!value.is_object()) return nonsense();
  const auto* id = value.as_object().if_contains("id");
  const auto* recipients = value.as_object().if_contains("recipients");
  if (id == nullptr || !id->is_string() || recipients == nullptr || !recipients->is_array())
    return nonsense();
  const auto parsed = QueueId::parse({id->as_string().data(), id->as_string().size()});
  if (!parsed) return fail(parsed.error());
  Touched touched{*parsed, {}, {}};
  for (const auto& one : recipients->as_array()) {
    if (!one.is_int64() || one.as_int64() < 0) return nonsense();
    touched.recipients.push_back(static_cast<std::uint32_t>(one.as_int64()));
  }
  const auto* routes = value.as_object().if_contains("routes");  // older journals have none
  if (routes == nullptr) return touched;
  if (!routes->is_array() || routes->as_array().size() != touched.recipients.size())
    return nonsense();
  for (const auto& one : routes->as_array()) {
    if (!one.is_string()) return nonsense();
    touched.routes.emplace_back(one.as_string());
  }
  return touched;
}

std::string line_of(const Command& command, const std::vector<Touched>& touched) {
  json::object line = command_object(command);
  json::array all;
  for (const Touched& one : touched) all.emplace_back(touched_object(one));
  line["touched"] = std::move(all);
  return json::serialize(line);
}

class FileJournal final : public Journal {
 public:
  FileJournal(Disk& disk, std::string path) : lines_(disk, std::move(path)) {}

  void read(const std::vector<std::string>& next_hops,
            const std::function<void(const std::string&)>& complain) {
    damage_ = lines_.read([this](std::string_view line) { return take(line); }, complain);
    if (damage_.empty()) return;
    const auto aside = lines_.copy_aside();
    if (!aside) damage_.push_back("no copy could be made of it: " + aside.error().message);
    if (aside && !aside->empty()) damage_.push_back("as it was it is kept as " + *aside);
    Command stop;
    stop.verb = Verb::suspend;
    for (const std::string& name : next_hops) {
      stop.selector.next_hop = name;
      state_.apply(stop, {});
    }
  }
  const ControlState& state() const override { return state_; }
  const std::vector<std::string>& damage() const override { return damage_; }
  Result<> usable() const override { return lines_.usable(); }

  Result<> append(const Command& command, const std::vector<Touched>& touched) override {
    if (!must_survive(command.verb) || command.dry_run) return {};
    const bool standing = command.verb == Verb::suspend || command.verb == Verb::resume;
    if (!standing && touched.empty()) return {};
    if (auto written = lines_.append(line_of(command, touched)); !written) return written;
    state_.apply(command, touched);
    return {};
  }

  Result<> compact(const std::function<bool(std::uint64_t id)>& exists) override {
    std::erase_if(state_.held, [&](const auto& one) { return !exists(one.first); });
    std::erase_if(state_.rerouted, [&](const auto& one) { return !exists(one.first); });
    return lines_.rewrite(lines_of_state());
  }

 private:
  std::vector<std::string> lines_of_state() const {
    std::vector<std::string> lines;
    Command command;
    for (const Selector& one : state_.suspensions) {
      command.verb = Verb::suspend;
      command.selector = one;
      lines.push_back(line_of(command, {}));
    }
    command = {};
    command.verb = Verb::hold;
    for (const auto& [id, recipients] : state_.held)
      lines.push_back(
          line_of(command, {{QueueId{id}, {recipients.begin(), recipients.end()}, {}}}));
    command.verb = Verb::reroute;
    for (const auto& [id, ways] : state_.rerouted) {
      for (const auto& [recipient, way] : ways) {
        command.next_hop = way.next_hop;
        lines.push_back(line_of(command, {{QueueId{id}, {recipient}, {way.of}}}));
      }
    }
    return lines;
  }

  Result<> take(std::string_view line) {
    const auto value = parse_json(line);
    if (!value) return fail(value.error());
    const auto command = command_from(*value);
    if (!command) return fail(command.error());
    std::vector<Touched> touched;
    if (const auto* all = value->as_object().if_contains("touched");
        all != nullptr && all->is_array()) {
      for (const auto& one : all->as_array()) {
        auto read_one = touched_from(one);
        if (!read_one) return fail(read_one.error());
        touched.push_back(std::move(*read_one));
      }
    }
    state_.apply(*command, touched);
    return {};
  }

  SealedJournal lines_;
  ControlState state_;
  std::vector<std::string> damage_;
};

}  // namespace

bool must_survive(Verb verb) {
  return verb != Verb::flush && verb != Verb::bounce && verb != Verb::remove;
}

void ControlState::apply(const Command& command, const std::vector<Touched>& touched) {
  const Selector& what = command.selector;
  switch (command.verb) {
    case Verb::suspend:
      if (std::find(suspensions.begin(), suspensions.end(), what) == suspensions.end())
        suspensions.push_back(what);
      return;
    case Verb::resume:
      if (what.everything()) {
        suspensions.clear();
      } else {
        std::erase(suspensions, what);
      }
      return;
    case Verb::hold:
      for (const Touched& one : touched)
        held[one.id.value].insert(one.recipients.begin(), one.recipients.end());
      return;
    case Verb::release:
      for (const Touched& one : touched) {
        const auto found = held.find(one.id.value);
        if (found == held.end()) continue;
        for (const std::uint32_t i : one.recipients) found->second.erase(i);
        if (found->second.empty()) held.erase(found);
      }
      return;
    case Verb::reroute:
      for (const Touched& one : touched) {
        for (std::size_t k = 0; k < one.recipients.size(); ++k)
          rerouted[one.id.value][one.recipients[k]] = {
              command.next_hop, k < one.routes.size() ? one.routes[k] : std::string()};
      }
      return;
    case Verb::flush:
    case Verb::bounce:
    case Verb::remove:
      return;
  }
}

std::unique_ptr<Journal> Journal::open(Disk& disk, const std::string& path,
                                       const std::vector<std::string>& next_hops,
                                       const std::function<void(const std::string&)>& complain) {
  auto journal = std::make_unique<FileJournal>(disk, path);
  journal->read(next_hops, complain);
  return journal;
}

}  // namespace waypost::queue
