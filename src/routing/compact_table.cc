#include "routing/compact_table.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <utility>

namespace waypost::routing {
namespace {

// Record flags: two bits of state, then which parts are stored.
constexpr std::uint8_t kStateMask = 0x03;
constexpr std::uint8_t kWrittenStored = 0x04;  // else equal to the key
constexpr std::uint8_t kTargetStored = 0x08;
constexpr std::uint8_t kTargetIsKey = 0x10;  // else equal to the written local part
constexpr std::size_t kMinimumSlots = 16;

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

std::uint64_t hash_octets(std::string_view text) {
  constexpr std::uint64_t kOne = 0x9E3779B97F4A7C15ull, kTwo = 0xD6E8FEB86659FD93ull;
  std::uint64_t hash = text.size() * kOne;
  while (text.size() >= 8) {
    std::uint64_t word;
    std::memcpy(&word, text.data(), 8);
    hash = mix(hash ^ word, kTwo);
    text.remove_prefix(8);
  }
  std::uint64_t word = 0;
  if (!text.empty()) std::memcpy(&word, text.data(), text.size());
  return mix(hash ^ word, kOne);
}

std::uint32_t key_hash(std::string_view lower_local, std::uint32_t normal_domain) {
  const auto hash = mix(hash_octets(lower_local) + normal_domain, 0xA0761D6478BD642Full);
  return static_cast<std::uint32_t>(hash ^ (hash >> 32));
}

char* put_number(char* out, std::uint32_t value) {
  for (; value >= 0x80; value >>= 7) *out++ = static_cast<char>(value | 0x80);
  *out++ = static_cast<char>(value);
  return out;
}

char* put_text(char* out, std::string_view text) {
  out = put_number(out, static_cast<std::uint32_t>(text.size()));
  std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

constexpr std::size_t kMostNumber = 5;  // octets of a varint
constexpr std::size_t kNumbers = 8;     // in one record
constexpr std::size_t kLookAhead = 16;  // slots fetched before they are needed

std::uint32_t take_number(const char* data, std::uint32_t& offset) {
  std::uint32_t value = 0;
  for (unsigned shift = 0;; shift += 7) {
    const auto octet = static_cast<unsigned char>(data[offset++]);
    value |= static_cast<std::uint32_t>(octet & 0x7f) << shift;
    if (octet < 0x80) return value;
  }
}

std::string_view take_text(const char* data, std::uint32_t& offset) {
  const auto length = take_number(data, offset);
  const std::string_view text(data + offset, length);
  offset += length;
  return text;
}

bool equals_lower(std::string_view written, std::string_view lower) {
  if (written.size() != lower.size()) return false;
  for (std::size_t i = 0; i < written.size(); ++i) {
    const char c = written[i];
    if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c) != lower[i]) return false;
  }
  return true;
}

/// "local@domain" at its last '@': a quoted local part may hold more of them.
std::optional<AddressView> split_key(std::string_view key) {
  const auto at = key.rfind('@');
  if (at == std::string_view::npos) return std::nullopt;
  return AddressView{key.substr(0, at), key.substr(at + 1)};
}

std::size_t slots_for(std::size_t entries) {
  std::size_t slots = kMinimumSlots;
  while (slots * 7 / 10 < entries) slots *= 2;
  return slots;
}

}  // namespace

std::optional<Entry> Table::find_target(std::string_view) const { return std::nullopt; }

void Table::for_each(const std::function<void(const Entry&)>& visit) const {
  for (const auto& entry : entries()) visit(entry);
}

