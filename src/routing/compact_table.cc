#include "routing/compact_table.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

namespace waypost::routing {
namespace {

constexpr std::size_t kNumbers = 8;                     // in one record without copies
constexpr std::size_t kPrefix = 1 + kMostNumberOctets;  // tag and length

/// "local@domain" at its last '@': a quoted local part may hold more of them.
std::optional<AddressView> split_key(std::string_view key) {
  const auto at = key.rfind('@');
  if (at == std::string_view::npos) return std::nullopt;
  return AddressView{key.substr(0, at), key.substr(at + 1)};
}

}  // namespace

std::optional<Entry> Table::find_target(std::string_view) const { return std::nullopt; }

void Table::for_each(const std::function<void(const Entry&)>& visit) const {
  for (const auto& entry : entries()) visit(entry);
}

Result<std::uint32_t> CompactTable::intern_domain(std::string_view written) {
  // Rows come with the same two domains again and again.
  for (const auto recent : recent_spellings_)
    if (recent < spellings_.size() && spellings_[recent].written == written) return recent;
  if (const auto known = spelling_numbers_.find(written); known != spelling_numbers_.end())
    return remember(known->second);
  std::string normal;
  if (auto done = append_normal_domain(normal, written); !done)
    return fail(std::move(done).error());
  const auto [place, fresh] =
      normal_numbers_.try_emplace(normal, static_cast<std::uint32_t>(normals_.size()));
  if (fresh) normals_.push_back(Normal{std::move(normal), 0, 0});
  const auto number = static_cast<std::uint32_t>(spellings_.size());
  spellings_.push_back(Spelling{std::string(written), place->second});
  spelling_numbers_.emplace(written, number);
  return remember(number);
}

std::uint32_t CompactTable::remember(std::uint32_t spelling) {
  recent_spellings_[1] = std::exchange(recent_spellings_[0], spelling);
  return spelling;
}

std::uint32_t CompactTable::intern(std::vector<std::string>& names, Numbers& numbers,
                                   std::string_view name) {
  if (name.empty()) return 0;
  if (names.back() == name) return static_cast<std::uint32_t>(names.size() - 1);
  if (const auto known = numbers.find(name); known != numbers.end()) return known->second;
  const auto number = static_cast<std::uint32_t>(names.size());
  names.emplace_back(name);
  numbers.emplace(name, number);
  return number;
}

std::uint32_t CompactTable::intern_wave(std::string_view wave) {
  return intern(waves_, wave_numbers_, wave);
}

std::uint32_t CompactTable::intern_source(std::string_view source) {
  return intern(sources_, source_numbers_, source);
}

void CompactTable::reserve(std::size_t entries, std::size_t arena_octets) {
  arena_.reserve(arena_.size() + arena_octets);
  grow_slots(count_ + entries);
}

std::size_t CompactTable::slots_for(std::size_t entries) {
  std::size_t slots = 16;
  while (slots * 7 / 10 < entries) slots *= 2;
  return slots;
}

void CompactTable::grow_slots(std::size_t wanted) {
  const auto size = slots_for(wanted);
  if (size <= slots_.size()) return;
  decltype(slots_) grown(size);
  const auto mask = size - 1;
  for (const auto& slot : slots_) {
    if (slot.offset_plus_1 == 0) continue;
    auto i = slot.hash & mask;
    while (grown[i].offset_plus_1 != 0) i = (i + 1) & mask;
    grown[i] = slot;
  }
  slots_ = std::move(grown);
}

Result<CompactTable::Inserted> CompactTable::insert(const Record& record,
                                                    std::span<const Target> copies) {
  grow_slots(count_ + 1);
  const auto normal = normal_of(record.address_domain);
  const auto hash = key_hash(record.key_local, normal);
  const auto mask = slots_.size() - 1;
  auto i = hash & mask;
  for (; slots_[i].offset_plus_1 != 0; i = (i + 1) & mask) {
    if (slots_[i].hash != hash) continue;
    const auto known = record_at(slots_[i].offset_plus_1 - 1);
    if (normal_of(known.address_domain) == normal && known.key_local == record.key_local)
      return Inserted{false, slots_[i].offset_plus_1 - 1};
  }
  auto offset = append(record, hash, copies);
  if (!offset) return fail(std::move(offset).error());
  slots_[i] = Slot{hash, *offset + 1};
  ++count_;
  copies_ += copies.size();
  ++normals_[normal].entries;
  ++normals_[normal_of(record.target_domain)].targets;
  for (const auto& copy : copies) ++normals_[normal_of(copy.domain)].targets;
  return Inserted{true, *offset};
}

Result<std::uint32_t> CompactTable::append(const Record& record, std::uint32_t hash,
                                           std::span<const Target> copies) {
  auto flags = static_cast<std::uint8_t>(record.state);
  if (record.has_state) flags |= kHasState;
  if (!copies.empty()) flags |= kHasCopies;
  if (record.written_local != record.key_local) flags |= kWrittenStored;
  if (record.target_local == record.key_local)
    flags |= kTargetIsKey;
  else if (record.target_local != record.written_local)
    flags |= kTargetStored;
  const auto start = arena_.size();
  auto most = kPrefix + 1 + kNumbers * kMostNumberOctets + record.key_local.size() +
              record.written_local.size() + record.target_local.size();
  if (!copies.empty()) most += kMostNumberOctets;
  for (const auto& copy : copies) most += 2 * kMostNumberOctets + copy.local.size();
  if (start + most > std::numeric_limits<std::uint32_t>::max())
    return fail(ErrorKind::exhausted, "the routing table is larger than 4 GiB");
  arena_.resize(start + most);
  char* out = arena_.data() + start;
  *out++ = tag_of(hash);
  char* const body = ++out;  // the length mostly takes one octet
  *out++ = static_cast<char>(flags);
  out = put_number(out, record.address_domain);
  out = put_text(out, record.key_local);
  if (flags & kWrittenStored) out = put_text(out, record.written_local);
  out = put_number(out, record.target_domain);
  if (flags & kTargetStored) out = put_text(out, record.target_local);
  out = put_number(out, record.wave);
  out = put_number(out, record.source);
  out = put_number(out, record.line);
  if (!copies.empty()) out = put_number(out, static_cast<std::uint32_t>(copies.size()));
  for (const auto& copy : copies) out = put_text(put_number(out, copy.domain), copy.local);
  const auto length = static_cast<std::uint32_t>(out - body);
  if (length >= 0x80) {
    char number[kMostNumberOctets];
    const auto spare = put_number(number, length) - number - 1;
    std::memmove(body + spare, body, length);
    out += spare;
  }
  put_number(body - 1, length);
  arena_.resize(static_cast<std::size_t>(out - arena_.data()));
  return static_cast<std::uint32_t>(start);
}

SourcePlace CompactTable::place_of(const Record& record) const {
  return SourcePlace{sources_[record.source], record.line};
}

Entry CompactTable::entry_of(const Record& record) const {
  Entry entry{
      .address = {std::string(record.written_local), spellings_[record.address_domain].written},
      .target = {std::string(record.target_local), spellings_[record.target_domain].written},
      .state = record.state,
      .has_state = record.has_state,
      .wave = waves_[record.wave],
      .copies = {},
      .place = place_of(record)};
  for_each_copy(record, [&](const Target& copy) {
    entry.copies.push_back({std::string(copy.local), spellings_[copy.domain].written});
  });
  return entry;
}

std::optional<std::uint32_t> CompactTable::normal_number(std::string_view normalised_domain) const {
  const auto known = normal_numbers_.find(normalised_domain);
  if (known == normal_numbers_.end()) return std::nullopt;
  return known->second;
}

std::optional<Entry> CompactTable::find(std::string_view normalised_key) const {
  const auto key = split_key(normalised_key);
  if (!key) return std::nullopt;
  const auto normal = normal_number(key->domain);
  if (!normal) return std::nullopt;
  const auto record = find_record(key->local_part, *normal);
  if (!record) return std::nullopt;
  return entry_of(*record);
}

std::optional<Entry> CompactTable::find_target(std::string_view normalised_key) const {
  const auto key = split_key(normalised_key);
  if (!key) return std::nullopt;
  const auto normal = normal_number(key->domain);
  if (!normal) return std::nullopt;
  const auto record = find_target_record(key->local_part, *normal);
  if (!record) return std::nullopt;
  return entry_of(*record);
}

bool CompactTable::has_domain(std::string_view normalised_domain) const {
  const auto normal = normal_number(normalised_domain);
  return normal && normals_[*normal].entries > 0;
}

std::vector<Entry> CompactTable::entries() const {
  struct Ordered {
    std::string_view domain, local;
    std::uint32_t offset;
    auto operator<=>(const Ordered&) const = default;
  };
  std::vector<Ordered> order;
  order.reserve(count_);
  for_each_record([&](const Record& record, std::uint32_t offset) {
    order.push_back({normal_name(normal_of(record.address_domain)), record.key_local, offset});
  });
  std::sort(order.begin(), order.end());
  std::vector<Entry> out;
  out.reserve(count_);
  for (const auto& item : order) out.push_back(entry_of(record_at(item.offset)));
  return out;
}

void CompactTable::for_each(const std::function<void(const Entry&)>& visit) const {
  for_each_record([&](const Record& record, std::uint32_t) { visit(entry_of(record)); });
}

std::size_t CompactTable::memory_octets() const {
  std::size_t octets = arena_.capacity() + slots_.capacity() * sizeof(Slot) +
                       starts_.memory_octets() + target_slots_.capacity() * sizeof(Slot);
  for (const auto& spelling : spellings_)
    octets += 2 * (sizeof(Spelling) + spelling.written.size()) + 32;
  for (const auto& normal : normals_) octets += 2 * (sizeof(Normal) + normal.name.size()) + 32;
  for (const auto& wave : waves_) octets += 2 * (sizeof(std::string) + wave.size()) + 32;
  for (const auto& source : sources_) octets += 2 * (sizeof(std::string) + source.size()) + 32;
  return octets;
}

}  // namespace waypost::routing
