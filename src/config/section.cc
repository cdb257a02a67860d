#include "config/section.h"

#include "waypost/base/spelling.h"

#include "config/scalars.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>

namespace waypost::config {
namespace {

std::string quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text.substr(0, 120)) {
    const auto u = static_cast<unsigned char>(c);
    out += u < 0x20 || u == 0x7f ? '?' : c;
  }
  return out + "'";
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto u = static_cast<unsigned char>(c);
    return u < 0x20 || u == 0x7f;
  });
}

/// Names appear in logs, metrics and on command lines.
bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  });
}

std::string listed(const std::vector<std::string>& texts) {
  std::string out = "[";
  for (const auto& text : texts) out += (out.size() > 1 ? ", " : "") + text;
  return out + "]";
}

}  // namespace

void Reading::error(Place place, std::string message) {
  diagnostics.push_back(
      Diagnostic{Diagnostic::Level::error, file, place.line, place.column, std::move(message)});
}

void Reading::warning(Place place, std::string message) {
  diagnostics.push_back(
      Diagnostic{Diagnostic::Level::warning, file, place.line, place.column, std::move(message)});
}

Section::Section(Reading& reading, const Value* value, std::string path, Place place)
    : reading_(reading),
      value_(value),
      present_(value != nullptr),
      path_(std::move(path)),
      place_(place) {
  if (value_ == nullptr || value_->kind == Value::Kind::map) return;
  // An empty section is one without keys.
  if (value_->kind != Value::Kind::null)
    reading_.error(value_->place, quoted(path_) + " must be a section with keys, not " +
                                      std::string(value_->kind_name()));
  value_ = nullptr;
}

std::string Section::path_of(std::string_view key) const {
  return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
}

const Member* Section::member(std::string_view key) const {
  if (value_ == nullptr) return nullptr;
  const auto known = std::find_if(value_->members.begin(), value_->members.end(),
                                  [&](const Member& m) { return m.key == key; });
  return known == value_->members.end() ? nullptr : &*known;
}

Place Section::place_of(std::string_view key) const {
  const auto* found = member(key);
  return found == nullptr ? place_ : found->place;
}

const Member* Section::ask(const Key& key, std::string_view type, std::string default_value) {
  known_.push_back(key.name);
  if (describing()) {
    reading_.described->push_back(KeyDescription{path_of(key.name), std::string(type),
                                                 std::move(default_value), std::string(key.meaning),
                                                 !key.example.empty()});
    return nullptr;
  }
  const auto* found = member(key.name);
  if (found != nullptr) {
    reading_.places[path_of(key.name)] = found->place;
    return found;
  }
  // A section that is missing was reported itself.
  if (!key.example.empty() && present_)
    reading_.error(place_, "the key " + quoted(key.name) + " is missing" +
                               (path_.empty() ? "" : " in " + quoted(path_)) + " (" +
                               std::string(key.meaning) +
                               "); add a line such as: " + std::string(key.example));
  return nullptr;
}

const Value* Section::ask_scalar(const Key& key, std::string_view type, std::string default_value) {
  const auto* found = ask(key, type, std::move(default_value));
  if (found == nullptr) return nullptr;
  if (found->value.kind == Value::Kind::scalar && !has_control(found->value.text))
    return &found->value;
  if (found->value.kind == Value::Kind::scalar)
    reading_.error(found->value.place,
                   quoted(key.name) + " holds a control character or line break");
  else if (found->value.kind == Value::Kind::null)
    reading_.error(found->place, quoted(key.name) + " has no value; give one (" +
                                     std::string(key.meaning) + ") or remove the line");
  else
    reading_.error(found->value.place, quoted(key.name) + " must be a single value, not " +
                                           std::string(found->value.kind_name()));
  return nullptr;
}

const Value* Section::ask_kind(const Key& key, std::string_view type, std::string default_value,
                               Value::Kind kind, std::string_view example) {
  const auto* found = ask(key, type, std::move(default_value));
  if (found == nullptr) return nullptr;
  if (found->value.kind == kind) return &found->value;
  if (found->value.kind != Value::Kind::null)
    reading_.error(found->value.place, quoted(key.name) + " must be " +
                                           (kind == Value::Kind::list ? "a list" : "a section") +
                                           ", not " + std::string(found->value.kind_name()) +
                                           "; such as " + std::string(example));
  return nullptr;
}

