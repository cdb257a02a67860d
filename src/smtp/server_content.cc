// DATA (RFC 5321 §4.1.1.4) and BDAT (RFC 3030).
#include "waypost/base/counted.h"
#include "waypost/mail/address.h"

#include "smtp/server_state.h"

#include <algorithm>
#include <charconv>

namespace waypost::smtp {

bool ServerDialogue::State::may_data(std::string_view arguments) {
  if (!no_arguments(arguments)) return false;
  if (content_started) {  // RFC 3030 §3: DATA and BDAT don't mix
    refuse(503, mail::status::invalid_command, "BDAT has begun already");
  } else if (auto wrong = content_out_of_place()) {
    follows_from_refusal() ? reply(std::move(*wrong)) : refuse(std::move(*wrong));
  } else {
    return true;
  }
  return false;
}

std::optional<Reply> ServerDialogue::State::content_out_of_place() const {
  if (needs_tls_first()) return Reply{530, {5, 7, 0}, "say STARTTLS first"};
  if (!transaction) return Reply{503, mail::status::invalid_command, "say MAIL first"};
  if (recipients == 0)
    return Reply{554, mail::status::invalid_command, "there is no valid recipient"};
  return std::nullopt;
}

void ServerDialogue::State::data(std::string_view) {
  if (auto no_room = handler.on_content_start()) {
    reply(std::move(*no_room));
    return end_transaction(true);
  }
  content_started = true;
  mode = Mode::data;
  reply(354, {}, "end with CR LF . CR LF");
}

void ServerDialogue::State::check_size() {
  if (octets <= options.max_message_size || refusal) return;
  refusal =
      Reply{552, mail::status::message_too_big,
            "the message is larger than " + std::to_string(options.max_message_size) + " octets"};
}

void ServerDialogue::State::data_octets(std::string_view& input) {
  const bool ended = decoder.feed(input, handler, !refusal);
  octets = decoder.octets();
  check_size();
  if (!ended) return;
  if (!refusal && decoder.had_bare_newline() && options.bare_newline == BareNewline::reject) {
    refusal = Reply{550, {5, 6, 11}, "a bare CR or LF is in the content"};
  }
  end_of_content();
}

namespace {

/// Exim sends 40 MiB in chunks of 8 KiB; nobody sends them octet by octet.
constexpr std::uint64_t kUsefulChunk = 1024;

struct Chunk {
  std::uint64_t size = 0;
  bool last = false;
};

/// RFC 3030 §2: "size [LAST]".
std::optional<Chunk> parse_chunk(std::string_view arguments) {
  Chunk chunk;
  const std::string_view number = arguments.substr(0, arguments.find_first_of(" \t"));
  const auto [end, error] =
      std::from_chars(number.data(), number.data() + number.size(), chunk.size);
  if (number.empty() || error != std::errc() || end != number.data() + number.size()) return {};
  std::string_view word = arguments.substr(number.size());
  while (!word.empty() && (word.front() == ' ' || word.front() == '\t')) word.remove_prefix(1);
  chunk.last = mail::ascii_lower(word) == "last";
  if (!word.empty() && !chunk.last) return {};
  return chunk;
}

}  // namespace

void ServerDialogue::State::bdat(std::string_view arguments) {
  const auto chunk = parse_chunk(arguments);
  if (!chunk) {
    // Where the octets behind it end is unknown: to go on would be to take content for commands.
    return close_with({501, mail::status::invalid_arguments, "the form is BDAT size [LAST]"});
  }
  chunk_size = chunk_remaining = chunk->size;
  chunk_last = chunk->last;
  auto wrong = content_out_of_place();
  chunk_dropped = wrong.has_value();
  if (chunk_dropped) {  // RFC 3030 §4.2: the octets come all the same
    chunk_refusal = std::move(*wrong);
  } else {
    if (chunk->size >= kUsefulChunk && commands_since_message > 0) --commands_since_message;
    if (!content_started) {
      content_started = bdat_used = true;
      if (auto no_room = handler.on_content_start()) refusal = std::move(*no_room);
    }
    if (chunk->size > options.max_message_size - std::min(octets, options.max_message_size)) {
      octets = options.max_message_size + 1;
      check_size();
    }
  }
  mode = Mode::bdat;
  if (chunk_remaining == 0) end_of_chunk();
}

void ServerDialogue::State::bdat_octets(std::string_view& input) {
  const auto taken = input.substr(
      0, static_cast<std::size_t>(std::min<std::uint64_t>(input.size(), chunk_remaining)));
  input.remove_prefix(taken.size());
  chunk_remaining -= taken.size();
  if (!chunk_dropped && !refusal) {
    octets += taken.size();
    scan.feed(taken);
    handler.on_content(taken);
  }
  if (chunk_remaining == 0) end_of_chunk();
}

void ServerDialogue::State::end_of_chunk() {
  mode = Mode::command;
  if (chunk_dropped) return follows_from_refusal() ? reply(chunk_refusal) : refuse(chunk_refusal);
  if (chunk_last) return end_of_content();
  // A refused message hears it at each chunk, so that the client can stop early.
  if (refusal) return reply(*refusal);
  reply(250, {2, 0, 0}, counted(chunk_size, "octet") + " received");
}

/// The verdict: exactly one reply, here or by committed().
void ServerDialogue::State::end_of_content() {
  if (!refusal) {
    mode = Mode::commit_pending;
    return;
  }
  mode = Mode::command;
  reply(std::move(*refusal));
  end_transaction(true);
}

}  // namespace waypost::smtp
