// The three descriptors that every program takes for granted.
#pragma once

namespace waypost {

/// How they were when the program started.
struct DescriptorsAtStart {
  bool output_was_open = true;  // descriptor 1
};

/// Puts /dev/null wherever descriptor 0, 1 or 2 is closed. Whatever is opened next takes the lowest
/// free number: a spool segment or a log that became descriptor 2 would be written into by
/// everything that complains on standard error. To be called first of all in main(). If it can't be
/// done the process ends (status 71), for nothing that it opens would be safe.
DescriptorsAtStart hold_standard_descriptors();

}  // namespace waypost
