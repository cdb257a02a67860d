#include "waypost/queue/journal.h"

#include "queue/json_values.h"

#include <algorithm>

namespace waypost::queue {
namespace json = boost::json;
namespace {

json::object touched_object(const Touched& touched) {
  json::array recipients;
  for (const std::uint32_t i : touched.recipients) recipients.emplace_back(i);
  return {{"id", touched.id.to_string()}, {"recipients", std::move(recipients)}};
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
  Touched touched{*parsed, {}};
  for (const auto& one : recipients->as_array()) {
    if (!one.is_int64() || one.as_int64() < 0) return nonsense();
    touched.recipients.push_back(static_cast<std::uint32_t>(one.as_int64()));
  }
  return touched;
}

std::string line_of(const Command& command, const std::vector<Touched>& touched) {
  json::object line = command_object(command);
  json::array all;
  for (const Touched& one : touched) all.emplace_back(touched_object(one));
  line["touched"] = std::move(all);
  return json::serialize(line) + "\n";
}

class FileJournal final : public Journal {
 public:
  FileJournal(spool::Disk& disk, std::string path) : disk_(disk), path_(std::move(path)) {}

  Result<> read(const std::function<void(const std::string&)>& complain) {
    auto opened = disk_.open(path_, false);
    if (!opened && opened.error().kind == ErrorKind::not_found) return {};
    if (!opened) return fail(std::move(opened).error());
    const auto text = content_of(**opened);
    if (!text) return fail(text.error());
    std::size_t number = 1;
    std::size_t begin = 0;
    for (auto end = text->find('\n'); end != std::string::npos; end = text->find('\n', begin)) {
      const std::string line = text->substr(begin, end - begin);
      begin = end + 1;
      const auto read_one = line.empty() ? Result<>() : take(line);
      if (!read_one)
        complain(path_ + ":" + std::to_string(number) + ": " + read_one.error().message +
                 "; the line is left out");
      ++number;
    }
    if (begin < text->size())
      complain(path_ + ":" + std::to_string(number) +
               ": a crash has torn this line; whoever gave the command was not told that it is "
               "done; the line is left out");
    file_ = std::move(*opened);
    end_ = begin;
    return {};
  }
  const ControlState& state() const override { return state_; }

  Result<> usable() const override {
    if (trouble_.empty()) return {};
    return fail(ErrorKind::io, path_ + ": " + trouble_ +
                                   "; after that nobody knows what the disk has: mend it and "
                                   "restart the gateway");
  }

  Result<> append(const Command& command, const std::vector<Touched>& touched) override {
    if (!must_survive(command.verb) || command.dry_run) return {};
    const bool standing = command.verb == Verb::suspend || command.verb == Verb::resume;
    if (!standing && touched.empty()) return {};
    if (auto can = usable(); !can) return can;
    if (file_ == nullptr) {
      auto opened = disk_.open(path_, true);
      if (!opened) return fail(std::move(opened).error());
      file_ = std::move(*opened);
      end_ = 0;
      named_ = false;
    }
    const std::string line = line_of(command, touched);
    if (auto written = write(*file_, line); !written) return written;
    if (!named_) {
      if (auto synced = sync_names(); !synced) return synced;
    }
    state_.apply(command, touched);
    return {};
  }

  Result<> compact(const std::function<bool(std::uint64_t id)>& exists) override {
    std::erase_if(state_.held, [&](const auto& one) { return !exists(one.first); });
    std::erase_if(state_.rerouted, [&](const auto& one) { return !exists(one.first); });
    const std::string text = text_of_state();
    if (file_ == nullptr && text.empty()) return {};
    if (text.empty()) {
      if (auto removed = disk_.remove(path_); !removed) return removed;
      file_ = nullptr;
      end_ = 0;
      return sync_names();
    }
    const std::string fresh = path_ + ".new";
    static_cast<void>(disk_.remove(fresh));  // a crash may have left one
    auto opened = disk_.open(fresh, true);
    if (!opened) return fail(std::move(opened).error());
    const iovec all{const_cast<char*>(text.data()), text.size()};
    if (auto written = (*opened)->write_at(0, {&all, 1}); !written) return written;
    if (auto synced = (*opened)->sync_data(); !synced) return synced;  // the old one is still good
    if (auto moved = disk_.rename(fresh, path_); !moved) return moved;
    file_ = std::move(*opened);
    end_ = text.size();
    return sync_names();
  }

 private:
  static Result<std::string> content_of(spool::File& file) {
    const auto size = file.size();
    if (!size) return fail(size.error());
    std::string text(*size, '\0');
    const auto got = file.read_at(0, {text.data(), text.size()});
    if (!got) return fail(got.error());
    text.resize(*got);
    return text;
  }

  std::string text_of_state() const {
    std::string text;
    Command command;
    for (const Selector& one : state_.suspensions) {
      command.verb = Verb::suspend;
      command.selector = one;
      text += line_of(command, {});
    }
    command = {};
    command.verb = Verb::hold;
    for (const auto& [id, recipients] : state_.held)
      text += line_of(command, {{QueueId{id}, {recipients.begin(), recipients.end()}}});
    command.verb = Verb::reroute;
    for (const auto& [id, ways] : state_.rerouted) {
      for (const auto& [recipient, next_hop] : ways) {
        command.next_hop = next_hop;
        text += line_of(command, {{QueueId{id}, {recipient}}});
      }
    }
    return text;
  }

  Result<> take(const std::string& line) {
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

  /// Behind the last whole line. What a crash or a failed write has left there is covered: the line
  /// is made as long, for a torn one must not stick to the next.
  Result<> write(spool::File& file, std::string line) {
    const auto size = file.size();
    if (!size) return fail(size.error());
    if (end_ + line.size() < *size) {
      line.pop_back();
      line.resize(*size - end_ - 1, ' ');
      line += '\n';
    }
    const iovec all{line.data(), line.size()};
    if (auto written = file.write_at(end_, {&all, 1}); !written) return written;
    if (auto synced = file.sync_data(); !synced) {
      trouble_ = synced.error().message;
      // Nobody is promised it, so the restart that mends this should not find it: after a crash it
      // may all the same.
      line.assign(line.size() - 1, ' ');
      line += '\n';
      const iovec blank{line.data(), line.size()};
      static_cast<void>(file.write_at(end_, {&blank, 1}));
      return synced;
    }
    end_ += line.size();
    return {};
  }

  /// A name that came or moved is there after a crash only when its directory was synced.
  Result<> sync_names() {
    auto synced = disk_.sync_directory(path_.substr(0, path_.rfind('/')));
    if (!synced) trouble_ = synced.error().message;
    named_ = synced.has_value();
    return synced;
  }

  spool::Disk& disk_;
  std::string path_;
  std::unique_ptr<spool::File> file_;  // null: there is none yet
  std::uint64_t end_ = 0;              // of its last whole line
  bool named_ = false;                 // its name is on stable storage
  std::string trouble_;                // why no line can be promised any more
  ControlState state_;
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
        for (const std::uint32_t i : one.recipients) rerouted[one.id.value][i] = command.next_hop;
      }
      return;
    case Verb::flush:
    case Verb::bounce:
    case Verb::remove:
      return;
  }
}

Result<std::unique_ptr<Journal>> Journal::open(
    spool::Disk& disk, const std::string& path,
    const std::function<void(const std::string&)>& complain) {
  auto journal = std::make_unique<FileJournal>(disk, path);
  if (auto read = journal->read(complain); !read) return fail(read.error());
  return journal;
}

}  // namespace waypost::queue
