// Beside table-size.json: it has been written once, so that its loss is seen. Private to app.
#pragma once

#include <string>

namespace waypost::app {

inline std::string table_size_mark(const std::string& table_size_path) {
  return table_size_path + ".mark";
}

}  // namespace waypost::app