void Section::wrong(const Key& key, const Value& value, std::string_view what) {
  reading_.error(value.place,
                 quoted(key.name) + " " + std::string(what) + ", not " + quoted(value.text));
}

void Section::text(Key key, std::string& out) {
  if (const auto* value = ask_scalar(key, "text", out)) {
    out = value->text;
    if (out.empty() && !key.example.empty())
      reading_.error(value->place, quoted(key.name) + " is empty (" + std::string(key.meaning) +
                                       "); write something like: " + std::string(key.example));
  }
}

void Section::boolean(Key key, bool& out) {
  const auto* value = ask_scalar(key, "true or false", out ? "true" : "false");
  if (value == nullptr) return;
  if (const auto parsed = parse_boolean(value->text))
    out = *parsed;
  else
    wrong(key, *value, parsed.error().message);
}

bool Section::within(const Key& key, Place place, Duration duration, TimeBounds bounds) {
  if (duration >= bounds.least && duration <= bounds.most) return true;
  reading_.error(place, quoted(key.name) + " must be from " + format_duration(bounds.least) +
                            " to " + format_duration(bounds.most) + ", not " +
                            format_duration(duration));
  return false;
}

void Section::duration(Key key, Duration& out, TimeBounds bounds) {
  const auto* value = ask_scalar(key, "duration", format_duration(out));
  if (value == nullptr) return;
  const auto parsed = parse_duration(value->text);
  if (!parsed)
    wrong(key, *value, parsed.error().message);
  else if (within(key, value->place, *parsed, bounds))
    out = *parsed;
}

void Section::durations(Key key, std::vector<Duration>& out, TimeBounds bounds) {
  std::vector<std::string> current;
  for (const auto item : out) current.push_back(format_duration(item));
  const auto* value =
      ask_kind(key, "list of durations", listed(current), Value::Kind::list, "[30s, 1m, 5m]");
  if (value == nullptr) return;
  std::vector<Duration> fresh;
  for (const auto& item : value->items) {
    const auto parsed = parse_duration(item.text);
    if (item.kind != Value::Kind::scalar)
      reading_.error(item.place, "an item of " + quoted(key.name) + " must be a time such as 30s");
    else if (!parsed)
      wrong(key, item, parsed.error().message);
    else if (within(key, item.place, *parsed, bounds))
      fresh.push_back(*parsed);
  }
  if (value->items.empty())
    reading_.error(value->place, quoted(key.name) + " must have at least one item");
  if (!fresh.empty()) out = std::move(fresh);
}

void Section::size(Key key, std::uint64_t& out, Bounds<std::uint64_t> bounds) {
  const auto* value = ask_scalar(key, "size", format_size(out));
  if (value == nullptr) return;
  const auto parsed = parse_size(value->text);
  if (!parsed)
    wrong(key, *value, parsed.error().message);
  else if (*parsed < bounds.least || *parsed > bounds.most)
    reading_.error(value->place, quoted(key.name) + " must be from " + format_size(bounds.least) +
                                     " to " + format_size(bounds.most) + ", not " +
                                     format_size(*parsed));
  else
    out = *parsed;
}

void Section::share(Key key, double& out, double least, double most) {
  const auto shown = [](double v) {
    auto text = std::to_string(v);
    while (text.ends_with('0') && !text.ends_with(".0")) text.pop_back();
    return text;
  };
  const auto* value = ask_scalar(key, "share", shown(out));
  if (value == nullptr) return;
  const auto parsed = parse_share(value->text);
  if (!parsed)
    wrong(key, *value, parsed.error().message);
  else if (*parsed < least || *parsed > most)
    wrong(key, *value, "must be from " + shown(least) + " to " + shown(most));
  else
    out = *parsed;
}

