#include "waypost/mail/outcome.h"

namespace waypost::mail {

std::string_view to_string(Fate fate) {
  switch (fate) {
    case Fate::delivered:
      return "delivered";
    case Fate::deferred:
      return "deferred";
    case Fate::failed:
      return "failed";
  }
  return "unknown";
}

}  // namespace waypost::mail
