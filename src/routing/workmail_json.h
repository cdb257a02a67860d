// Outputs of the AWS CLI as they lie in a file: JSON documents, one behind the other.
//
// AWS Tools for PowerShell write the same with constants as objects ({"Value": "ENABLED"}), and one
// user without a list around it.
//
// Private to routing. Pure; memory is bounded by what is kept of the file, depth by 32. Reads
// line by line, so that each user knows the line where it begins.
#pragma once

#include "routing/export_text.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::routing {

struct WorkMailUser {
  std::string id, name, display_name, email, state, role;
  std::uint32_t line = 0;
  bool state_not_text = false, role_not_text = false;  // neither text nor {"Value": text}
};

/// One output of one command.
struct WorkMailDocument {
  std::uint32_t line = 0;            // where it begins
  std::vector<std::string> members;  // names at its top, the first 32
  bool has_users = false, has_aliases = false, has_next_token = false;
  std::vector<WorkMailUser> users;     // of Users, or of a document that is a bare list
  std::vector<std::string> aliases;    // of Aliases
  std::vector<std::uint32_t> strange;  // lines of list items that are not what belongs there
};

/// What is no JSON is an error with line and column; nothing is returned then.
std::vector<WorkMailDocument> read_workmail_documents(std::string_view file, std::string_view text,
                                                      Complaints& complaints);

}  // namespace waypost::routing