bool Section::number_within(const Key& key, std::uint64_t& value, std::uint64_t least,
                            std::uint64_t most) {
  const auto* scalar = ask_scalar(key, "number", std::to_string(value));
  if (scalar == nullptr) return false;
  const auto parsed = parse_number(scalar->text);
  if (!parsed) {
    wrong(key, *scalar, parsed.error().message);
    return false;
  }
  if (*parsed < least || *parsed > most) {
    reading_.error(scalar->place, quoted(key.name) + " must be from " + std::to_string(least) +
                                      " to " + std::to_string(most) + ", not " +
                                      std::to_string(*parsed));
    return false;
  }
  value = *parsed;
  return true;
}

std::size_t Section::choose(const Key& key, const std::vector<std::string_view>& words,
                            std::string_view current) {
  std::string type = "one of ";
  for (const auto word : words) type += (type.size() > 7 ? ", " : "") + std::string(word);
  const auto* value = ask_scalar(key, type, std::string(current));
  if (value == nullptr) return words.size();
  const auto known = std::find(words.begin(), words.end(), value->text);
  if (known == words.end())
    reading_.error(
        value->place,
        quoted(key.name) + " must be " + type + ", not " + quoted(value->text) +
            (nearest_word(value->text, words).empty() ? "" : suggestion(value->text, words)));
  return static_cast<std::size_t>(known - words.begin());
}

void Section::texts(Key key, std::string_view type, std::vector<std::string>& out) {
  const auto* found = ask(key, type, listed(out));
  if (found == nullptr) return;
  const auto& value = found->value;
  const auto take = [&](const Value& item, std::size_t index) {
    if (item.kind == Value::Kind::scalar && !has_control(item.text) && !item.text.empty()) {
      reading_.places[path_of(key.name) + "[" + std::to_string(index) + "]"] = item.place;
      out.push_back(item.text);
    } else {
      reading_.error(item.place, "an item of " + quoted(key.name) + " must be a single word, not " +
                                     (item.kind == Value::Kind::scalar
                                          ? "an empty one or one with control characters"
                                          : std::string(item.kind_name())));
    }
  };
  out.clear();
  if (value.kind == Value::Kind::list)
    for (std::size_t i = 0; i < value.items.size(); ++i) take(value.items[i], i);
  else if (value.kind == Value::Kind::scalar)
    take(value, 0);
  else if (value.kind == Value::Kind::map)
    reading_.error(value.place,
                   quoted(key.name) + " must be a list such as [one, two], not a section");
  if (out.empty() && !key.example.empty())
    reading_.error(found->place, quoted(key.name) + " is empty (" + std::string(key.meaning) +
                                     "); write something like: " + std::string(key.example));
}

std::string Section::resolve(const std::string& path) const {
  return path.empty() || path.front() == '/' ? path : reading_.folder + path;
}

void Section::path(Key key, std::string& out) {
  if (const auto* value = ask_scalar(key, "path", out)) out = resolve(value->text);
}

void Section::path_or_none(Key key, std::string& out) {
  const auto* value = ask_scalar(key, "path or none", out.empty() ? "none" : out);
  if (value != nullptr) out = value->text == "none" ? std::string() : resolve(value->text);
}

void Section::check_file(Place place, const std::string& path, FileUse use, std::string_view what) {
  if (!path.empty()) reading_.files.push_back(path);
  if (!reading_.check_files || path.empty()) return;
  if (use == FileUse::table && !reading_.check_table_files) return;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  const int trouble = errno;
  struct stat info{};
  const bool regular = fd >= 0 && ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  if (fd >= 0) ::close(fd);
  const auto subject = quoted(what) + ": the file " + quoted(path);
  if (fd < 0)
    reading_.error(
        place,
        subject +
            (trouble == ENOENT   ? " does not exist"
             : trouble == EACCES ? " may not be read by this user"
                                 : " cannot be read (" + describe_errno(trouble) + ")") +
            (trouble == EACCES ? "; give the waypost user access, such as: chgrp waypost FILE "
                                 "&& chmod 0640 FILE"
                               : "; correct the path or put the file there"));
  else if (!regular)
    reading_.error(place, subject + " is not a regular file; correct the path");
  else if (use == FileUse::secret && (info.st_mode & S_IRWXO) != 0)
    reading_.warning(place, subject +
                                " is secret but every user of this machine may access it; run: "
                                "chmod o-rwx " +
                                path);
}

