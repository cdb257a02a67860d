// The reference of all keys, told by the reader itself.
#include "config/schema.h"

#include <map>
#include <set>

namespace waypost::config {
namespace {

std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

/// "next_hops.NAME.tls" -> "next_hops.NAME"; top-level keys have none.
std::string section_of(const std::string& path) {
  const auto dot = path.rfind('.');
  return dot == std::string::npos ? std::string() : path.substr(0, dot);
}

bool is_section(const KeyDescription& key) {
  return key.type == "section" || key.type == "section of sections" ||
         key.type == "list of sections";
}

/// With the values of `config` as defaults.
std::vector<KeyDescription> keys_of(Config config) {
  std::vector<KeyDescription> keys;
  Reading reading;
  reading.check_files = false;
  reading.described = &keys;
  Section root(reading, nullptr, {}, Place{});
  read_config(root, config);
  return keys;
}

/// What a running gateway takes over: these sections, and their keys below.
bool is_reloaded(std::string_view path) {
  constexpr std::string_view kSections[] = {"listeners", "tls",   "admission",   "limits",
                                            "routing",   "waves", "directories", "srs",
                                            "next_hops", "queue", "log",         "tracking"};
  const auto section = path.substr(0, path.find_first_of(".["));
  return std::find(std::begin(kSections), std::end(kSections), section) != std::end(kSections);
}

using Values = std::map<std::string, std::string>;

/// The keys of one named item, with their values.
template <class Item>
void add_item(Values& values, const std::string& path, Item item,
              void (*read)(Section& section, Item& into)) {
  std::vector<KeyDescription> keys;
  Reading reading;
  reading.check_files = false;
  reading.described = &keys;
  Section section(reading, nullptr, path, Place{});
  read(section, item);
  for (auto& key : keys) values[key.path] = std::move(key.default_value);
}

/// Said of every entry of a source, or one entry of it; for comparing only.
std::string words_of(const routing::Entry& entry) {
  auto words = entry.address.to_string() + " " + entry.target.to_string() + " " + entry.wave;
  for (const auto& copy : entry.copies) words += " " + copy.to_string();
  if (entry.has_state) words += " " + std::string(routing::to_string(entry.state));
  return words + "\n";
}

std::string words_of(const routing::TableSource& source) {
  auto words = std::to_string(static_cast<int>(source.kind)) + " " + source.address_domain + " " +
               source.directory + " " + source.wave;
  if (source.state) words += " " + std::string(routing::to_string(*source.state));
  for (const auto& path : source.paths) words += "\n" + path;
  for (const auto& path : source.aliases) words += "\naliases " + path;
  return words + "\n";
}

/// Lists and maps whose keys describe no value: where the table comes from.
void add_routing(Values& values, const Config& config) {
  const auto& options = config.routing;
  for (const auto& alias : options.domain_aliases)
    values["routing.domain_aliases"] += alias.alias + " " + alias.domain + "\n";
  for (const auto& target : options.target_domains)
    values["routing.target_domains"] += target.domain + " " + target.next_hop + "\n";
  // 'tables' are the last of the sources.
  std::size_t tables = 0;
  while (config.places.contains("routing.tables[" + std::to_string(tables) + "]")) ++tables;
  for (std::size_t i = 0; i < options.sources.size(); ++i) {
    const auto& source = options.sources[i];
    if (source.kind != routing::TableSource::Kind::inline_yaml) {
      const bool is_table = i + tables >= options.sources.size();
      values[is_table ? "routing.tables" : "routing.sources"] += words_of(source);
      continue;
    }
    for (const auto& entry : source.entries) values["routing.entries"] += words_of(entry);
  }
}

/// All that a reload takes over, by path; named items under their names.
Values reloaded_values(const Config& config) {
  Values values;
  for (auto& key : keys_of(config)) {
    const bool of_any_item =
        key.path.find(".NAME") != std::string::npos || key.path.find("[]") != std::string::npos;
    if (is_reloaded(key.path) && !of_any_item && !is_section(key))
      values[key.path] = std::move(key.default_value);
  }
  for (const auto& hop : config.next_hops)
    add_item(values, "next_hops." + hop.name, hop, &read_next_hop);
  for (const auto& wave : config.routing.waves)
    add_item(values, "waves." + wave.name, wave, &read_wave);
  for (const auto& directory : config.directories)
    add_item(values, "directories." + directory.name, directory, &read_directory);
  for (const auto& [name, policy] : config.queue.next_hops)
    add_item(values, "queue.next_hops." + name, policy, &read_policy);
  for (std::size_t i = 0; i < config.inbound.listeners.size(); ++i)
    add_item(values, "listeners[" + std::to_string(i) + "]", config.inbound.listeners[i],
             &read_listener);
  add_routing(values, config);
  return values;
}

/// "next_hops.exchange" of "next_hops.exchange.hosts"; empty: the key is of no item.
std::string item_of(const std::string& path) {
  if (path.starts_with("listeners[")) return path.substr(0, path.find(']') + 1);
  for (const std::string_view list : {"next_hops.", "waves.", "directories.", "queue.next_hops."}) {
    if (!path.starts_with(list)) continue;
    return path.substr(0, path.find('.', list.size()));
  }
  return {};
}

bool has_item(const Values& values, const std::string& item) {
  const auto found = values.lower_bound(item + ".");
  return found != values.end() && found->first.starts_with(item + ".");
}

/// "queue" of "queue.expiry", and "queue.expiry" itself, but nothing of "queues".
bool is_within(std::string_view path, std::string_view section) {
  return path == section || (path.starts_with(section) && path[section.size()] == '.');
}

/// What stood in the file that runs and stands in the new one no more, though a section or key: the
/// defaults hold again. Of what stands within one another the outermost.
std::vector<std::string> removed_paths(const Config& running, const Config& wanted) {
  std::vector<std::string> removed;
  for (const auto& [path, place] : running.places) {
    const bool of_a_list = path.find('[') != std::string::npos;
    if (of_a_list || wanted.places.contains(path) || !is_reloaded(path)) continue;
    if (const auto item = item_of(path); !item.empty() && !wanted.places.contains(item))
      continue;  // it is told as gone
    if (std::none_of(removed.begin(), removed.end(),
                     [&path = path](const std::string& one) { return is_within(path, one); }))
      removed.push_back(path);
  }
  return removed;
}

}  // namespace

std::vector<KeyDescription> known_keys() { return keys_of({}); }

std::vector<std::string> needs_restart(const Config& running, const Config& wanted) {
  const auto before = keys_of(running);
  const auto after = keys_of(wanted);
  std::vector<std::string> changed;
  for (std::size_t i = 0; i < std::min(before.size(), after.size()); ++i) {
    if (before[i].default_value != after[i].default_value && !is_reloaded(before[i].path))
      changed.push_back(before[i].path);
  }
  return changed;
}

std::vector<std::string> changed_keys(const Config& running, const Config& wanted) {
  const auto before = reloaded_values(running);
  auto after = reloaded_values(wanted);
  std::vector<std::string> changed;
  for (const auto& [path, value] : after) {
    const auto found = before.find(path);
    if (found == before.end() || found->second != value) changed.push_back(path);
  }
  for (const auto& [path, value] : before)
    if (!after.contains(path)) changed.push_back(path);
  // What is new or gone is named once.
  std::set<std::string> items;
  std::erase_if(changed, [&](const std::string& path) {
    const auto item = item_of(path);
    if (item.empty() || (has_item(before, item) && has_item(after, item))) return false;
    items.insert(item + (has_item(after, item) ? " (new)" : " (gone)"));
    return true;
  });
  const auto removed = removed_paths(running, wanted);
  std::erase_if(changed, [&](const std::string& path) {
    return std::any_of(removed.begin(), removed.end(), [&](const std::string& one) {
      return is_within(path, one) || is_within(one, path);
    });
  });
  changed.insert(changed.end(), items.begin(), items.end());
  // Also where nothing comes of it: a file that was cut loses more than one.
  for (const auto& path : removed) changed.push_back(path + " (removed)");
  return changed;
}

std::string reference_markdown() {
  const auto keys = known_keys();
  std::vector<std::string> sections = {std::string()};
  for (const auto& key : keys) {
    const auto section = section_of(key.path);
    if (std::find(sections.begin(), sections.end(), section) == sections.end())
      sections.push_back(section);
  }
  std::string out;
  for (const auto& section : sections) {
    out += section.empty() ? "### Top level\n" : "### `" + section + "`\n";
    for (const auto& key : keys) {
      auto holder = key.path;
      if (key.type == "list of sections") holder += "[]";
      if (key.type == "section of sections") holder += ".NAME";
      if (!section.empty() && holder == section) out += "\n" + key.meaning + "\n";
    }
    out += "\n| key | type | default | meaning |\n|---|---|---|---|\n";
    for (const auto& key : keys) {
      if (section_of(key.path) != section) continue;
      const auto name = key.path.substr(section.empty() ? 0 : section.size() + 1);
      const auto value = key.required                ? std::string("**required**")
                         : is_section(key)           ? std::string()
                         : key.default_value.empty() ? std::string("empty")
                                                     : "`" + key.default_value + "`";
      out += "| `" + name + "` | " + cell(key.type) + " | " + cell(value) + " | " +
             cell(key.meaning) + " |\n";
    }
    out += "\n";
  }
  return out;
}

}  // namespace waypost::config
