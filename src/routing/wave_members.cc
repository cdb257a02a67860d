// Members files of waves: one address a line.
#include "routing/csv_reader.h"
#include "routing/table_builder_impl.h"

#include <algorithm>

namespace waypost::routing {
namespace {

constexpr std::string_view kBlanks = " \t\r";

/// The line without blanks around it and without comment. '#' is a letter inside an address.
std::string_view without_comment(std::string_view line) {
  const auto first = line.find_first_not_of(kBlanks);
  if (first == std::string_view::npos || line[first] == '#') return {};
  line.remove_prefix(first);
  for (const auto* comment : {" #", "\t#"}) line = line.substr(0, line.find(comment));
  return line.substr(0, line.find_last_not_of(kBlanks) + 1);
}

std::string_view commented_address(std::string_view line) {
  const auto begin = std::min(line.find_first_not_of(kBlanks), line.size());
  return CsvReader::commented_address(line.substr(begin));
}

}  // namespace

void TableBuilder::Impl::add_members(std::string_view wave, std::string_view file,
                                     std::string_view content) {
  std::string storage;
  const auto text = source_text(*this, file, content, storage);
  if (!text) return;
  Member member{table->intern_wave(wave), table->intern_source(file), 0, false};
  std::string_view rest = *text;
  bool somebody = false;
  std::size_t commented = 0;
  std::uint32_t first_line = 0;
  std::string_view first;
  while (!rest.empty()) {
    const auto end = std::min(rest.find('\n'), rest.size());
    ++member.line;
    const auto line = rest.substr(0, end);
    if (const auto comment = commented_address(line); !comment.empty() && commented++ == 0) {
      first_line = member.line;
      first = comment;
    }
    if (const auto address = without_comment(line); !address.empty()) {
      add_member(member, file, address);
      somebody = true;
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (commented > 0) warn_of_comments(*this, file, first_line, first, commented);
  if (!somebody)
    error(file, 1, 1,
          "nobody is in this members file of wave '" + std::string(wave) +
              "': still being written? Write its members, or remove 'members' of this wave");
}

void TableBuilder::Impl::add_member(const Member& member, std::string_view file,
                                    std::string_view text) {
  std::string complaint;
  Part address;
  decomposed_ = {};
  if (!take_address(text, "member", address_storage_, address, complaint))
    return error(file, member.line, 0, std::move(complaint));
  if (!decomposed_.empty()) warn_of_pieces(file, member.line, 0);
  std::string key;
  append_lower(key, address.local_part);
  key.append(1, '@').append(table->normal_name(table->normal_of(address.domain)));
  const auto [known, fresh] = members_.try_emplace(std::move(key), member);
  if (fresh) return;
  const Member& before = known->second;
  const auto place = SourcePlace{table->source_name(before.source), before.line}.to_string();
  if (before.wave == member.wave)
    return warning(file, member.line, 0,
                   quoted_text(text) + " is already at " + place + "; remove one");
  error(file, member.line, 0,
        quoted_text(text) + " is already a member of wave '" + table->wave_name(before.wave) +
            "' (" + place + "); a person moves in one wave: remove one of the two");
}

const TableBuilder::Impl::Member* TableBuilder::Impl::member(const CompactTable::Record& record) {
  key_.assign(record.key_local);
  key_.append(1, '@').append(table->normal_name(table->normal_of(record.address_domain)));
  const auto found = members_.find(key_);
  if (found == members_.end()) return nullptr;
  found->second.known = true;
  return &found->second;
}

}  // namespace waypost::routing
