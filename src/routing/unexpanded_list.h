// Cells of an export that hold no data, because PowerShell wrote the name of a list's type, or only
// the first members of the list.
//
// Private to routing. Pure.
#pragma once

#include <cstdint>
#include <string_view>

namespace waypost::routing {

/// What a cell holds instead of its data.
enum class Unexpanded : std::uint8_t { nothing, type_name, cut };

/// `is_list`: addresses that may have been joined; then each of them is looked at.
Unexpanded unexpanded_in(std::string_view cell, bool is_list);

}  // namespace waypost::routing
