// Reads the content of a stored message: from memory, or in pieces from the log while the committer
// may move the message at any moment.
#pragma once

#include "spool/log.h"

namespace waypost::spool {

Result<std::unique_ptr<ContentReader>> make_content_reader(Log& log, const MessageRef& ref);
/// All but the envelope. REQUIRES: the slot's mutex is held.
void describe(const Slot& slot, std::uint32_t number, StoredMessage& stored);
Result<StoredMessage> load_message(Log& log, const MessageRef& ref);

}  // namespace waypost::spool