std::size_t CompactTable::TextHash::operator()(std::string_view text) const {
  return hash_octets(text);
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

Result<CompactTable::Inserted> CompactTable::insert(const Record& record) {
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
  auto offset = append(record);
  if (!offset) return fail(std::move(offset).error());
  slots_[i] = Slot{hash, *offset + 1};
  ++count_;
  ++normals_[normal].entries;
  ++normals_[normal_of(record.target_domain)].targets;
  return Inserted{true, *offset};
}

Result<std::uint32_t> CompactTable::append(const Record& record) {
  auto flags = static_cast<std::uint8_t>(record.state);
  if (record.written_local != record.key_local) flags |= kWrittenStored;
  if (record.target_local == record.key_local)
    flags |= kTargetIsKey;
  else if (record.target_local != record.written_local)
    flags |= kTargetStored;
  const auto start = arena_.size();
  const auto most = 1 + kNumbers * kMostNumber + record.key_local.size() +
                    record.written_local.size() + record.target_local.size();
  if (start + most > std::numeric_limits<std::uint32_t>::max())
    return fail(ErrorKind::exhausted, "the routing table is larger than 4 GiB");
  arena_.resize(start + most);
  char* out = arena_.data() + start;
  *out++ = static_cast<char>(flags);
  out = put_number(out, record.address_domain);
  out = put_text(out, record.key_local);
  if (flags & kWrittenStored) out = put_text(out, record.written_local);
  out = put_number(out, record.target_domain);
  if (flags & kTargetStored) out = put_text(out, record.target_local);
  out = put_number(out, record.wave);
  out = put_number(out, record.source);
  out = put_number(out, record.line);
  arena_.resize(static_cast<std::size_t>(out - arena_.data()));
  return static_cast<std::uint32_t>(start);
}

void CompactTable::finish() {
  arena_.shrink_to_fit();
  target_slots_.assign(slots_for(count_), Slot{});
  const auto mask = target_slots_.size() - 1;
  std::array<Slot, kLookAhead> waiting;
  std::size_t many = 0;
  const auto insert_waiting = [&] {
    for (std::size_t k = 0; k < many; ++k) insert_target(waiting[k]);
    many = 0;
  };
  std::string lower;
  for_each_record([&](const Record& record, std::uint32_t offset) {
    lower.clear();
    append_lower(lower, record.target_local);
    const auto hash = key_hash(lower, normal_of(record.target_domain));
    __builtin_prefetch(&target_slots_[hash & mask], 1);
    waiting[many++] = Slot{hash, offset + 1};
    if (many == kLookAhead) insert_waiting();
  });
  insert_waiting();
}

void CompactTable::insert_target(Slot fresh) {
  const auto mask = target_slots_.size() - 1;
  auto i = fresh.hash & mask;
  for (; target_slots_[i].offset_plus_1 != 0; i = (i + 1) & mask) {
    if (target_slots_[i].hash != fresh.hash) continue;
    const auto known = record_at(target_slots_[i].offset_plus_1 - 1);
    const auto record = record_at(fresh.offset_plus_1 - 1);
    if (normal_of(known.target_domain) == normal_of(record.target_domain) &&
        mail::ascii_lower(known.target_local) == mail::ascii_lower(record.target_local))
      return;  // several addresses of one person
  }
  target_slots_[i] = fresh;
}

CompactTable::Record CompactTable::read_record(std::uint32_t& offset) const {
  const char* data = arena_.data();
  Record record;
  const auto flags = static_cast<std::uint8_t>(data[offset++]);
  record.state = static_cast<EntryState>(flags & kStateMask);
  record.address_domain = take_number(data, offset);
  record.key_local = take_text(data, offset);
  record.written_local = flags & kWrittenStored ? take_text(data, offset) : record.key_local;
  record.target_domain = take_number(data, offset);
  if (flags & kTargetStored)
    record.target_local = take_text(data, offset);
  else
    record.target_local = flags & kTargetIsKey ? record.key_local : record.written_local;
  record.wave = take_number(data, offset);
  record.source = take_number(data, offset);
  record.line = take_number(data, offset);
  return record;
}

CompactTable::Record CompactTable::record_at(std::uint32_t offset) const {
  return read_record(offset);
}

SourcePlace CompactTable::place_of(const Record& record) const {
  return SourcePlace{sources_[record.source], record.line};
}

Entry CompactTable::entry_of(const Record& record) const {
  return Entry{
      .address = {std::string(record.written_local), spellings_[record.address_domain].written},
      .target = {std::string(record.target_local), spellings_[record.target_domain].written},
      .state = record.state,
      .has_state = true,
      .wave = waves_[record.wave],
      .copies = {},
      .place = place_of(record)};
}

std::optional<std::uint32_t> CompactTable::normal_number(std::string_view normalised_domain) const {
  const auto known = normal_numbers_.find(normalised_domain);
  if (known == normal_numbers_.end()) return std::nullopt;
  return known->second;
}

std::optional<std::uint32_t> CompactTable::find_offset(std::string_view lower_local,
                                                       std::uint32_t normal_domain) const {
  if (slots_.empty()) return std::nullopt;
  const auto hash = key_hash(lower_local, normal_domain);
  const auto mask = slots_.size() - 1;
  for (auto i = hash & mask; slots_[i].offset_plus_1 != 0; i = (i + 1) & mask) {
    if (slots_[i].hash != hash) continue;
    const auto record = record_at(slots_[i].offset_plus_1 - 1);
    if (record.key_local == lower_local && normal_of(record.address_domain) == normal_domain)
      return slots_[i].offset_plus_1 - 1;
  }
  return std::nullopt;
}

std::optional<Entry> CompactTable::find(std::string_view normalised_key) const {
  const auto key = split_key(normalised_key);
  if (!key) return std::nullopt;
  const auto normal = normal_number(key->domain);
  if (!normal) return std::nullopt;
  const auto offset = find_offset(key->local_part, *normal);
  if (!offset) return std::nullopt;
  return entry_of(record_at(*offset));
}

std::optional<Entry> CompactTable::find_target(std::string_view normalised_key) const {
  const auto key = split_key(normalised_key);
  if (!key || target_slots_.empty()) return std::nullopt;
  const auto normal = normal_number(key->domain);
  if (!normal) return std::nullopt;
  const auto hash = key_hash(key->local_part, *normal);
  const auto mask = target_slots_.size() - 1;
  for (auto i = hash & mask; target_slots_[i].offset_plus_1 != 0; i = (i + 1) & mask) {
    if (target_slots_[i].hash != hash) continue;
    const auto record = record_at(target_slots_[i].offset_plus_1 - 1);
    if (normal_of(record.target_domain) == *normal &&
        equals_lower(record.target_local, key->local_part))
      return entry_of(record);
  }
  return std::nullopt;
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
                       target_slots_.capacity() * sizeof(Slot);
  for (const auto& spelling : spellings_)
    octets += 2 * (sizeof(Spelling) + spelling.written.size()) + 32;
  for (const auto& normal : normals_) octets += 2 * (sizeof(Normal) + normal.name.size()) + 32;
  for (const auto& wave : waves_) octets += 2 * (sizeof(std::string) + wave.size()) + 32;
  for (const auto& source : sources_) octets += 2 * (sizeof(std::string) + source.size()) + 32;
  return octets;
}

}  // namespace waypost::routing
