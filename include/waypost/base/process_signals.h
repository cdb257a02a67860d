// What signals do to a program of ours, whoever started it.
#pragma once

#include <csignal>
#include <initializer_list>

namespace waypost {

/// To be called first of all in main(), before there are threads. What the parent blocked is no
/// longer blocked; `held` is, so that it waits for who handles it later. A limit on the size of
/// files (LimitFSIZE=, ulimit -f) is an error of the write, as a full disk is, not the end.
void begin_signals(const sigset_t& held);
/// A set of these; without any: an empty one.
sigset_t signals_of(std::initializer_list<int> signals);

}  // namespace waypost
