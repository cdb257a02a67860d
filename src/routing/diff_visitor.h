// Who hears of each difference between two tables while they are compared.
//
// Private to routing.
#pragma once

#include "waypost/routing/router.h"

#include <cstddef>

namespace waypost::routing {

/// Called for every entry that is gone or changed, in no order that means anything.
class DiffVisitor {
 public:
  virtual ~DiffVisitor() = default;
  virtual void removed(const Entry& was) = 0;
  virtual void changed(const Entry& was, const Entry& now) = 0;
};

/// routing::diff that tells `visitor` all of it.
TableDiff diff(const Table& before, const Table& after, std::size_t most_names,
               DiffVisitor& visitor);

}  // namespace waypost::routing