void Section::file(Key key, std::string& out, FileUse use) {
  const auto* value = ask_scalar(key, "file", out);
  if (value == nullptr) return;
  out = resolve(value->text);
  if (out.empty() && !key.example.empty())
    reading_.error(value->place, quoted(key.name) + " is empty; write something like: " +
                                     std::string(key.example));
  check_file(value->place, out, use, key.name);
}

void Section::files(Key key, std::vector<std::string>& out) {
  texts(key, "list of files", out);
  for (std::size_t i = 0; i < out.size() && !describing(); ++i) {
    out[i] = resolve(out[i]);
    const auto place = reading_.places.find(path_of(key.name) + "[" + std::to_string(i) + "]");
    check_file(place == reading_.places.end() ? place_of(key.name) : place->second, out[i],
               FileUse::table, key.name);
  }
}

void Section::section(Key key, const std::function<void(Section&)>& read) {
  const auto* found = ask(key, "section", {});
  Section inner(reading_, found == nullptr ? nullptr : &found->value, path_of(key.name),
                found == nullptr ? place_ : found->place);
  read(inner);
  inner.finish();
}

bool Section::sections(Key key, const std::function<void(Section&)>& read) {
  const auto* value =
      ask_kind(key, "list of sections", {}, Value::Kind::list, "lines that begin with '- '");
  if (describing()) {
    Section inner(reading_, nullptr, path_of(key.name) + "[]", place_);
    read(inner);
    return false;
  }
  for (std::size_t i = 0; value != nullptr && i < value->items.size(); ++i) {
    const auto& item = value->items[i];
    auto name = path_of(key.name) + "[" + std::to_string(i) + "]";
    reading_.places[name] = item.place;
    Section inner(reading_, &item, std::move(name), item.place);
    read(inner);
    inner.finish();
  }
  return value != nullptr;
}

void Section::named_sections(Key key, std::string_view name,
                             const std::function<void(const std::string&, Section&)>& read) {
  const auto* value =
      ask_kind(key, "section of sections", {}, Value::Kind::map, "NAME: with keys below it");
  if (describing()) {
    Section inner(reading_, nullptr, path_of(key.name) + "." + std::string(name), place_);
    return read(std::string(name), inner);
  }
  if (value == nullptr) return;
  for (const auto& item : value->members) {
    if (!is_name(item.key)) {
      reading_.error(item.place, quoted(item.key) + " is no good name in " + quoted(key.name) +
                                     "; use up to 64 letters, digits, '_', '-' and '.'");
      continue;
    }
    auto path = path_of(key.name) + "." + item.key;
    reading_.places[path] = item.place;
    Section inner(reading_, &item.value, std::move(path), item.place);
    read(item.key, inner);
    inner.finish();
  }
}

void Section::pairs(Key key, std::string_view type,
                    const std::function<void(const std::string&, const std::string&)>& read) {
  const auto* value = ask_kind(key, type, {}, Value::Kind::map, "lines of NAME: VALUE below it");
  if (value == nullptr) return;
  for (const auto& item : value->members) {
    reading_.places[path_of(key.name) + "." + item.key] = item.place;
    if (item.value.kind != Value::Kind::scalar || has_control(item.value.text) ||
        item.value.text.empty() || has_control(item.key))
      reading_.error(item.value.place, "the value of " + quoted(item.key) + " in " +
                                           quoted(key.name) + " must be a single word");
    else
      read(item.key, item.value.text);
  }
}

void Section::finish() {
  if (value_ == nullptr || describing()) return;
  for (const auto& item : value_->members) {
    if (std::find(known_.begin(), known_.end(), item.key) != known_.end()) continue;
    reading_.error(item.place, "unknown key " + quoted(item.key) +
                                   (path_.empty() ? "" : " in " + quoted(path_)) +
                                   suggestion(item.key, known_));
  }
}

}  // namespace waypost::config
